// SPDX-License-Identifier: MIT
#include "service.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>
#include <time.h>

#include "counters.h"
#include "decisions.h"
#include "departure.h"
#include "descriptors.h"
#include "events.h"
#include "handover.h"
#include "log.h"
#include "loop.h"
#include "outlook.h"
#include "reload.h"
#include "status.h"
#include "timespan.h"
#include "util.h"
#include "watchdog.h"
#include "workers.h"

enum {
    STATUS_SOON_USEC = 100 * 1000, /* after a quiet time, STATUS= changes this soon */
    STATUS_USEC = 1000 * 1000,     /* STATUS= changes at most this often */
    READY_TRIES = 20,
};

struct service {
    sd_event *event;
    sd_event_source *status_timer;
    sd_event_source *decisions_timer;
    struct decisions *decisions;
    struct workers *workers;
    struct watchdog *watchdog;
    struct departure departure;
    struct reload reload;
    bool activity_asked; /* nothing had changed at the last look */
    struct status status;
};

static void service_deinit(struct service *service)
{
    sd_event_source_unref(service->status_timer);
    sd_event_source_unref(service->decisions_timer);
    decisions_free(service->decisions);
    watchdog_free(service->watchdog);
    departure_deinit(&service->departure);
    sd_event_unref(service->event);
    workers_free(service->workers);
    *service = (struct service){0};
}

static int look_in(const struct service *service, uint64_t usec)
{
    int r = sd_event_source_set_time_relative(service->status_timer, usec);

    return r < 0 ? r : sd_event_source_set_enabled(service->status_timer, SD_EVENT_ONESHOT);
}

/*
 * Looks at the counters, at a modest rate while something goes on and not at all while nothing
 * does: then the worker is asked to tell. A change that crosses with the asking is seen by one more
 * look.
 */
static int on_status_timer(sd_event_source *source, uint64_t due, void *userdata)
{
    struct service *service = userdata;
    struct counters counters;
    bool changed;

    workers_count(service->workers, &counters);
    changed = status_look(&service->status, &counters);
    if (changed && !departure_is_final(&service->departure)) {
        status_show(&service->status);
    }
    (void)source;
    if (status_log_troubles(&service->status, &counters, due, false)) {
        changed = true;
    }
    if (changed) {
        service->activity_asked = false;
        return look_in(service, STATUS_USEC);
    }
    if (!service->activity_asked) {
        service->activity_asked = true;
        workers_ask_activity(service->workers);
        return look_in(service, STATUS_USEC);
    }
    return 0;
}

/* Writes what the workers have decided, and has the rest of what is left out written in time. */
static int log_decisions(const struct service *service)
{
    struct audit_record record;
    uint64_t now = loop_now();

    while (workers_read_audit(service->workers, &record)) {
        decisions_take(service->decisions, now, &record);
    }
    if (decisions_deadline(service->decisions) <= now) {
        decisions_flush(service->decisions, now, false);
    }
    if (decisions_deadline(service->decisions) == UINT64_MAX) {
        return 0;
    }
    sd_event_source_set_time(service->decisions_timer, decisions_deadline(service->decisions));
    return sd_event_source_set_enabled(service->decisions_timer, SD_EVENT_ONESHOT);
}

static int on_decisions_timer(sd_event_source *source, uint64_t due, void *userdata)
{
    (void)source;
    (void)due;
    return log_decisions(userdata);
}

static void on_reload_failed(struct departure *departure)
{
    reload_end(&CONTAINER_OF(departure, struct service, departure)->reload);
}

static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
    struct service *service = userdata;

    (void)source;
    (void)info;
    reload_begin(&service->reload);
    return 0;
}

/* All workers have stopped. */
static int leave(struct service *service)
{
    int r;

    decisions_flush(service->decisions, loop_now(), true);
    r = departure_advance(&service->departure);
    return r == 0 ? 0 : sd_event_exit(service->event, r < 0 ? r : 0);
}

static int on_worker_event(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    struct service *service = userdata;

    (void)source;
    (void)fd;
    (void)revents;
    workers_take_event(service->workers);
    (void)log_decisions(service);
    reload_advance(&service->reload);
    if (workers_stopped(service->workers)) {
        return leave(service);
    }
    service->activity_asked = false;
    /* A look that is due is not put off by more events. */
    return sd_event_source_get_enabled(service->status_timer, NULL) > 0
               ? 0
               : look_in(service, STATUS_SOON_USEC);
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
    struct service *service = userdata;

    (void)source;
    if (info->ssi_signo == SIGUSR1) {
        departure_restart(&service->departure);
    } else {
        departure_stop(&service->departure);
    }
    return 0;
}

/* Without a service manager and a policy, SIGHUP ends it, as it would any program. */
static bool can_reload(const struct service *service)
{
    // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody changes the environment
    return service->reload.policy_file || getenv("NOTIFY_SOCKET");
}

static int block_signals(bool reloads)
{
    sigset_t signals;

    sigemptyset(&signals);
    if (reloads) {
        sigaddset(&signals, SIGHUP);
    }
    sigaddset(&signals, SIGPIPE); /* splice(2) has no MSG_NOSIGNAL */
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGUSR1);
    sigaddset(&signals, SIGCHLD); /* for rehearsal.h */
    return sigprocmask(SIG_BLOCK, &signals, NULL) < 0 ? -errno : 0;
}

static int service_listen(struct service *service)
{
    int r;

    service->decisions = decisions_new();
    if (!service->decisions) {
        return -ENOMEM;
    }
    if ((r = sd_event_new(&service->event)) < 0 ||
        (r = sd_event_add_signal(service->event, NULL, SIGTERM, on_signal, service)) < 0 ||
        (r = sd_event_add_signal(service->event, NULL, SIGINT, on_signal, service)) < 0 ||
        (r = sd_event_add_signal(service->event, NULL, SIGUSR1, on_signal, service)) < 0 ||
        (can_reload(service) &&
         (r = sd_event_add_signal(service->event, NULL, SIGHUP, on_hangup, service)) < 0) ||
        (r = sd_event_add_io(service->event, NULL, workers_event_fd(service->workers), EPOLLIN,
                             on_worker_event, service)) < 0 ||
        (r = sd_event_add_time_relative(service->event, &service->status_timer, CLOCK_MONOTONIC,
                                        STATUS_SOON_USEC, STATUS_SOON_USEC, on_status_timer,
                                        service)) < 0 ||
        (r = sd_event_add_time(service->event, &service->decisions_timer, CLOCK_MONOTONIC,
                               UINT64_MAX, 0, on_decisions_timer, service)) < 0) {
        return r;
    }
    service->departure.event = service->event;
    service->departure.workers = service->workers;
    service->reload.departure = &service->departure;
    service->reload.workers = service->workers;
    r = watchdog_new(service->event, service->workers, &service->watchdog);
    return r < 0 ? r : events_prepare(service->event);
}

static void log_end(const struct service *service, const struct counters *counters)
{
    log_line(LOG_INFO, "Stopped%s after %" PRIu64 " connections and %" PRIu64 " messages.",
             departure_is_final(&service->departure) ? "" : ", being idle,",
             counter_get(counters, COUNTER_ACCEPTED), counter_get(counters, COUNTER_MESSAGES));
}

static bool any_echoes(const struct activated *sockets, size_t n_sockets)
{
    for (size_t i = 0; i < n_sockets; i++) {
        if (sockets[i].role != ROLE_WHOAMI) {
            return true;
        }
    }
    return false;
}

/* Takes up what the process before has left. */
static void take_over(struct service *service, const struct activated *sockets, size_t n_sockets)
{
    uint64_t n = handover_take(service->workers, sockets, n_sockets);

    if (n > 0) {
        log_line(LOG_INFO, "Took over %" PRIu64 " connection%s.", n, n == 1 ? "" : "s");
    }
}

/* Who waits for this in vain ends the service after a while, with all its connections: so not at
 * the first failure. Returns 0 or a negative errno. */
static int say_ready(void)
{
    const struct timespec pause = {.tv_nsec = 50000000};
    int r = sd_notify(0, "READY=1");

    for (int tries = 1; r < 0 && tries < READY_TRIES; tries++) {
        (void)nanosleep(&pause, NULL);
        r = sd_notify(0, "READY=1");
    }
    return r < 0 ? r : 0;
}

/* Returns when all has come to its end: 0, or a negative errno that the log has explained. */
static int service_serve(struct service *service)
{
    struct counters counters;
    int r;

    workers_count(service->workers, &counters);
    (void)status_look(&service->status, &counters);
    status_show(&service->status);
    /* Before anybody is served: who was may have the service reloaded, which systemd does not do to
     * one that is not ready. */
    r = say_ready();
    if (r < 0) {
        log_line(LOG_ERR, "The service manager could not be told of the start: %s.", strerror(-r));
        return r;
    }
    r = workers_start(service->workers);
    if (r < 0) {
        log_line(LOG_ERR, "Serving could not begin: %s.", strerror(-r));
        return r;
    }
    r = events_run(service->event);
    if (r < 0) {
        return r; /* the log has said why */
    }
    (void)sd_notify(0, "STOPPING=1");
    (void)log_decisions(service);
    decisions_flush(service->decisions, loop_now(), true);
    workers_count(service->workers, &counters);
    (void)status_log_troubles(&service->status, &counters, 0, true);
    log_end(service, &counters);
    return 0;
}

int service_run(const struct options *options, const struct activated *sockets, size_t n_sockets,
                struct policy *policy)
{
    CLEANUP(service_deinit)
    struct service service = {
        .reload = {.policy_file = options->policy},
        .departure = {.sockets = sockets,
                      .n_sockets = n_sockets,
                      .argv = options->argv,
                      .reload_failed = on_reload_failed},
        .status = {.echoes = any_echoes(sockets, n_sockets)},
    };
    unsigned needs = policy ? policy_needs(policy) : 0;
    size_t n_workers =
        workers_for(options->workers > 0 ? options->workers : workers_auto(), sockets, n_sockets);
    uint64_t fit = descriptors_fit(n_sockets, n_workers, policy);
    const struct workers_config config = {
        .n = n_workers,
        .sockets = sockets,
        .n_sockets = n_sockets,
        .limits = quota_limits_complete(options->limits, fit),
        .connections_fit = fit,
        .busy_poll = options->busy_poll,
        .exit_idle_usec = options->exit_idle_usec,
        .idle_usec = options->idle_usec,
        .policy = policy,
    };
    int r;

    if (options->limits.connections > fit) {
        log_line(LOG_NOTICE,
                 "--connections-max=%" PRIu64
                 " is more than there are descriptors for (LimitNOFILE=): "
                 "connections beyond %" PRIu64 " wait to be accepted.",
                 options->limits.connections, fit);
    }
    if ((r = block_signals(can_reload(&service))) < 0 ||
        (r = workers_new(&config, &service.workers)) < 0 || (r = service_listen(&service)) < 0) {
        log_line(LOG_ERR, "Serving could not begin: %s.", strerror(-r));
        return r;
    }

    activation_log(sockets, n_sockets);
    log_line(n_workers > 1 ? LOG_INFO : LOG_DEBUG, "Serving with %zu worker%s.", n_workers,
             n_workers == 1 ? "" : "s");
    if (policy) {
        outlook_tell(needs);
    }
    take_over(&service, sockets, n_sockets);
    return service_serve(&service);
}
