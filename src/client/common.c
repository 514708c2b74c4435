// SPDX-License-Identifier: MIT
#include "client.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "output.h"
#include "timespan.h"
#include "util.h"

const struct common common_defaults = {.timeout_usec = 5000000};

/* A line on standard error. Names in it may be anybody's. */
static void print_line(const char *before, const char *format, va_list arguments, const char *after)
    __attribute__((format(printf, 2, 0)));

static void print_line(const char *before, const char *format, va_list arguments, const char *after)
{
    CLEANUP(free_pointer) char *text = NULL;

    if (vasprintf(&text, format, arguments) < 0) {
        text = NULL;
        return;
    }
    output_clean(text);
    (void)fprintf(stderr, "%s: %s%s\n", before, text, after);
}

void complain(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    print_line("uds-echo", format, arguments, "");
    va_end(arguments);
}

int usage_error(const char *command, const char *format, ...)
{
    char before[64];
    char after[64];
    va_list arguments;

    snprintf(before, sizeof(before), "uds-echo %s", command);
    snprintf(after, sizeof(after), "; see uds-echo help %s.", command);
    va_start(arguments, format);
    print_line(before, format, arguments, after);
    va_end(arguments);
    return STATUS_USAGE;
}

bool read_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
    uint64_t number = 0;

    if (text[0] == '\0') {
        return false;
    }
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9' || __builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(*text - '0'), &number)) {
            return false;
        }
    }
    if (number < min || number > max) {
        return false;
    }
    *ret = number;
    return true;
}

bool read_size(const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
    char digits[24];
    size_t length = strlen(text);
    const char *unit = length > 0 ? strchr("KMG", text[length - 1]) : NULL;
    uint64_t size;

    if (length == 0 || length >= sizeof(digits)) {
        return false;
    }
    snprintf(digits, sizeof(digits), "%.*s", (int)(length - (unit ? 1 : 0)), text);
    if (!read_number(digits, 0, UINT64_MAX, &size)) {
        return false;
    }
    if (unit && __builtin_mul_overflow(
                    size, (uint64_t)1 << (10 * (strchr("KMG", *unit) - "KMG" + 1)), &size)) {
        return false;
    }
    if (size < min || size > max) {
        return false;
    }
    *ret = size;
    return true;
}

/* Says what is wrong with an option that getopt_long(3), which was given SHORTS, has not taken. */
static int option_error(const char *command, int option, const char *shorts, char **argv)
{
    const char *argument = argv[optind - 1];
    /* Of several letters behind one dash, ARGUMENT may be the one before all of them. */
    bool is_long = optopt == 0 || optopt > UINT8_MAX || (optopt != ':' && strchr(shorts, optopt));

    if (option == ':' && strncmp(argument, "--", 2) == 0) {
        return usage_error(command, "Option %s needs a value", argument);
    }
    if (option == ':') {
        return usage_error(command, "Option -%c needs a value", optopt);
    }
    if (!is_long) {
        return usage_error(command, "Option -%c is not known", optopt);
    }
    return usage_error(command, "Option %s %s", argument,
                       optopt == 0 ? "is not known, or stands for several" : "takes no value");
}

int common_take(struct common *common, const char *command, int option, const char *shorts,
                char **argv)
{
    switch (option) {
    case 't':
        common->type = target_type_parse(optarg);
        if (common->type < 0) {
            return usage_error(command, "--type=%s: not stream, seqpacket or dgram", optarg);
        }
        return -1;
    case 'j':
        common->json = true;
        return -1;
    case 'w':
        if (timespan_parse(optarg, &common->timeout_usec) < 0 || common->timeout_usec == 0) {
            return usage_error(command, "--timeout=%s: not a time span such as 500ms or 5s",
                               optarg);
        }
        return -1;
    case 'h':
        return manual_show(command) ? STATUS_OK : STATUS_USAGE;
    default:
        return option_error(command, option, shorts, argv);
    }
}

int take_target(const struct common *common, const char *command, const char *text,
                struct target *target)
{
    char reason[TARGET_REASON_MAX];

    text = text ? text : DEFAULT_SOCKET;
    if (target_parse(text, target, reason) < 0) {
        return usage_error(command, "%s %s", text[0] == '\0' ? "The socket" : text, reason);
    }
    if (common->type != 0 && target_insist(target, common->type) < 0) {
        return usage_error(command, "--type=%s: %s is a %s socket", target_type_name(common->type),
                           text, target_type_name(target->type));
    }
    return 0;
}

int target_complain(const struct target *target, int r)
{
    const char *text = target->text;

    switch (-r) {
    case EACCES:
    case EPERM:
        complain("%s: permission denied; uds-echo check %s says more.", text, text);
        return STATUS_REFUSED;
    case EBADMSG:
        complain("%s: what came back is not what was sent.", text);
        return STATUS_WRONG;
    case EMSGSIZE:
        complain("%s: the message is longer than this socket takes.", text);
        return STATUS_WRONG;
    case ETIMEDOUT:
        complain("%s: no answer in time; uds-echo check %s says more.", text, text);
        return STATUS_WRONG;
    case ECONNRESET:
    case EPIPE:
        complain("%s: the service has closed the connection.", text);
        return STATUS_WRONG;
    case EPROTOTYPE:
        complain("%s is a socket of another type; uds-echo check %s says more.", text, text);
        return STATUS_UNREACHABLE;
    default:
        complain("%s cannot be reached: %s; uds-echo check %s says more.", text,
                 target_error(target, r), text);
        return STATUS_UNREACHABLE;
    }
}

int policy_complain(const struct target *target)
{
    complain("%s: the service has refused you by its policy; uds-echo check %s says more.",
             target->text, target->text);
    return STATUS_REFUSED;
}

int target_fail(const struct common *common, const struct target *target, int r)
{
    if (common->json) {
        (void)output_json(json_pack("{s:o, s:s}", "socket", report_string(target->text), "error",
                                    target_error(target, r)));
    }
    return target_complain(target, r);
}
