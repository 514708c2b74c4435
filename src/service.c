// SPDX-License-Identifier: MIT
#include "service.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

#include "counters.h"
#include "log.h"
#include "timespan.h"
#include "util.h"
#include "worker.h"

enum {
    STATUS_SOON_USEC = 100 * 1000,   /* after a quiet time, STATUS= changes this soon */
    STATUS_USEC = 1000 * 1000,       /* STATUS= changes at most this often */
    TROUBLE_USEC = 10 * 1000 * 1000, /* a trouble of one kind is logged at most this often */
    DESCRIPTORS_RESERVED = 32,       /* not for connections: epoll, event, log, sockets … */
};

struct service {
    sd_event *event;
    sd_event_source *status_timer;
    struct worker *worker;
    bool stopping;       /* a signal asked for it */
    bool activity_asked; /* nothing had changed at the last look */
    uint64_t messages_shown;
    uint64_t connected_shown;
    uint64_t owed_shown;
    struct {
        uint64_t count; /* how many have been logged */
        uint64_t at;    /* when; CLOCK_MONOTONIC in microseconds */
    } logged[COUNTER_MAX];
};

static void service_deinit(struct service *service)
{
    sd_event_source_unref(service->status_timer);
    sd_event_unref(service->event);
    worker_free(service->worker);
    *service = (struct service){0};
}

static void show_status(struct service *service)
{
    const struct counters *counters = worker_counters(service->worker);
    uint64_t connected = counter_get(counters, COUNTER_CONNECTED);
    uint64_t messages = counter_get(counters, COUNTER_MESSAGES);
    uint64_t owed = counter_get(counters, COUNTER_OWED);
    char waiting[64] = "";

    service->connected_shown = connected;
    service->messages_shown = messages;
    service->owed_shown = owed;
    if (owed > 0) {
        snprintf(waiting, sizeof(waiting), "; %" PRIu64 " datagram%s wait%s to be read", owed,
                 owed == 1 ? "" : "s", owed == 1 ? "s" : "");
    }
    (void)sd_notifyf(
        0, "STATUS=Echoing: %" PRIu64 " connection%s now, %" PRIu64 " message%s so far%s.",
        connected, connected == 1 ? "" : "s", messages, messages == 1 ? "" : "s", waiting);
}

/* What a client alone brought about is for those who look for it. */
static int trouble_priority(enum counter trouble)
{
    return trouble == COUNTER_ABANDONED ? LOG_DEBUG : LOG_NOTICE;
}

/*
 * Logs each kind of trouble that there has been since it was last logged. Returns whether one had
 * to be left for later. FINAL: now or never.
 */
static bool log_troubles(struct service *service, uint64_t now, bool final)
{
    const struct counters *counters = worker_counters(service->worker);
    bool left = false;

    for (enum counter trouble = COUNTER_FIRST_TROUBLE; trouble < COUNTER_MAX; trouble++) {
        uint64_t count = counter_get(counters, trouble);
        uint64_t news = count - service->logged[trouble].count;
        if (news == 0) {
            continue;
        }
        if (!final && service->logged[trouble].count > 0 &&
            now - service->logged[trouble].at < TROUBLE_USEC) {
            left = true;
            continue;
        }
        service->logged[trouble].count = count;
        service->logged[trouble].at = now;
        log_line(trouble_priority(trouble), "%s: %" PRIu64 ", %" PRIu64 " in all.",
                 counter_text(trouble), news, count);
    }
    return left;
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
    const struct counters *counters = worker_counters(service->worker);
    bool changed = counter_get(counters, COUNTER_MESSAGES) != service->messages_shown ||
                   counter_get(counters, COUNTER_CONNECTED) != service->connected_shown ||
                   counter_get(counters, COUNTER_OWED) != service->owed_shown;

    if (changed && !service->stopping) {
        show_status(service);
    }
    (void)source;
    if (log_troubles(service, due, false)) {
        changed = true;
    }
    if (changed) {
        service->activity_asked = false;
        return look_in(service, STATUS_USEC);
    }
    if (!service->activity_asked) {
        service->activity_asked = true;
        worker_ask_activity(service->worker);
        return look_in(service, STATUS_USEC);
    }
    return 0;
}

static int on_worker_event(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    struct service *service = userdata;

    (void)source;
    (void)fd;
    (void)revents;
    worker_clear_event(service->worker);
    if (worker_stopped(service->worker)) {
        return sd_event_exit(service->event, 0);
    }
    service->activity_asked = false;
    return look_in(service, STATUS_SOON_USEC);
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
    struct service *service = userdata;

    (void)source;
    service->stopping = true;
    log_line(LOG_DEBUG, "%s: sending out what was read, then stopping.",
             info->ssi_signo == SIGINT ? "SIGINT" : "SIGTERM");
    (void)sd_notify(0, "STOPPING=1\nSTATUS=Sending out what was read.");
    worker_drain(service->worker);
    return 0;
}

static int block_signals(void)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    return sigprocmask(SIG_BLOCK, &signals, NULL) < 0 ? -errno : 0;
}

static int service_listen(struct service *service)
{
    int r;

    if ((r = sd_event_new(&service->event)) < 0 ||
        (r = sd_event_add_signal(service->event, NULL, SIGTERM, on_signal, service)) < 0 ||
        (r = sd_event_add_signal(service->event, NULL, SIGINT, on_signal, service)) < 0 ||
        (r = sd_event_add_io(service->event, NULL, worker_event_fd(service->worker), EPOLLIN,
                             on_worker_event, service)) < 0 ||
        (r = sd_event_add_time_relative(service->event, &service->status_timer, CLOCK_MONOTONIC,
                                        STATUS_SOON_USEC, STATUS_SOON_USEC, on_status_timer,
                                        service)) < 0) {
        return r;
    }
    return 0;
}

/*
 * How many connections there are descriptors for, besides those that the daemon needs for itself,
 * now or in a moment (sd_notify(3) opens a socket each time).
 */
static uint64_t find_connections_fit(size_t n_sockets)
{
    struct rlimit limit;
    rlim_t reserved = DESCRIPTORS_RESERVED + n_sockets;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
        limit.rlim_cur = limit.rlim_max = 1024;
    }
    if (limit.rlim_cur < limit.rlim_max) {
        /* Nothing here uses select(2), for which the soft limit is low (systemd.exec(5)). */
        const struct rlimit raised = {.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0) {
            limit = raised;
        }
    }
    return limit.rlim_cur > reserved ? limit.rlim_cur - reserved : 1;
}

static void log_sockets(const struct activated *sockets, size_t n_sockets)
{
    for (size_t i = 0; i < n_sockets; i++) {
        char address[ACTIVATION_TEXT_MAX];
        log_line(LOG_INFO, "Echoing on %s (%s%s).", activation_describe(sockets[i].fd, address),
                 activation_type_name(sockets[i].type),
                 sockets[i].kind == SOCKET_CONNECTED ? ", one connection" : "");
    }
}

static void log_end(const struct service *service)
{
    const struct counters *counters = worker_counters(service->worker);

    log_line(LOG_INFO, "Stopped%s after %" PRIu64 " connections and %" PRIu64 " messages.",
             service->stopping ? "" : ", being idle,", counter_get(counters, COUNTER_ACCEPTED),
             counter_get(counters, COUNTER_MESSAGES));
}

int service_run(const struct options *options, const struct activated *sockets, size_t n_sockets)
{
    CLEANUP(service_deinit) struct service service = {0};
    uint64_t fit = find_connections_fit(n_sockets);
    const struct worker_config config = {
        .sockets = sockets,
        .n_sockets = n_sockets,
        .connections_max = options->connections_max > 0 ? options->connections_max : fit,
        .connections_fit = fit,
        .exit_idle_usec = options->exit_idle_usec,
    };
    int r;

    if (options->connections_max > fit) {
        log_line(LOG_NOTICE,
                 "--connections-max=%" PRIu32
                 " is more than there are descriptors for (LimitNOFILE=): "
                 "connections beyond %" PRIu64 " wait to be accepted.",
                 options->connections_max, fit);
    }
    if ((r = block_signals()) < 0 || (r = worker_new(&config, &service.worker)) < 0 ||
        (r = service_listen(&service)) < 0 || (r = worker_start(service.worker)) < 0) {
        log_line(LOG_ERR, "Serving could not begin: %s.", strerror(-r));
        return r;
    }

    log_sockets(sockets, n_sockets);
    show_status(&service);
    (void)sd_notify(0, "READY=1");
    r = sd_event_loop(service.event);
    if (r < 0) {
        log_line(LOG_ERR, "The event loop failed: %s.", strerror(-r));
        return r;
    }
    (void)sd_notify(0, "STOPPING=1");
    (void)log_troubles(&service, 0, true);
    log_end(&service);
    return 0;
}
