// SPDX-License-Identifier: MIT
#include "departure.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "execute.h"
#include "handover.h"
#include "log.h"
#include "util.h"

/* A connection that was passed (Accept=yes) is all that a service of its own serves: there is no
 * next process for it. */
static bool has_successor(const struct departure *departure)
{
    for (size_t i = 0; i < departure->n_sockets; i++) {
        if (departure->sockets[i].kind == SOCKET_LISTENING ||
            departure->sockets[i].kind == SOCKET_DATAGRAM) {
            return true;
        }
    }
    return false;
}

static void drain(struct departure *departure)
{
    departure->phase = DEPARTURE_DRAINS;
    (void)sd_notify(0, "STOPPING=1\nSTATUS=Sending out what was read.");
    workers_drain(departure->workers);
}

static void yield(struct departure *departure, enum departure_phase phase)
{
    departure->phase = phase;
    workers_yield(departure->workers);
}

void departure_stop(struct departure *departure)
{
    if (departure->phase == DEPARTURE_EXECUTES) {
        departure->stop_asked = true;
    } else if (departure->phase == DEPARTURE_NONE) {
        drain(departure);
    }
}

static void tell_restart(void)
{
    (void)sd_notify(0, "STOPPING=1\nSTATUS=Handing over to the next process.");
}

void departure_restart(struct departure *departure)
{
    if (departure->phase == DEPARTURE_EXECUTES && !departure->stop_asked) {
        tell_restart();
        departure->phase = DEPARTURE_RESTARTS; /* they yield already */
        return;
    }
    if (departure->phase != DEPARTURE_NONE || !has_successor(departure)) {
        departure_stop(departure);
        return;
    }
    tell_restart();
    yield(departure, DEPARTURE_RESTARTS);
}

static void log_failed_reload(const struct departure *departure, const char *what)
{
    log_line(LOG_ERR, "Reload failed, and the program goes on that was running: %s %s.",
             departure->argv[0], what);
}

static void log_failed_execution(const struct departure *departure, int error)
{
    char what[REHEARSAL_TEXT_MAX];

    snprintf(what, sizeof(what), "could not be executed (%s)", strerror(-error));
    log_failed_reload(departure, what);
}

static void on_rehearsed(void *context, const char *failure)
{
    struct departure *departure = context;

    rehearsal_free(departure->rehearsal);
    departure->rehearsal = NULL;
    if (departure->phase != DEPARTURE_NONE) {
        return;
    }
    if (failure) {
        log_failed_reload(departure, failure);
        departure->reload_failed(departure);
        return;
    }
    yield(departure, DEPARTURE_EXECUTES);
}

int departure_reload(struct departure *departure)
{
    int r;

    if (departure->phase != DEPARTURE_NONE || !has_successor(departure) ||
        !execute_is_due(departure->argv[0])) {
        return 0;
    }
    r = rehearsal_new(departure->event, departure->argv[0], on_rehearsed, departure,
                      &departure->rehearsal);
    if (r < 0) {
        log_failed_execution(departure, r);
        return r;
    }
    return 1;
}

/* Has the workers come to an end of their own. */
static int stop_instead(struct departure *departure)
{
    int r;

    drain(departure);
    r = workers_start(departure->workers);
    if (r < 0) {
        log_line(LOG_ERR, "What was read could not be sent out: %s.", strerror(-r));
    }
    return r;
}

static void log_handover(const struct handover *handover)
{
    log_line(LOG_INFO, "Handed over %" PRIu64 " connection%s and %" PRIu64 " datagram%s.",
             handover->connections, handover->connections == 1 ? "" : "s", handover->datagrams,
             handover->datagrams == 1 ? "" : "s");
    if (handover->lost > 0) {
        log_line(LOG_NOTICE,
                 "Connections closed, the kernel does not let them travel: %" PRIu64 ".",
                 handover->lost);
    }
}

static void log_stranded(const struct handover *handover)
{
    if (handover->stranded > 0) {
        log_line(LOG_ERR, "What the service manager was given could not be taken back: some of it "
                          "may be sent twice.");
    }
}

static int store(struct departure *departure, struct handover *handover)
{
    int r = handover_store(handover);

    if (r < 0) {
        log_line(LOG_WARNING, "Connections are ended, because the service manager %s: %s.",
                 r == -ENOSPC ? "does not keep them (FileDescriptorStoreMax= in the unit)"
                              : "could not be given them",
                 strerror(-r));
        log_stranded(handover);
        return stop_instead(departure);
    }
    log_handover(handover);
    handover_release(departure->workers);
    return 1;
}

/* Returns a negative errno, if at all. */
static int give_way(const struct departure *departure, const struct handover *handover)
{
    log_handover(handover);
    log_line(LOG_INFO, "Executing %s, which has changed.", departure->argv[0]);
    return execute(departure->argv, departure->sockets, departure->n_sockets, handover);
}

/* Has the workers serve again. */
static int go_on(struct departure *departure)
{
    int r;

    departure->phase = DEPARTURE_NONE;
    workers_resume(departure->workers);
    r = workers_start(departure->workers);
    if (r < 0) {
        log_line(LOG_ERR, "Serving could not go on: %s.", strerror(-r));
        return r;
    }
    departure->reload_failed(departure);
    return 0;
}

static int hand_over_in_place(struct departure *departure)
{
    CLEANUP(handover_deinit) struct handover handover;
    int r;

    workers_join(departure->workers);
    r = handover_pack(&handover, departure->workers);
    if (r == 0) {
        r = give_way(departure, &handover);
    }
    log_failed_execution(departure, r);
    return go_on(departure);
}

static int hand_over(struct departure *departure)
{
    CLEANUP(handover_deinit) struct handover handover;
    int r;

    workers_join(departure->workers);
    r = handover_pack(&handover, departure->workers);
    if (r < 0) {
        log_line(LOG_WARNING, "Connections are ended, they could not be packed: %s.", strerror(-r));
        return stop_instead(departure);
    }
    return handover.connections + handover.datagrams > 0 ? store(departure, &handover) : 1;
}

int departure_advance(struct departure *departure)
{
    switch (departure->phase) {
    case DEPARTURE_RESTARTS:
        return hand_over(departure);
    case DEPARTURE_EXECUTES:
        return departure->stop_asked ? stop_instead(departure) : hand_over_in_place(departure);
    case DEPARTURE_NONE:
    case DEPARTURE_DRAINS:
        break;
    }
    return 1;
}

void departure_deinit(struct departure *departure)
{
    rehearsal_free(departure->rehearsal);
    departure->rehearsal = NULL;
}
