// SPDX-License-Identifier: MIT
#include "dispatch.h"

#include <poll.h>

#include "loop.h"

enum {
    FIRST_AT_ONCE = 64, /* of more than these, the last go with all others */
};

/*
 * Whether busy-polling is worth a thought after a turn with N events that brought BYTES. It is not
 * with many busy sockets: looking finds them one by one, where sleeping finds many at once (282,000
 * messages a second against 409,000). Nor with large messages on more than two connections, which
 * it finds in pieces while they are being written; a client that writes them is not waiting anyway.
 */
static bool is_quiet(const struct loop *loop, int n, uint64_t bytes)
{
    enum { FEW_EVENTS = 4, BULK = 24 * 1024 };

    return n > 0 && n <= FEW_EVENTS &&
           (bytes < (uint64_t)n * BULK || counter_get(&loop->counters, COUNTER_CONNECTED) <= 2);
}

/* The turn is noted of what goes first, which is not served twice in one. */
static void serve(struct loop *loop, struct watch *watch, uint32_t events)
{
    watch->turn = loop->turns.turn;
    watch->ready(loop, watch, events);
}

/*
 * What EVENTS say waits until its guest is served again. What is postponed already keeps its place:
 * an end is reported even of what is not watched (epoll_ctl(2)); once, not in each turn, where it
 * would take the room of others. Nor is it served before what was there first: on seqpacket an
 * event without an end promises a message (echo.c).
 */
static void postpone(struct loop *loop, struct watch *watch, uint32_t events)
{
    if (watch_is_postponed(watch)) {
        watch->postponed |= events;
    } else if (loop_control(loop, EPOLL_CTL_MOD, watch, EPOLLET) == 0) {
        watch->postponed = events;
        turns_postpone(&loop->turns, watch);
    }
    if (loop->hot == watch) {
        loop->hot = NULL;
    }
}

/* Serves what was postponed and has its turn now. Returns how much that was. */
static int serve_postponed(struct loop *loop)
{
    struct watch *watch;
    int n = 0;

    while ((watch = turns_next(&loop->turns))) {
        if (loop_control(loop, EPOLL_CTL_MOD, watch, watch->interest) < 0) {
            turns_postpone(&loop->turns, watch); /* the next turn may have more luck */
            continue;
        }
        watch->ready(loop, watch, watch->postponed);
        n++;
    }
    return n;
}

/*
 * After a turn that had no room for more: looks at what goes first, which may be behind thousands
 * of others and would have one turn for one of each of them.
 */
static void serve_first(struct loop *loop)
{
    struct watch *watches[FIRST_AT_ONCE];
    struct pollfd fds[FIRST_AT_ONCE];
    nfds_t n = 0;

    for (struct watch *watch = loop->first; watch && n < FIRST_AT_ONCE; watch = watch->next) {
        if (watch->turn != loop->turns.turn) {
            fds[n] = (struct pollfd){.fd = watch->fd, .events = POLLIN};
            watches[n++] = watch;
        }
    }
    if (poll(fds, n, 0) <= 0) {
        return;
    }
    for (nfds_t i = 0; i < n; i++) {
        if (fds[i].revents != 0 && watches[i]->link) {
            serve(loop, watches[i], EPOLLIN);
        }
    }
}

int loop_dispatch(struct loop *loop, struct epoll_event *events, int n)
{
    uint64_t before = counter_get(&loop->counters, COUNTER_BYTES);
    struct watch *first = n > 0 ? events[0].data.ptr : NULL;

    /* Who alone is busy; loop_unwatch() forgets it. */
    loop->hot = n == 1 && first->look ? first : NULL;
    turns_begin(&loop->turns, (unsigned)n);
    for (int i = 0; i < n; i++) {
        struct watch *watch = events[i].data.ptr;
        if (watch_is_postponed(watch) ||
            (watch->guest && !turns_take(&loop->turns, watch->guest))) {
            postpone(loop, watch, events[i].events);
        } else {
            serve(loop, watch, events[i].events);
        }
    }
    if (loop->turns.is_crowded) {
        serve_first(loop);
    }
    /* Not before these, which may be about the same sockets. */
    n += serve_postponed(loop);
    loop->quiet = is_quiet(loop, n, counter_get(&loop->counters, COUNTER_BYTES) - before);
    return n;
}
