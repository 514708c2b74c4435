// SPDX-License-Identifier: MIT
#pragma once

/* One client: what it has sent, what came back of that, and how it goes on. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "swarm.h"

/* How far a client has come in its messages, one way. */
struct progress {
    uint64_t message;  /* number of those that are through */
    uint64_t position; /* bytes that are through */
    size_t done;       /* of these, in the message that is not through yet */
};

struct client {
    int fd; /* -1: the place is vacant */
    uint32_t sender;
    bool is_shut;     /* it sends no more, and has said so */
    bool is_cut;      /* the service takes nothing any more */
    bool is_blocked;  /* the kernel takes nothing now */
    bool is_answered; /* something has come, perhaps unread */
    bool rests;       /* it pauses before it sends more */
    bool gives_up;    /* it has had its whim, and leaves after a pause */
    struct progress out;
    struct progress in;
    uint64_t moved; /* when something last came, or when it began to wait for something */

    struct queue *queue; /* in which it is, or NULL */
    struct client *next;
    struct client *previous;
    uint64_t due;
};

/*
 * Takes a vacant place. Returns 0; -EAGAIN if the kernel has no room for another connection now;
 * or another negative errno.
 */
int client_open(struct swarm *swarm, struct client *client);

/* Goes on: receives, sends, and leaves if it is done. EVENTS are those of epoll_wait(2), or 0. */
void client_run(struct swarm *swarm, struct client *client, uint32_t events);

/* At the very end: what has not come by now is lost. */
void client_despair(struct swarm *swarm, struct client *client);
