// SPDX-License-Identifier: MIT
#include "bench_lane.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "bench_cpu.h"
#include "config.h"
#include "util.h"

enum {
    EVENTS = 64,
    STREAM_BUFFER = 256 * 1024,
    RELEASES_PER_TURN = 1024,
    LOOK_AROUND_NSEC = 20 * 1000 * 1000, /* for connections that wait too long, and the end */
};

static int watch(const struct lane *lane, int operation, int fd, uint32_t events, struct flow *flow)
{
    struct epoll_event event = {.events = events, .data.ptr = flow};

    return epoll_ctl(lane->epoll_fd, operation, fd, &event) < 0 ? -errno : 0;
}

/* Waits for room to send, or not, besides for what comes back. */
static bool lane_await_room(const struct lane *lane, struct flow *flow, bool wanted)
{
    return watch(lane, EPOLL_CTL_MOD, flow->fd, EPOLLIN | (wanted ? EPOLLOUT : 0), flow) == 0;
}

/* There is room for those that wait for their turn. */
static bool lane_serve_waiting(struct lane *lane)
{
    struct flow *was_first = lane->waiting[lane->first_waiting];
    struct flow *flow = was_first;

    while (flow_send(flow, &lane->traffic, false)) {
        if (flow->blocked) {
            return flow == was_first ||
                   (lane_await_room(lane, was_first, false) && lane_await_room(lane, flow, true));
        }
        lane->first_waiting = (lane->first_waiting + 1) % lane->n_flows;
        if (--lane->n_waiting == 0) {
            return lane_await_room(lane, was_first, false);
        }
        flow = lane->waiting[lane->first_waiting];
    }
    return false;
}

static bool lane_send_in_turn(struct lane *lane, struct flow *flow, bool room)
{
    if (flow->blocked) {
        return !room || lane->waiting[lane->first_waiting] != flow || lane_serve_waiting(lane);
    }
    if (!flow_send(flow, &lane->traffic, lane->n_waiting > 0)) {
        return false;
    }
    if (!flow->blocked) {
        return true;
    }
    lane->waiting[(lane->first_waiting + lane->n_waiting++) % lane->n_flows] = flow;
    return lane->n_waiting > 1 || lane_await_room(lane, flow, true);
}

/* Sends what FLOW may send. ROOM: epoll has said that there is some. */
static bool lane_send(struct lane *lane, struct flow *flow, bool room)
{
    bool was_blocked = flow->blocked;

    if (lane->waiting) {
        return lane_send_in_turn(lane, flow, room);
    }
    return flow_send(flow, &lane->traffic, false) &&
           (flow->blocked == was_blocked || lane_await_room(lane, flow, flow->blocked));
}

/* With a rate: allows what is due by NOW, or as much of it as does not keep what comes back, and
 * the end, waiting. */
static bool lane_release(struct lane *lane, uint64_t now)
{
    assert(lane->n_flows > 0);
    for (int i = 0; i < RELEASES_PER_TURN; i++) {
        uint64_t due = lane->origin + (uint64_t)((double)lane->released * lane->tick);
        struct flow *flow = &lane->flows[lane->released % lane->n_flows];
        if (due > now || due >= lane->traffic.deadline) {
            return true;
        }
        lane->released++;
        flow->due++;
        if (!lane_send(lane, flow, false)) {
            return false;
        }
    }
    return true;
}

/* Goes on where FLOW's messages each have a connection, and where they have one together. */
static bool lane_go_on(struct lane *lane, struct flow *flow, uint32_t events)
{
    bool room = (events & EPOLLOUT) != 0;

    if (lane->visiting) {
        return visit_go_on(&lane->visitors, flow, &lane->traffic);
    }
    if ((events & ~(uint32_t)EPOLLOUT) != 0 && !flow_receive(flow, &lane->traffic)) {
        return false;
    }
    return lane_send(lane, flow, room);
}

static bool lane_try_again(struct lane *lane)
{
    for (size_t i = 0; i < lane->n_flows && lane->visitors.turned_away > 0; i++) {
        if (!visit_try_again(&lane->visitors, &lane->flows[i], &lane->traffic)) {
            return false;
        }
    }
    return true;
}

static bool lane_look_around(struct lane *lane, uint64_t now)
{
    uint64_t expirations;

    (void)!read(lane->timer_fd, &expirations, sizeof(expirations));
    for (size_t i = 0; i < lane->n_flows && lane->timeout_nsec != UINT64_MAX; i++) {
        if (!flow_is_alive(&lane->flows[i], &lane->traffic, now, lane->timeout_nsec)) {
            return false;
        }
    }
    return true;
}

/* Without a rate it is woken by what comes back, and by its timer. */
static int lane_wait(const struct lane *lane, struct epoll_event *events, uint64_t now)
{
    uint64_t due = lane->origin + (uint64_t)((double)lane->released * lane->tick);
    uint64_t left = due > now ? due - now : 0;

    if (lane->busy_poll) {
        return epoll_wait(lane->epoll_fd, events, EVENTS, 0);
    }
    if (lane->tick == 0 || lane->traffic.stopping || due >= lane->traffic.deadline) {
        return epoll_wait(lane->epoll_fd, events, EVENTS, -1);
    }
#if HAVE_EPOLL_PWAIT2
    if (left < LOOK_AROUND_NSEC) {
        struct timespec timeout = {.tv_nsec = (long)left};
        int n = epoll_pwait2(lane->epoll_fd, events, EVENTS, &timeout, NULL);
        if (n >= 0 || (errno != ENOSYS && errno != EPERM)) {
            return n;
        }
    }
#endif
    /* Rather too early, and then polling, than late. */
    left = left < LOOK_AROUND_NSEC ? left : LOOK_AROUND_NSEC;
    return epoll_wait(lane->epoll_fd, events, EVENTS, (int)(left / 1000000));
}

static bool lane_turn(struct lane *lane)
{
    struct epoll_event events[EVENTS];
    int n = lane_wait(lane, events, lane->tick > 0 ? now_nsec() : 0);

    for (int i = 0; i < n; i++) {
        struct flow *flow = events[i].data.ptr;
        if (!flow) {
            if (!lane_look_around(lane, now_nsec())) {
                return false;
            }
            continue;
        }
        if (!lane_go_on(lane, flow, events[i].events)) {
            return false;
        }
    }
    return lane_try_again(lane);
}

/* Whether there is a single connection, and epoll would only be a call more. */
static bool lane_is_single(const struct lane *lane)
{
    return lane->n_flows == 1 && (lane->busy_poll || lane->visiting);
}

static bool lane_turn_single(struct lane *lane, uint64_t now)
{
    if (!lane->busy_poll) {
        visit_wait(lane->flows, LOOK_AROUND_NSEC / 1000000);
    }
    if (now >= lane->look_around) {
        lane->look_around = now + LOOK_AROUND_NSEC;
        if (!lane_look_around(lane, now)) {
            return false;
        }
    }
    return lane_go_on(lane, lane->flows, EPOLLIN | EPOLLOUT) && lane_try_again(lane);
}

/* Returns false after an error. */
static bool lane_exchange(struct lane *lane)
{
    struct traffic *traffic = &lane->traffic;

    for (size_t i = 0; i < lane->n_flows; i++) {
        struct flow *flow = &lane->flows[i];
        if (!(lane->visiting ? visit_begin(&lane->visitors, flow, traffic)
                             : lane_send(lane, flow, false))) {
            return false;
        }
    }
    while (!traffic->stopping || traffic->in_flight > 0) {
        uint64_t now = now_nsec();
        if (atomic_load_explicit(lane->stop, memory_order_relaxed) ||
            atomic_load_explicit(lane->failed, memory_order_relaxed)) {
            return true;
        }
        if (lane->tick > 0 && !lane_release(lane, now)) {
            return false;
        }
        traffic->stopping = now >= traffic->deadline;
        if (!(lane_is_single(lane) ? lane_turn_single(lane, now) : lane_turn(lane))) {
            return false;
        }
    }
    for (size_t i = 0; i < lane->n_flows; i++) {
        if (!flow_is_quiet(&lane->flows[i], traffic)) {
            return false;
        }
    }
    return true;
}

static void *lane_run(void *context)
{
    struct lane *lane = context;

    (void)prctl(PR_SET_TIMERSLACK, 1); /* for a rate: wake up when it is said */
    if (!lane_exchange(lane)) {
        if (lane->traffic.error[0] == '\0') {
            snprintf(lane->traffic.error, sizeof(lane->traffic.error), "epoll: %s",
                     strerror(errno));
        }
        atomic_store(lane->failed, true);
    }
    lane->finished = now_nsec();
    return NULL;
}

static int lane_watch_all(struct lane *lane)
{
    const struct timespec period = {.tv_nsec = LOOK_AROUND_NSEC};
    const struct itimerspec timer = {.it_interval = period, .it_value = period};
    int r = timerfd_settime(lane->timer_fd, 0, &timer, NULL) < 0
                ? -errno
                : watch(lane, EPOLL_CTL_ADD, lane->timer_fd, EPOLLIN, NULL);

    for (size_t i = 0; i < lane->n_flows && !lane->visiting && r == 0; i++) {
        r = watch(lane, EPOLL_CTL_ADD, lane->flows[i].fd, EPOLLIN, &lane->flows[i]);
    }
    return r;
}

static int lane_allocate(struct lane *lane, const struct lane_options *options, int type)
{
    struct traffic *traffic = &lane->traffic;

    if (lane->epoll_fd < 0 || lane->timer_fd < 0) {
        return -errno;
    }
    traffic->window = options->window;
    traffic->buffer_size = type == SOCK_STREAM ? STREAM_BUFFER : options->size;
    traffic->buffer = malloc(traffic->buffer_size);
    lane->latency = malloc(sizeof(*lane->latency));
    lane->since = calloc(lane->n_flows, options->window * sizeof(*lane->since));
    if (!traffic->buffer || !lane->latency || !lane->since) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < lane->n_flows; i++) {
        lane->flows[i].since = lane->since + i * options->window;
    }
    if (options->one_queue) {
        lane->waiting = calloc(lane->n_flows, sizeof(struct flow *));
        if (!lane->waiting) {
            return -ENOMEM;
        }
    }
    histogram_init(lane->latency);
    traffic->latency = lane->latency;
    return payload_init(&traffic->payload, options->size);
}

int lane_init(struct lane *lane, const struct lane_options *options, int type, const int *fds,
              size_t n, unsigned first)
{
    struct flow *flows = calloc(n, sizeof(*flows));
    int r;

    if (!flows) {
        for (size_t i = 0; i < n; i++) {
            close(fds[i]);
        }
        *lane = (struct lane){.epoll_fd = -1, .timer_fd = -1};
        return -ENOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        flows[i] = (struct flow){.fd = fds[i], .type = type, .number = first + (unsigned)i};
    }
    *lane = (struct lane){
        .flows = flows,
        .n_flows = n,
        .epoll_fd = epoll_create1(EPOLL_CLOEXEC),
        .timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
        .visiting = options->visit != NULL,
        .busy_poll = options->busy_poll,
        .timeout_nsec = options->timeout_nsec,
        .stop = options->stop,
        .failed = options->failed,
        .tick = options->rate > 0 ? 1e9 / options->rate : 0,
    };
    lane->traffic.interval = lane->tick * (double)n;
    lane->visitors = (struct visitors){
        .target = options->visit,
        .welcomed = options->welcomed,
        .epoll_fd = lane_is_single(lane) ? -1 : lane->epoll_fd,
    };
    r = lane_allocate(lane, options, type);
    return r == 0 ? lane_watch_all(lane) : r;
}

void lane_deinit(struct lane *lane)
{
    for (size_t i = 0; i < lane->n_flows; i++) {
        fd_close(&lane->flows[i].fd);
    }
    fd_close(&lane->epoll_fd);
    fd_close(&lane->timer_fd);
    payload_deinit(&lane->traffic.payload);
    free(lane->traffic.buffer);
    free(lane->latency);
    free(lane->since);
    free(lane->waiting);
    free(lane->flows);
    *lane = (struct lane){.epoll_fd = -1, .timer_fd = -1};
}

int lane_start(struct lane *lane, uint64_t origin, uint64_t start, uint64_t deadline)
{
    int r;

    lane->origin = origin;
    lane->traffic.start = start;
    lane->traffic.deadline = deadline;
    for (size_t i = 0; i < lane->n_flows; i++) {
        lane->flows[i].first = origin + (uint64_t)((double)i * lane->tick);
    }
    r = bench_cpu_start(&lane->thread, true, lane_run, lane);
    lane->running = r == 0;
    return r;
}

uint64_t lane_unsent(const struct lane *lane)
{
    uint64_t unsent = 0;

    for (size_t i = 0; i < lane->n_flows && lane->tick > 0; i++) {
        unsent += lane->flows[i].due - lane->flows[i].begun;
    }
    return unsent;
}
