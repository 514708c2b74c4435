// SPDX-License-Identifier: MIT

/*
 * swarm CONDUCT SOCKET: clients of one socket that behave well, badly, or without any sense. Says
 * "ready" when there has been one in each place, and those that read have been answered; and in
 * the end, which is after --seconds, after --connections, or at SIGTERM, what became of them, as
 * one JSON object. --help has the rest.
 */

#include "swarm.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "client.h"
#include "options.h"
#include "pattern.h"
#include "wire.h"

enum {
    EVENTS = 256,
    OPENED_AT_ONCE = 64, /* so that those that are there are not left waiting */
    RETRY_USEC = 1000,
    OWN_DESCRIPTORS = 64,
    MSEC = 1000,
    SEC = 1000 * 1000,
    SWARM_BITS = 8, /* so many of a sender's number are for telling swarms apart */
};

static uint64_t now_usec(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SEC + (uint64_t)now.tv_nsec / 1000;
}

/* --- The beginning. --------------------------------------------------------------------------- */

static void allow_descriptors(uint64_t n)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
        err(1, "RLIMIT_NOFILE");
    }
    if (limit.rlim_max < n) {
        limit.rlim_max = n;
    }
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
        err(1, "RLIMIT_NOFILE for %" PRIu64 " clients", n);
    }
}

static void become(uid_t uid, gid_t gid)
{
    if (uid == geteuid() && gid == getegid()) {
        return;
    }
    if (setgroups(0, NULL) < 0 || setgid(gid) < 0 || setuid(uid) < 0) {
        err(1, "uid %u, gid %u", uid, gid);
    }
}

static void set_address(struct swarm *swarm, const char *path)
{
    swarm->service.sun_family = AF_UNIX;
    if (strlen(path) >= sizeof(swarm->service.sun_path)) {
        errx(EXIT_USAGE, "%s: too long", path);
    }
    memcpy(swarm->service.sun_path, path, strlen(path) + 1);
    swarm->service_length = sizeof(swarm->service);
}

/* A message or what is left of one has to fit, and a byte, which shows one that is too long. */
static void make_buffer(struct swarm *swarm)
{
    ssize_t largest = wire_find_largest(swarm);

    if (largest < 0) {
        errx(1, "the largest message: %s", strerror((int)-largest));
    }
    swarm->largest = (size_t)largest;
    swarm->buffer_size = swarm->largest;
    for (unsigned i = 0; i < swarm->conduct.n_sizes; i++) {
        int size = swarm->conduct.sizes[i];
        if (size > 0 && (size_t)size > swarm->buffer_size) {
            swarm->buffer_size = (size_t)size;
        }
    }
    swarm->buffer_size++;
    swarm->buffer = malloc(swarm->buffer_size);
    if (!swarm->buffer) {
        err(1, "a message of %zu bytes", swarm->buffer_size);
    }
}

static struct client *make_places(struct swarm *swarm, uint64_t n)
{
    struct client *clients = calloc(n, sizeof(*clients));

    if (!clients) {
        err(1, "%" PRIu64 " clients", n);
    }
    for (uint64_t i = 0; i < n; i++) {
        clients[i].fd = -1;
        queue_add(&swarm->vacant, &clients[i], 0);
    }
    return clients;
}

static void swarm_init(struct swarm *swarm, const struct options *options)
{
    *swarm = (struct swarm){
        .type = options->type,
        .connects = options->connects,
        .send_buffer = (int)options->send_buffer,
        .conduct = options->conduct,
        .epoll_fd = epoll_create1(EPOLL_CLOEXEC),
        .null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC),
        .now = now_usec(),
        .next_sender = (uint32_t)getpid() % (1 << SWARM_BITS) << (PATTERN_SENDER_BITS - SWARM_BITS),
        .retries = {.delay_usec = RETRY_USEC},
        .pauses = {.delay_usec = options->conduct.pause_msec * MSEC},
    };
    if (swarm->epoll_fd < 0 || swarm->null_fd < 0) {
        err(1, "a descriptor");
    }
    set_address(swarm, options->socket);
    make_buffer(swarm);
}

/* As an event among others, which is one of no client. */
static void watch_signals(const struct swarm *swarm)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    sigset_t signals;
    int fd;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    fd = signalfd(-1, &signals, SFD_CLOEXEC);
    if (fd < 0 || epoll_ctl(swarm->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
        err(1, "signals");
    }
}

/* --- On and on. ------------------------------------------------------------------------------- */

/* Whether another client may come now. */
static bool may_open(const struct swarm *swarm, const struct options *options, uint64_t since)
{
    uint64_t opened = swarm->tally.connections;

    if (swarm->stopping || !swarm->vacant.first || opened >= options->connections) {
        return false;
    }
    return options->rate == 0 || opened < options->clients ||
           (opened - options->clients) * SEC < (swarm->now - since) * options->rate;
}

/* Returns whether the kernel has room for more. */
static bool open_one(struct swarm *swarm)
{
    struct client *client = swarm->vacant.first;
    int r;

    queue_remove(&swarm->vacant, client);
    r = client_open(swarm, client);
    if (r >= 0) {
        client_run(swarm, client, 0);
        return true;
    }
    queue_add(&swarm->vacant, client, 0);
    if (r == -ECONNREFUSED || r == -ENOENT) {
        swarm->tally.unreachable++;
    } else if (r != -EAGAIN) {
        errx(1, "%s: %s", swarm->service.sun_path, strerror(-r));
    }
    return false;
}

/* Those who have waited long enough. */
static void run_due(struct swarm *swarm)
{
    struct client *client;

    while ((client = queue_take(&swarm->retries, swarm->now))) {
        client_run(swarm, client, 0);
    }
    while ((client = queue_take(&swarm->pauses, swarm->now))) {
        client->rests = false;
        client_run(swarm, client, 0);
    }
}

/* When another client may come by the rate, if that is what keeps it. */
static uint64_t find_next(const struct swarm *swarm, const struct options *options, uint64_t since)
{
    uint64_t opened = swarm->tally.connections;

    if (swarm->stopping || !swarm->vacant.first || opened >= options->connections ||
        options->rate == 0 || opened < options->clients) {
        return UINT64_MAX;
    }
    return since + (opened - options->clients) * SEC / options->rate + 1;
}

/* Milliseconds until something has to be done without an event. */
static int find_timeout(const struct swarm *swarm, const struct options *options, bool has_room,
                        uint64_t since, uint64_t end)
{
    uint64_t next = find_next(swarm, options, since);
    uint64_t due = next < end ? next : end;

    if (may_open(swarm, options, since)) {
        if (has_room) {
            return 0;
        }
        due = swarm->now + RETRY_USEC;
    }
    if (swarm->retries.first && swarm->retries.first->due < due) {
        due = swarm->retries.first->due;
    }
    if (swarm->pauses.first && swarm->pauses.first->due < due) {
        due = swarm->pauses.first->due;
    }
    if (due == UINT64_MAX) {
        return -1;
    }
    due = due > swarm->now ? due - swarm->now : 0;
    return due > (uint64_t)INT32_MAX * MSEC ? INT32_MAX : (int)((due + MSEC - 1) / MSEC);
}

/* Returns whether a signal says that it is enough. */
static bool handle_events(struct swarm *swarm, int timeout)
{
    struct epoll_event events[EVENTS];
    bool is_enough = false;
    int n = epoll_wait(swarm->epoll_fd, events, EVENTS, timeout);

    if (n < 0 && errno != EINTR) {
        err(1, "epoll_wait");
    }
    swarm->now = now_usec();
    for (int i = 0; i < n; i++) {
        if (events[i].data.ptr) {
            client_run(swarm, events[i].data.ptr, events[i].events);
        } else {
            is_enough = true;
        }
    }
    return is_enough;
}

static void stop(struct swarm *swarm, struct client *clients, uint64_t n)
{
    swarm->stopping = true;
    for (uint64_t i = 0; i < n; i++) {
        if (clients[i].fd >= 0) {
            client_run(swarm, &clients[i], 0);
        }
    }
}

/* Whether there has been a client in each place that knows where it stands: one that reads has had
 * an answer or a refusal. */
static bool has_come(const struct swarm *swarm, const struct options *options)
{
    const struct tally *tally = &swarm->tally;
    bool knows = swarm->conduct.reading == READING_ALWAYS &&
                 swarm->conduct.leaving != LEAVING_AT_WHIM && swarm->conduct.messages > 0;

    return tally->connections >= options->clients &&
           (!knows || tally->answered + tally->refused + tally->lost >= options->clients);
}

static void run(struct swarm *swarm, const struct options *options, struct client *clients)
{
    uint64_t since = swarm->now;
    uint64_t end = options->seconds == UINT64_MAX ? UINT64_MAX : since + options->seconds * SEC;
    bool is_ready = false;
    bool is_enough = false;

    for (;;) {
        bool has_room = true;
        for (int i = 0; i < OPENED_AT_ONCE && has_room && may_open(swarm, options, since); i++) {
            has_room = open_one(swarm);
        }
        if (!is_ready && has_come(swarm, options)) {
            is_ready = true;
            since = swarm->now;
            printf("ready\n");
            (void)fflush(stdout);
        }
        if (!swarm->stopping && (is_enough || swarm->now >= end)) {
            end = swarm->now + options->patience * SEC;
            stop(swarm, clients, options->clients);
        }
        if (swarm->n_open == 0 &&
            (swarm->stopping || swarm->tally.connections >= options->connections)) {
            return;
        }
        if (swarm->stopping && swarm->now >= end) {
            break;
        }
        is_enough = handle_events(swarm, find_timeout(swarm, options, has_room, since, end));
        run_due(swarm);
    }
    for (uint64_t i = 0; i < options->clients; i++) {
        if (clients[i].fd >= 0) {
            client_despair(swarm, &clients[i]);
        }
    }
}

static void report(const struct tally *tally)
{
    const struct {
        const char *name;
        uint64_t value;
    } figures[] = {
        {"connections", tally->connections},
        {"unreachable", tally->unreachable},
        {"refused", tally->refused},
        {"lost", tally->lost},
        {"answered", tally->answered},
        {"finished", tally->finished},
        {"messages", tally->messages},
        {"bytes", tally->bytes},
        {"lost_messages", tally->lost_messages},
        {"lost_bytes", tally->lost_bytes},
        {"repeated_bytes", tally->repeated_bytes},
        {"swapped_bytes", tally->swapped_bytes},
        {"changed_bytes", tally->changed_bytes},
        {"descriptors_passed", tally->descriptors_passed},
        {"descriptors_refused", tally->descriptors_refused},
        {"longest_wait_usec", tally->longest_wait_usec},
    };

    for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++) {
        printf("%s\"%s\": %" PRIu64, i == 0 ? "{" : ", ", figures[i].name, figures[i].value);
    }
    printf("}\n");
}

int main(int argc, char **argv)
{
    struct options options;
    struct swarm swarm;
    struct client *clients;

    options_parse(&options, argc, argv);
    allow_descriptors(options.clients + OWN_DESCRIPTORS);
    become((uid_t)options.uid, (gid_t)options.gid);
    /* After that, which would undo it (prctl(2)). */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    swarm_init(&swarm, &options);
    watch_signals(&swarm);
    clients = make_places(&swarm, options.clients);
    run(&swarm, &options, clients);
    report(&swarm.tally);
    free(clients);
    free(swarm.buffer);
    return 0;
}
