// SPDX-License-Identifier: MIT
#pragma once

/* Listening sockets: take connections in, or refuse them when there are enough. */

#include "activation.h"
#include "loop.h"

struct acceptor {
    struct watch watch;
    int type; /* SOCK_STREAM or SOCK_SEQPACKET */
    enum role role;
    unsigned expected; /* how many connections are taken in at the next event */
    struct acceptor *next;
};

/*
 * All of a worker's. They pause together when there is no descriptor or memory for another
 * connection; what arrives then waits in the kernel's backlog. They rest, too, when refusing has
 * taken more than its share of the time while there was somebody to be served.
 */
struct acceptors {
    struct acceptor *first;
    uint64_t resume_at; /* CLOCK_MONOTONIC in microseconds; UINT64_MAX while they are not paused */
    bool rests;         /* that is why they are */
    int64_t allowance;  /* nanoseconds that may be spent on refusals, as of */
    uint64_t reckoned;  /* this CLOCK_MONOTONIC in nanoseconds, */
    uint64_t served;    /* when so many messages had been served */
};

/*
 * Accepts from SOCKET, which listens and does not block, and whose descriptor the caller keeps.
 * Returns 0 or a negative errno.
 */
int acceptors_add(struct acceptors *acceptors, struct loop *loop, const struct activated *socket);
void acceptors_deinit(struct acceptors *acceptors);

/* To be called after each turn of LOOP: pauses accepting when it cannot go on, and resumes it when
 * it may. */
void acceptors_regulate(struct acceptors *acceptors, struct loop *loop);

/* Leaves what arrives in the backlog, until it is resumed if ever. */
void acceptors_stop(struct acceptors *acceptors, struct loop *loop);
void acceptors_resume(struct acceptors *acceptors, struct loop *loop);
