// SPDX-License-Identifier: MIT

/* uds-echo ping: messages one after the other, each checked and timed. */

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client.h"
#include "histogram.h"
#include "output.h"
#include "session.h"
#include "timespan.h"
#include "unit.h"
#include "util.h"
#include "wait.h"

enum { SIZE_MIN = 16, SIZE_MAX_BYTES = 16 * 1024 * 1024, SIZE_USUAL = 64 };

#define SHORTS COMMON_SHORT "c:i:s:q"
enum { OPTION_RECONNECT = 256 };

static volatile sig_atomic_t interrupted;

struct ping {
    struct common common;
    struct target target;
    char *name; /* the target's, fit for a terminal */
    struct terminal terminal;
    uint64_t count; /* UINT64_MAX: until Ctrl-C */
    uint64_t interval_usec;
    uint64_t size;
    bool quiet;
    bool reconnect;

    struct session session;
    char *message;
    struct histogram times;  /* nanoseconds, without that of the activation */
    uint64_t activated_nsec; /* 0: the service was not started by this */
    bool activates;          /* the next reply comes from a service that has to be started */
    uint64_t sent;
    uint64_t checked;
    uint64_t wrong;
    uint64_t lost;
    uint64_t reconnects;
};

static void on_interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

/* No SA_RESTART: what waits is to wake up. */
static void catch_interrupts(void)
{
    const struct sigaction action = {.sa_handler = on_interrupt};

    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

/* Each message is another one: its number, then bytes that depend on it. */
static void fill_message(struct ping *ping, uint64_t number)
{
    memcpy(ping->message, &number, sizeof(number));
    for (size_t i = sizeof(number); i < ping->size; i++) {
        ping->message[i] = (char)(number * 31 + i);
    }
}

static void tell_reply(const struct ping *ping, uint64_t number, uint64_t nsec, bool activated)
{
    char size[OUTPUT_TEXT_MAX];
    char time[OUTPUT_TEXT_MAX];

    if (ping->quiet || ping->common.json) {
        return;
    }
    output_time(&ping->terminal, (double)nsec / 1000, time);
    printf("%s: seq=%" PRIu64 " ", output_size((double)ping->size, size), number);
    if (activated) {
        printf("%sactivated in %s%s\n", colour_strong(&ping->terminal), time,
               colour_end(&ping->terminal));
    } else {
        printf("time=%s\n", time);
    }
    (void)fflush(stdout);
}

/* One message there and back. Returns 0 or a negative errno of session_exchange(). */
static int ping_once(struct ping *ping)
{
    bool activated = ping->activates;
    uint64_t number = ++ping->sent;
    uint64_t start;
    uint64_t nsec;
    int r;

    fill_message(ping, number);
    start = wait_now_nsec();
    r = session_exchange(&ping->session, ping->message, ping->size, ping->common.timeout_usec);
    if (r < 0) {
        return r;
    }
    nsec = wait_now_nsec() - start;
    ping->activates = false;
    ping->checked++;
    if (activated) {
        ping->activated_nsec = nsec;
    } else {
        histogram_record(&ping->times, nsec);
    }
    tell_reply(ping, number, nsec, activated);
    return 0;
}

/* Opens the session. A service that has to be started first is known by its unit. */
static int ping_open(struct ping *ping)
{
    ping->activates = unit_waits_for_client(&ping->target);
    return session_open(&ping->session, &ping->target, ping->common.timeout_usec);
}

/* Tries to connect anew until the time for an answer is over. Returns 0 or a negative errno. */
static int ping_reconnect(struct ping *ping)
{
    const struct timespec pause = {.tv_nsec = 10000000};
    uint64_t deadline = wait_deadline(ping->common.timeout_usec);
    int r;

    session_close(&ping->session);
    while ((r = ping_open(ping)) < 0 && !interrupted && wait_now() < deadline) {
        (void)nanosleep(&pause, NULL);
    }
    ping->reconnects += r == 0;
    return r;
}

/* Says what became of a message that did not come back. */
static void tell_failure(struct ping *ping, int r)
{
    const char *text = ping->target.text;

    if (r == -EBADMSG) {
        ping->wrong++;
        complain("%s: message %" PRIu64 " came back changed.", text, ping->sent);
        return;
    }
    ping->lost++;
    if (r == -ETIMEDOUT) {
        complain("%s: message %" PRIu64 " did not come back in time.", text, ping->sent);
    } else if (r == -ECONNRESET || r == -EPIPE) {
        complain("%s: the service closed the connection before message %" PRIu64 " came back.",
                 text, ping->sent);
    } else {
        complain("%s: message %" PRIu64 ": %s.", text, ping->sent, strerror(-r));
    }
}

static void print_times(const struct ping *ping)
{
    const struct histogram *times = &ping->times;
    const double values[] = {
        (double)times->min,
        (double)histogram_percentile(times, 50),
        (double)histogram_percentile(times, 99),
        (double)times->max,
        histogram_deviation(times),
    };
    static const char *const names[] = {"min", "p50", "p99", "max", "stddev"};
    char text[OUTPUT_TEXT_MAX];

    for (size_t i = 0; i < ELEMENTS(values); i++) {
        printf("%s%s %s", i == 0 ? "" : ", ", names[i],
               output_time(&ping->terminal, values[i] / 1000, text));
    }
    printf("\n");
}

static void print_summary(const struct ping *ping)
{
    char text[OUTPUT_TEXT_MAX];

    printf("%s%s%s (%s): %" PRIu64 " sent, %" PRIu64 " checked", colour_strong(&ping->terminal),
           ping->name, colour_end(&ping->terminal), target_type_name(ping->target.type), ping->sent,
           ping->checked);
    if (ping->wrong > 0) {
        printf(", %s%" PRIu64 " wrong%s", colour_bad(&ping->terminal), ping->wrong,
               colour_end(&ping->terminal));
    }
    if (ping->lost > 0) {
        printf(", %s%" PRIu64 " lost%s", colour_bad(&ping->terminal), ping->lost,
               colour_end(&ping->terminal));
    }
    if (ping->reconnects > 0) {
        printf(", connected anew %" PRIu64 " time%s", ping->reconnects,
               ping->reconnects == 1 ? "" : "s");
    }
    printf("\n");
    if (ping->activated_nsec > 0) {
        printf("activated in %s\n",
               output_time(&ping->terminal, (double)ping->activated_nsec / 1000, text));
    }
    if (ping->times.count > 0) {
        print_times(ping);
    }
}

static bool print_json(const struct ping *ping)
{
    const struct histogram *times = &ping->times;
    json_t *object =
        json_pack("{s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "socket",
                  report_string(ping->target.text), "type", target_type_name(ping->target.type),
                  "size", (json_int_t)ping->size, "sent", (json_int_t)ping->sent, "checked",
                  (json_int_t)ping->checked, "wrong", (json_int_t)ping->wrong, "lost",
                  (json_int_t)ping->lost, "reconnects", (json_int_t)ping->reconnects);

    json_object_set_new(object, "activated_ns",
                        ping->activated_nsec > 0 ? json_integer((json_int_t)ping->activated_nsec)
                                                 : json_null());
    json_object_set_new(object, "time_ns",
                        times->count == 0
                            ? json_null()
                            : json_pack("{s:I, s:I, s:I, s:I, s:f}", "min", (json_int_t)times->min,
                                        "p50", (json_int_t)histogram_percentile(times, 50), "p99",
                                        (json_int_t)histogram_percentile(times, 99), "max",
                                        (json_int_t)times->max, "stddev",
                                        histogram_deviation(times)));
    return output_json(object);
}

/* Waits until the next message is due. The interval is counted from START, so that it does not
 * drift. */
static void ping_pause(const struct ping *ping, uint64_t start)
{
    uint64_t due = start + ping->sent * ping->interval_usec;
    uint64_t now = wait_now();

    if (ping->interval_usec > 0 && due > now) {
        const struct timespec pause = {
            .tv_sec = (time_t)((due - now) / 1000000),
            .tv_nsec = (long)((due - now) % 1000000) * 1000,
        };
        (void)nanosleep(&pause, NULL);
    }
}

/* Sends messages until all have been sent, Ctrl-C, or the end of the connection. Returns 0, or the
 * negative errno that ended it. */
static int ping_all(struct ping *ping)
{
    uint64_t start = wait_now();
    int r = 0;

    while (ping->sent < ping->count && !interrupted && !ferror(stdout)) {
        r = ping_once(ping);
        if (r == -EINTR) {
            ping->sent--; /* nobody waits for it any more */
            return 0;
        }
        if (r == -EACCES) {
            return r;
        }
        if (r < 0) {
            tell_failure(ping, r);
            /* What comes late must not be taken for the next reply, so there is a new connection.
             */
            if (!ping->reconnect && ping->target.type != SOCK_DGRAM) {
                return 0;
            }
            r = ping_reconnect(ping);
            if (r < 0) {
                return r;
            }
        }
        if (ping->sent < ping->count) {
            ping_pause(ping, start);
        }
    }
    return 0;
}

static int ping_run(struct ping *ping)
{
    int r = ping_open(ping);

    if (r < 0) {
        return target_fail(&ping->common, &ping->target, r);
    }
    if (!ping->quiet && !ping->common.json) {
        char size[OUTPUT_TEXT_MAX];
        printf("%s (%s), %s a message\n", ping->name, target_type_name(ping->target.type),
               output_size((double)ping->size, size));
        (void)fflush(stdout);
    }
    r = ping_all(ping);
    session_close(&ping->session);
    if (r == -EACCES && ping->checked == 0) {
        if (ping->common.json) {
            (void)print_json(ping);
        }
        return policy_complain(&ping->target);
    }
    if (r < 0) {
        (void)target_complain(&ping->target, r);
    }
    if (ping->common.json) {
        (void)print_json(ping);
    } else {
        print_summary(ping);
    }
    return r == 0 && ping->wrong + ping->lost == 0 ? STATUS_OK : STATUS_WRONG;
}

/* Reads the command line into PING. Returns -1 to go on, or the exit status. */
static int ping_options(struct ping *ping, int argc, char **argv)
{
    static const struct option known[] = {
        COMMON_OPTIONS,
        {"count", required_argument, NULL, 'c'},
        {"interval", required_argument, NULL, 'i'},
        {"size", required_argument, NULL, 's'},
        {"quiet", no_argument, NULL, 'q'},
        {"reconnect", no_argument, NULL, OPTION_RECONNECT},
        {NULL, 0, NULL, 0},
    };
    int option;
    int r;

    while ((option = getopt_long(argc, argv, SHORTS, known, NULL)) >= 0) {
        switch (option) {
        case 'c':
            if (!read_number(optarg, 1, UINT64_MAX - 1, &ping->count)) {
                return usage_error("ping", "--count=%s: not a number from 1", optarg);
            }
            break;
        case 'i':
            if (timespan_parse(optarg, &ping->interval_usec) < 0 ||
                ping->interval_usec == TIMESPAN_INFINITY) {
                return usage_error("ping", "--interval=%s: not a time span such as 200ms or 1s",
                                   optarg);
            }
            break;
        case 's':
            if (!read_size(optarg, SIZE_MIN, SIZE_MAX_BYTES, &ping->size)) {
                return usage_error("ping", "--size=%s: not a size from %d bytes to 16M", optarg,
                                   SIZE_MIN);
            }
            break;
        case 'q':
            ping->quiet = true;
            break;
        case OPTION_RECONNECT:
            ping->reconnect = true;
            break;
        default:
            r = common_take(&ping->common, "ping", option, SHORTS, argv);
            if (r >= 0) {
                return r;
            }
        }
    }
    if (argc - optind > 1) {
        return usage_error("ping", "Argument %s is not expected", argv[optind + 1]);
    }
    r = take_target(&ping->common, "ping", optind < argc ? argv[optind] : NULL, &ping->target);
    return r == 0 ? -1 : r;
}

int cmd_ping(int argc, char **argv)
{
    static struct ping ping = {
        .count = UINT64_MAX,
        .interval_usec = 1000000,
        .size = SIZE_USUAL,
        .session = {.fd = -1},
    };
    int status;

    ping.common = common_defaults;
    histogram_init(&ping.times);
    status = ping_options(&ping, argc, argv);
    if (status >= 0) {
        return status;
    }
    ping.message = malloc(ping.size);
    ping.name = strdup(ping.target.text);
    if (!ping.message || !ping.name) {
        complain("There is no memory for a message of %" PRIu64 " bytes.", ping.size);
        return STATUS_WRONG;
    }
    output_clean(ping.name);
    terminal_look(&ping.terminal);
    catch_interrupts();
    status = ping_run(&ping);
    free(ping.message);
    free(ping.name);
    return status;
}
