// SPDX-License-Identifier: MIT

/* What to do about a socket of systemd's: how its .socket unit and its service are, and how to have
 * them as they should be. */

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "check.h"

static const char *systemctl(const struct unit *unit)
{
    return unit->user ? "systemctl --user" : "systemctl";
}

const char *as_root(const struct unit *unit)
{
    return unit->user || geteuid() == 0 ? "" : ", as root";
}

static const char *gap_before(const char *service)
{
    return service[0] == '\0' ? "" : " ";
}

/* "systemctl VERB uds-echo.socket uds-echo.service" */
static void command_on_both(struct check *check, const char *verb)
{
    const struct unit *unit = &check->unit;

    report_command(&check->report, "%s %s %s%s%s", systemctl(unit), verb, unit->name,
                   gap_before(unit->service), unit->service);
}

static void command_start(struct check *check)
{
    report_command(&check->report, "%s start %s", systemctl(&check->unit), check->unit.name);
}

const char *unit_failure(const struct unit *unit, char text[static FAILURE_TEXT_MAX])
{
    int status = unit->service_status;
    bool says_how = true;

    switch (unit->service_code) {
    case CLD_EXITED:
        snprintf(text, FAILURE_TEXT_MAX, "exit status %d%s", status,
                 status == EX_CONFIG ? " (its configuration or policy is wrong)" : "");
        break;
    case CLD_KILLED:
    case CLD_DUMPED: {
        const char *name = sigabbrev_np(status);
        snprintf(text, FAILURE_TEXT_MAX, "killed by signal %d (SIG%s)", status, name ? name : "?");
        break;
    }
    default:
        snprintf(text, FAILURE_TEXT_MAX, "%s", unit->service_result);
        return text;
    }
    says_how = strcmp(unit->service_result, "exit-code") == 0 ||
               strcmp(unit->service_result, "signal") == 0 ||
               strcmp(unit->service_result, "core-dump") == 0;
    if (!says_how) {
        size_t length = strlen(text);
        snprintf(text + length, FAILURE_TEXT_MAX - length, ", %s", unit->service_result);
    }
    return text;
}

/* Where it is written why the service, or the socket, has failed. */
static void advise_reason(struct check *check)
{
    const struct unit *unit = &check->unit;
    bool has_service = unit->service[0] != '\0';

    report_advise(&check->report, "Why is in%s:", as_root(unit));
    report_command(&check->report, "journalctl %s-u %s -e", unit->user ? "--user " : "",
                   has_service ? unit->service : unit->name);
    command_on_both(check, "status");
}

/* The socket unit itself has failed; mostly because of its service. */
static void advise_failed_socket(struct check *check)
{
    struct report *report = &check->report;
    const struct unit *unit = &check->unit;
    char failure[FAILURE_TEXT_MAX];

    if (unit_service_has_failed(unit)) {
        report_advise(report,
                      "%s was to listen there, but has failed (%s), because %s fails at its start: "
                      "it is %s, %s.",
                      unit->name, unit->result, unit->service, unit->service_active,
                      unit_failure(unit, failure));
    } else if (strcmp(unit->result, "trigger-limit-hit") == 0) {
        report_advise(report,
                      "%s was to listen there, but has failed (%s): it had to start %s too often "
                      "in a short time.",
                      unit->name, unit->result, unit->service);
    } else {
        report_advise(report, "%s was to listen there, but has failed (%s).", unit->name,
                      unit->result);
    }
    advise_reason(check);
    report_advise(report, "Once that is mended, to start it anew%s:", as_root(unit));
    command_on_both(check, "reset-failed");
    command_start(check);
}

void advise_failed(struct check *check)
{
    struct report *report = &check->report;
    const struct unit *unit = &check->unit;

    if (strcmp(unit->active, "failed") == 0) {
        advise_failed_socket(check);
        return;
    }
    report_advise(
        report, "%s listens, and systemd starts %s anew for whoever waits; at the moment it is %s.",
        unit->name, unit->service, unit->service_active);
    advise_reason(check);
    report_advise(report,
                  "Once that is mended, the next client has it started. If it is not, to start "
                  "anew%s:",
                  as_root(unit));
    command_on_both(check, "reset-failed");
    command_start(check);
}

static void advise_inactive(struct check *check)
{
    struct report *report = &check->report;
    const struct unit *unit = &check->unit;

    if (!unit_service_is_up(unit)) {
        report_advise(report, "%s is to listen there, but is inactive. To start it%s:", unit->name,
                      as_root(unit));
        command_start(check);
        return;
    }
    report_advise(report,
                  "%s is to listen there, but is inactive, and its service, %s, is %s already, "
                  "without it: systemd starts no socket of a service that runs (\"already active, "
                  "refusing\"). To have the service stop, which its clients notice, and then start "
                  "the socket%s:",
                  unit->name, unit->service, unit->service_active, as_root(unit));
    report_command(report, "%s stop %s", systemctl(unit), unit->service);
    command_start(check);
}

void advise_found(struct check *check)
{
    struct report *report = &check->report;
    struct unit *unit = &check->unit;

    unit_look(unit);
    if (strcmp(unit->active, "inactive") == 0) {
        advise_inactive(check);
    } else if (strcmp(unit->active, "failed") == 0) {
        advise_failed_socket(check);
    } else if (strcmp(unit->active, "active") == 0) {
        report_advise(report,
                      "%s is active, but its socket is no longer there: it was removed or replaced "
                      "by somebody else. To have it made anew%s:",
                      unit->name, as_root(unit));
        command_on_both(check, "stop");
        command_start(check);
    } else {
        report_advise(report, "%s is to listen there, and is %s. Try again in a moment.",
                      unit->name, unit->active);
    }
}

void advise_absent(struct check *check)
{
    struct report *report = &check->report;

    switch (check->unit.found) {
    case UNIT_FOUND:
        advise_found(check);
        break;
    case UNIT_NONE:
        report_advise(report, "No .socket unit that systemd knows listens there. If the name is "
                              "right, start the program that is to listen. The units' sockets:");
        report_command(report, "systemctl list-sockets --all");
        break;
    case UNIT_UNASKED:
        report_advise(report, "If the name is right, start what is to listen there; if that is a "
                              ".socket unit:");
        report_command(report, "systemctl start NAME.socket");
        break;
    }
}

/* Where to look at how the service is doing. */
void advise_service(struct check *check)
{
    const char *path = check->path.resolved;
    const char *address = path[0] == '\0' ? check->target.text : path;

    if (check->unit.found == UNIT_FOUND) {
        report_advise(&check->report, "How it is doing:");
        command_on_both(check, "status");
    } else if (check->target.family == AF_UNIX && !strpbrk(address, "' ")) {
        report_advise(&check->report, "Which process it is (as root, to see those of others):");
        report_command(&check->report, "ss --unix --all --processes 'src %s'", address);
    }
}
