// SPDX-License-Identifier: MIT
#pragma once

/*
 * The datagram sockets of one worker, and how they change hands.
 *
 * Each belongs to one worker at a time, with all that is owed on it: so the replies to a sender
 * keep the order of what it has sent, and nothing on a datagram's way is shared or locked. But any
 * worker may serve it: one that has other things to do, turn after turn, gives it to one that has
 * nothing to do.
 *
 * The kernel has nothing to offer for this: an epoll set cannot be watched with EPOLLEXCLUSIVE
 * (epoll_ctl(2)), so a set that is shared wakes all; and a socket that several watch wakes another
 * one of them for each datagram that comes while the first is at work.
 */

#include "datagram.h"
#include "loop.h"

struct datagrams {
    struct datagram *first;
};

/* Serves SOCKET, whose descriptor the caller keeps. Returns 0 or a negative errno. */
int datagrams_add(struct datagrams *datagrams, struct loop *loop, const struct activated *socket);

/* Nothing must have been left in the inbox: see datagrams_pause(). */
void datagrams_deinit(struct datagrams *datagrams);

/* Takes over what others have given. */
void datagrams_take(struct datagrams *datagrams, struct loop *loop);

/* To be called after each turn of LOOP, which had EVENTS: may give one away. */
void datagrams_share(struct datagrams *datagrams, struct loop *loop, int events);

/* Leaves what arrives in the kernel and takes no sockets over; until it is resumed, if ever. */
void datagrams_pause(struct datagrams *datagrams, struct loop *loop);
void datagrams_resume(struct datagrams *datagrams, struct loop *loop);

/* Does what is due, which is at the deadline: CLOCK_MONOTONIC in microseconds, or UINT64_MAX. */
void datagrams_tend(struct datagrams *datagrams, struct loop *loop);
uint64_t datagrams_deadline(const struct datagrams *datagrams);

/* Drops and counts what is owed. */
void datagrams_drop(struct datagrams *datagrams, struct loop *loop);
