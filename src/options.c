// SPDX-License-Identifier: MIT
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "config.h"
#include "log.h"
#include "timespan.h"
#include "workers.h"

static void print_help(void)
{
    printf(
        "uds-echod [OPTIONS...]\n"
        "\n"
        "Serves the sockets that systemd hands to it, and is meant to be started by systemd "
        "alone:\n"
        "  systemctl start uds-echo.socket\n"
        "\n"
        "      --busy-poll=USEC        After a message, look for the next one for so many\n"
        "                              microseconds before sleeping; auto (the default): where\n"
        "                              that pays; off: never\n"
        "      --bytes-max-per-user=BYTES\n"
        "                              Keep at most so much that one user has not read (K, M, G;\n"
        "                              default: 4K for each connection that it may have, 1M at "
        "least)\n"
        "      --connections-max=N     Serve at most N connections at once\n"
        "                              (default: as many as the descriptor limit allows)\n"
        "      --connections-max-per-user=N\n"
        "                              Serve at most N of one user (default: a third of all)\n"
        "      --exit-idle-time=SPAN   Exit after SPAN without a client (default: infinity)\n"
        "      --idle-timeout=SPAN     Close a connection on which nothing has moved for SPAN\n"
        "                              (default: infinity)\n"
        "      --policy=FILE           Admit clients of the role auth by the rules in FILE\n"
        "      --check-policy=FILE     Say what the rules in FILE mean, or what is wrong with\n"
        "                              them (exit status 78), and exit\n"
        "      --workers=N|auto        Serve with N threads, 1 to 256 (default: auto, one for two\n"
        "                              cores that the service may use, 32 at most)\n"
        "      --log-level=LEVEL       Log up to LEVEL: emerg to debug, or 0 to 7 (default: info)\n"
        "  -h, --help                  Show this help\n"
        "      --version               Show the version\n");
}

/* Decimal digits only: strtoul(3) also takes spaces, signs and other bases. */
static int parse_number(const char *text, uint32_t *ret)
{
    uint32_t count = 0;

    if (text[0] == '\0') {
        return -EINVAL;
    }
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9') {
            return -EINVAL;
        }
        if (__builtin_mul_overflow(count, 10, &count) ||
            __builtin_add_overflow(count, (uint32_t)(*text - '0'), &count)) {
            return -ERANGE;
        }
    }
    *ret = count;
    return 0;
}

static int parse_count(const char *text, uint32_t *ret)
{
    uint32_t count;
    int r = parse_number(text, &count);

    if (r < 0 || count == 0) {
        return r < 0 ? r : -ERANGE;
    }
    *ret = count;
    return 0;
}

/* Bytes, with K, M, G or T for powers of 1024, as systemd takes them. */
static int parse_bytes(const char *text, uint64_t *ret)
{
    static const char units[] = "KMGT";
    const char *unit = strpbrk(text, units);
    char digits[16];
    uint32_t count;
    size_t length = unit ? (size_t)(unit - text) : strlen(text);

    if (length >= sizeof(digits) || (unit && unit[1] != '\0')) {
        return -EINVAL;
    }
    memcpy(digits, text, length);
    digits[length] = '\0';
    if (parse_count(digits, &count) < 0) {
        return -EINVAL;
    }
    *ret = (uint64_t)count << (unit ? 10 * (strchr(units, *unit) - units + 1) : 0);
    return 0;
}

static int parse_connections(const char *text, uint64_t *ret)
{
    uint32_t count = 0;
    int r = parse_count(text, &count);

    *ret = count;
    return r;
}

static int parse_workers(const char *text, uint32_t *ret)
{
    uint32_t count;
    int r;

    if (strcmp(text, "auto") == 0) {
        *ret = 0;
        return 0;
    }
    r = parse_count(text, &count);
    if (r < 0 || count > WORKERS_MAX) {
        return r < 0 ? r : -ERANGE;
    }
    *ret = count;
    return 0;
}

static int parse_busy_poll(const char *text, struct busy_poll_option *ret)
{
    uint32_t usec = 0;

    if (strcmp(text, "auto") == 0) {
        *ret = (struct busy_poll_option){.automatic = true};
        return 0;
    }
    if (strcmp(text, "off") != 0 && (parse_number(text, &usec) < 0 || usec > BUSY_POLL_MAX_USEC)) {
        return -EINVAL;
    }
    *ret = (struct busy_poll_option){.usec = usec};
    return 0;
}

static enum options_verdict invalid(const char *option, const char *value, const char *expected)
{
    log_line(LOG_ERR, "--%s=%s: not %s; see uds-echod --help.", option, value, expected);
    return OPTIONS_INVALID;
}

enum options_verdict options_parse(int argc, char **argv, struct options *options)
{
    enum {
        BUSY_POLL,
        BYTES_MAX_PER_USER,
        CHECK_POLICY,
        CONNECTIONS_MAX,
        CONNECTIONS_MAX_PER_USER,
        EXIT_IDLE_TIME,
        IDLE_TIMEOUT,
        LOG_LEVEL,
        POLICY,
        VERSION,
        WORKERS
    };
    static const struct option known[] = {
        {"busy-poll", required_argument, NULL, BUSY_POLL},
        {"bytes-max-per-user", required_argument, NULL, BYTES_MAX_PER_USER},
        {"check-policy", required_argument, NULL, CHECK_POLICY},
        {"connections-max", required_argument, NULL, CONNECTIONS_MAX},
        {"connections-max-per-user", required_argument, NULL, CONNECTIONS_MAX_PER_USER},
        {"exit-idle-time", required_argument, NULL, EXIT_IDLE_TIME},
        {"idle-timeout", required_argument, NULL, IDLE_TIMEOUT},
        {"log-level", required_argument, NULL, LOG_LEVEL},
        {"policy", required_argument, NULL, POLICY},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, VERSION},
        {"workers", required_argument, NULL, WORKERS},
        {NULL, 0, NULL, 0},
    };
    int option;

    *options = (struct options){
        .argv = argv,
        .busy_poll = {.automatic = true},
        .exit_idle_usec = TIMESPAN_INFINITY,
        .idle_usec = TIMESPAN_INFINITY,
        .log_level = LOG_INFO,
    };

    optind = 0; /* glibc: start afresh, also the second time */
    while ((option = getopt_long(argc, argv, ":h", known, NULL)) >= 0) {
        switch (option) {
        case BUSY_POLL:
            if (parse_busy_poll(optarg, &options->busy_poll) < 0) {
                return invalid("busy-poll", optarg, "auto, off or microseconds from 0 to 1000000");
            }
            break;
        case BYTES_MAX_PER_USER:
            if (parse_bytes(optarg, &options->limits.bytes_per_user) < 0) {
                return invalid("bytes-max-per-user", optarg, "a size such as 500K, 64M or 1G");
            }
            break;
        case CHECK_POLICY:
            options->check_policy = optarg;
            break;
        case CONNECTIONS_MAX:
            if (parse_connections(optarg, &options->limits.connections) < 0) {
                return invalid("connections-max", optarg, "a number from 1 to 4294967295");
            }
            break;
        case CONNECTIONS_MAX_PER_USER:
            if (parse_connections(optarg, &options->limits.connections_per_user) < 0) {
                return invalid("connections-max-per-user", optarg, "a number from 1 to 4294967295");
            }
            break;
        case EXIT_IDLE_TIME:
            if (timespan_parse(optarg, &options->exit_idle_usec) < 0) {
                return invalid("exit-idle-time", optarg,
                               "a time span such as 90s, 5min or infinity");
            }
            break;
        case IDLE_TIMEOUT:
            if (timespan_parse(optarg, &options->idle_usec) < 0 || options->idle_usec == 0) {
                return invalid("idle-timeout", optarg, "a time span such as 90s, 5min or infinity");
            }
            break;
        case LOG_LEVEL:
            options->log_level = log_level_parse(optarg);
            if (options->log_level < 0) {
                return invalid("log-level", optarg,
                               "emerg, alert, crit, err, warning, notice, info, debug or 0 to 7");
            }
            break;
        case POLICY:
            options->policy = optarg;
            break;
        case WORKERS:
            if (parse_workers(optarg, &options->workers) < 0) {
                return invalid("workers", optarg, "a number from 1 to 256, or auto");
            }
            break;
        case 'h':
            print_help();
            return OPTIONS_DONE;
        case VERSION:
            printf("uds-echod " PROJECT_VERSION "\n");
            return OPTIONS_DONE;
        case ':':
            log_line(LOG_ERR, "Option %s needs a value; see uds-echod --help.", argv[optind - 1]);
            return OPTIONS_INVALID;
        default:
            log_line(LOG_ERR, "Option %s is not known, or takes no value; see uds-echod --help.",
                     argv[optind - 1]);
            return OPTIONS_INVALID;
        }
    }
    if (optind < argc) {
        log_line(LOG_ERR,
                 "Argument %s is not expected: sockets come from systemd; see uds-echod --help.",
                 argv[optind]);
        return OPTIONS_INVALID;
    }
    return OPTIONS_RUN;
}
