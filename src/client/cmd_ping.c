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
#include "interrupt.h"
#include "ping.h"
#include "timespan.h"
#include "unit.h"
#include "util.h"
#include "wait.h"

enum {
    SIZE_MIN = 16,
    SIZE_MAX_BYTES = 16 * 1024 * 1024,
    SIZE_USUAL = 64,
    PAUSE_USEC_MIN =
        5 * 1000, /* before a new connection, twice as long each time that it is in vain */
    PAUSE_USEC_MAX = 100 * 1000,
};

#define SHORTS COMMON_SHORT "c:i:s:q"
enum { OPTION_RECONNECT = 256 };

/* Each message is another one: its number, then bytes that depend on it. */
static void fill_message(struct ping *ping, uint64_t number)
{
    memcpy(ping->message, &number, sizeof(number));
    for (size_t i = sizeof(number); i < ping->size; i++) {
        ping->message[i] = (char)(number * 31 + i);
    }
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
    ping->pause_usec = 0;
    ping->checked++;
    if (activated) {
        ping->activated_nsec = nsec;
    } else {
        histogram_record(&ping->times, nsec);
    }
    ping_tell_reply(ping, number, nsec, activated);
    return 0;
}

/* Opens the session. A service that has to be started first is known by its unit. */
static int ping_open(struct ping *ping)
{
    ping->activates = unit_waits_for_client(&ping->target);
    return session_open(&ping->session, &ping->target, ping->common.timeout_usec);
}

/* Sleeps, unless there was a signal. */
static void sleep_for(uint64_t usec)
{
    const struct timespec pause = {
        .tv_sec = (time_t)(usec / 1000000),
        .tv_nsec = (long)(usec % 1000000) * 1000,
    };

    if (!interrupt_came()) {
        (void)nanosleep(&pause, NULL);
    }
}

/*
 * Tries to connect anew until the time for an answer is over. A service that closes each connection
 * at once is not worn out by that. Returns 0 or a negative errno.
 */
static int ping_reconnect(struct ping *ping)
{
    uint64_t deadline = wait_deadline(ping->common.timeout_usec);
    int r;

    session_close(&ping->session);
    do {
        ping->pause_usec = ping->pause_usec == 0                   ? PAUSE_USEC_MIN
                           : ping->pause_usec * 2 < PAUSE_USEC_MAX ? ping->pause_usec * 2
                                                                   : PAUSE_USEC_MAX;
        sleep_for(ping->pause_usec);
        r = ping_open(ping);
    } while (r < 0 && !interrupt_came() && wait_now() < deadline);
    ping->reconnects += r == 0;
    return r;
}

/* Waits until the next message is due. The interval is counted from START, so that it does not
 * drift. */
static void ping_pause(const struct ping *ping, uint64_t start)
{
    uint64_t now = wait_now();
    uint64_t due;

    if (__builtin_mul_overflow(ping->sent, ping->interval_usec, &due) ||
        __builtin_add_overflow(start, due, &due)) {
        due = UINT64_MAX;
    }
    if (ping->interval_usec > 0 && due > now) {
        sleep_for(due - now);
    }
}

/*
 * Sends messages until all have been sent, Ctrl-C, or the end of the connection. Returns 0, or the
 * negative errno that ended it: -EINTR by Ctrl-C while there was something to wait for.
 */
static int ping_all(struct ping *ping)
{
    uint64_t start = wait_now();
    int r = 0;

    while (ping->sent < ping->count && !interrupt_came() && !ferror(stdout)) {
        r = ping_once(ping);
        if (r == -EINTR || r == -EMSGSIZE) {
            ping->sent--; /* nobody waits for it any more, or it never was on its way */
            return r;
        }
        if (r == -EACCES) {
            return r;
        }
        if (r < 0) {
            ping_tell_failure(ping, r);
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

    if (r < 0 && r != -EINTR) {
        return target_fail(&ping->common, &ping->target, r);
    }
    if (r == 0) {
        ping_tell_begin(ping);
        r = ping_all(ping);
    }
    session_close(&ping->session);
    if (r == -EINTR || (r < 0 && interrupt_came())) {
        r = 0;
    }
    if (r == -EACCES && ping->checked == 0) {
        if (ping->common.json) {
            (void)ping_print_json(ping);
        }
        return policy_complain(&ping->target);
    }
    if (r < 0) {
        (void)target_complain(&ping->target, r);
    }
    if (ping->common.json) {
        (void)ping_print_json(ping);
    } else {
        ping_print_summary(ping);
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
    interrupt_catch(SIGINT);
    interrupt_catch(SIGTERM);
    status = ping_run(&ping);
    free(ping.message);
    free(ping.name);
    return status;
}
