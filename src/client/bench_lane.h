// SPDX-License-Identifier: MIT
#pragma once

/*
 * One thread of a benchmark's client: an epoll set with a share of the connections, which it keeps
 * busy until the round's end, or on schedule with a rate.
 *
 * Unix datagram sockets all send into the one queue of the service, which is short
 * (net.unix.max_dgram_qlen). If each waited for room by itself, every message that the service
 * takes would wake all of them, and who has just got a reply would always be first. So they take
 * turns, and only the one whose turn it is waits for room.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench_flow.h"
#include "bench_visit.h"

struct lane {
    pthread_t thread;
    bool running;
    struct traffic traffic;
    struct flow *flows;
    size_t n_flows;
    uint64_t *since; /* the rings of all flows */
    int epoll_fd;
    int timer_fd;
    struct flow **waiting; /* ring of those that take turns in sending, NULL if they need not */
    size_t first_waiting;
    size_t n_waiting;
    bool visiting; /* each message has a connection of its own */
    struct visitors visitors;
    bool busy_poll;
    uint64_t look_around;      /* with a single connection: when to do so next */
    uint64_t timeout_nsec;     /* UINT64_MAX: wait for ever */
    const atomic_bool *stop;   /* at once: the user has had enough */
    atomic_bool *failed;       /* set by who fails; the others end */
    uint64_t origin;           /* with a rate: when its schedule begins */
    double tick;               /* with a rate: nanoseconds between its messages */
    uint64_t released;         /* with a rate: messages that were due until now */
    uint64_t finished;         /* when it has ended */
    struct histogram *latency; /* what TRAFFIC records into */
};

struct lane_options {
    size_t size; /* of a message */
    unsigned window;
    double rate;    /* messages a second of this lane; 0: as they come back */
    bool one_queue; /* all connections send into the same queue: that of a Unix datagram socket */
    const struct target *visit; /* a new connection for each message; NULL: FDS are for all */
    bool welcomed;              /* with VISIT: the service says so on each */
    bool busy_poll;
    uint64_t timeout_nsec;
    const atomic_bool *stop;
    atomic_bool *failed;
};

/*
 * Makes a lane of the N connections in FDS, which it owns from now on even after an error: of TYPE,
 * numbered from FIRST. They are all -1 where it makes its own. Returns 0 or a negative errno.
 */
int lane_init(struct lane *lane, const struct lane_options *options, int type, const int *fds,
              size_t n, unsigned first);
void lane_deinit(struct lane *lane);

/* Starts the thread; its round is recorded from START to DEADLINE. Returns 0 or a negative errno.
 */
int lane_start(struct lane *lane, uint64_t origin, uint64_t start, uint64_t deadline);

/* Messages that were due and not sent. */
uint64_t lane_unsent(const struct lane *lane);
