// SPDX-License-Identifier: MIT
#pragma once

/*
 * Messages that each have a connection of their own: connect, send, receive the echo, close. A
 * flow is then one that comes back as a new client as soon as it has left, and the time of a
 * message runs from before it connects.
 *
 * Nothing blocks. Who finds the service's queue of connections full (a Unix socket's backlog) tries
 * again when something else has happened.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench_flow.h"
#include "target.h"

struct visitors {
    const struct target *target;
    bool welcomed; /* the service welcomes each connection before it echoes */
    int epoll_fd;  /* where connections are watched; -1: nowhere, the only one is waited for */
    unsigned turned_away; /* how many flows are to try again */
};

/* Begins FLOW's next visit, unless the round is over. Returns false after an error (in TRAFFIC). */
bool visit_begin(struct visitors *visitors, struct flow *flow, struct traffic *traffic);

/* Something has happened at FLOW's connection, or may have. As above. */
bool visit_go_on(struct visitors *visitors, struct flow *flow, struct traffic *traffic);

/* Tries again, if FLOW was turned away. As above. */
bool visit_try_again(struct visitors *visitors, struct flow *flow, struct traffic *traffic);

/* Waits for FLOW's connection, the only one, for at most a look around's time. */
void visit_wait(const struct flow *flow, int timeout_msec);
