// SPDX-License-Identifier: MIT

/* uds-echo check: the doctor. See check.h for its parts. */

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "check.h"
#include "client.h"

static bool walk_and_talk(struct check *check)
{
    struct report *report = &check->report;
    const char *text = check->target.text;
    bool is_unix = check->target.family == AF_UNIX;
    bool is_path = is_unix && text[0] != '@';
    bool arrived = !is_path || path_walk(&check->path, text, report);

    if (is_unix) {
        unit_find(&check->unit, is_path ? check->path.resolved : text);
    }
    if (arrived && check->unit.found == UNIT_FOUND && strcmp(check->unit.active, "active") == 0) {
        report_pass(report, "%s owns it, and is active", check->unit.name);
    }
    return arrived && talk(check);
}

/* The service waited for its first client, and the round trip includes its start. */
static bool was_started(const struct check *check)
{
    return check->unit.found == UNIT_FOUND && strcmp(check->unit.sub, "listening") == 0;
}

static void print_end(const struct check *check)
{
    const struct terminal *terminal = &check->report.terminal;
    const struct unit *unit = &check->unit;
    char span[OUTPUT_TEXT_MAX];

    printf("%sAll is well%s: %s socket", colour_good(terminal), colour_end(terminal),
           target_type_name(check->target.type));
    if (unit->found == UNIT_FOUND) {
        printf(" of %s", unit->name);
    }
    printf(", round trip %s%s\n", output_time(terminal, (double)check->round_trip_usec, span),
           was_started(check) ? " with the start of the service" : "");
}

/* How the service is, null if that was not looked at. */
static json_t *service_json(const struct unit *unit)
{
    if (unit->service_active[0] == '\0') {
        return json_null();
    }
    return json_pack("{ss, ss, so}", "state", unit->service_active, "result", unit->service_result,
                     "exit_status",
                     unit->service_code == CLD_EXITED ? json_integer(unit->service_status)
                                                      : json_null());
}

static json_t *unit_json(const struct unit *unit)
{
    if (unit->found != UNIT_FOUND) {
        return json_null();
    }
    return json_pack("{ss, ss, ss, ss, ss?, so}", "name", unit->name, "manager",
                     unit->user ? "user" : "system", "state", unit->active, "sub_state", unit->sub,
                     "service", unit->service[0] == '\0' ? NULL : unit->service, "service_state",
                     service_json(unit));
}

/* The lines of advice as one text, null if there are none. */
static json_t *advice_json(const json_t *lines)
{
    json_t *all = NULL;
    size_t i;
    const json_t *line;

    json_array_foreach(lines, i, line)
    {
        json_t *longer = json_sprintf("%s%s%s", all ? json_string_value(all) : "", all ? "\n" : "",
                                      json_string_value(line));
        json_decref(all);
        all = longer;
    }
    return all ? all : json_null();
}

static bool print_json(const struct check *check)
{
    const struct report *report = &check->report;
    bool ok = report->cause == CAUSE_NONE;
    const char *type = check->target.type == 0 ? NULL : target_type_name(check->target.type);

    return output_json(json_pack(
        "{so, ss?, sb, ss?, sO?, so, sO, so, so}", "socket", report_string(check->target.text),
        "type", type, "ok", ok, "cause", ok ? NULL : cause_name(report->cause), "message",
        report->message, "advice", advice_json(report->advice), "steps", report->steps, "unit",
        unit_json(&check->unit), "round_trip_usec",
        ok ? json_integer((json_int_t)check->round_trip_usec) : json_null()));
}

static int run(struct check *check)
{
    bool ok = walk_and_talk(check);
    bool printed = true;

    if (!ok) {
        advise(check);
    }
    if (check->report.json) {
        printed = print_json(check);
    } else if (ok) {
        print_end(check);
    }
    return printed ? cause_status(check->report.cause) : STATUS_WRONG;
}

int cmd_check(int argc, char **argv)
{
    static const struct option options[] = {COMMON_OPTIONS, {0}};
    struct common common = common_defaults;
    struct check check = {0};
    int option;
    int status;

    opterr = 0;
    while ((option = getopt_long(argc, argv, COMMON_SHORT, options, NULL)) >= 0) {
        status = common_take(&common, argv[0], option, COMMON_SHORT, argv);
        if (status >= 0) {
            return status;
        }
    }
    if (argc - optind > 1) {
        return usage_error(argv[0], "%s: only one socket is checked at a time", argv[optind + 1]);
    }
    status = take_target(&common, argv[0], argv[optind], &check.target);
    if (status != 0) {
        return status;
    }
    check.timeout_usec = common.timeout_usec;
    report_init(&check.report, common.json);
    status = run(&check);
    report_deinit(&check.report);
    return status;
}
