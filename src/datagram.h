// SPDX-License-Identifier: MIT
#pragma once

/*
 * A datagram socket: every datagram goes back to the address it came from, in batches. Replies that
 * their senders do not take wait as debts (debt.h) and delay nobody else.
 */

#include <netinet/in.h>

#include "activation.h"
#include "debt.h"
#include "loop.h"
#include "walks.h"

struct datagram {
    struct watch watch;
    struct debts debts;
    enum role role;
    unsigned received;  /* datagrams, when it was looked at last */
    in_port_t port;     /* of an internet socket, in network byte order; else 0 */
    size_t capacity;    /* bytes of the send buffer */
    size_t unwatched;   /* bytes sent since the last look at how many are unread */
    bool is_crowded;    /* unread replies occupy half of it, or more (debt.h) */
    struct walks walks; /* who has had paths followed in this turn */
    unsigned needs;     /* what the kernel says of senders: of the policy that was looked at last */

    /* Its worker's (datagrams.h). */
    struct parcel parcel;
    int active;        /* how often there was something to receive in this turn */
    unsigned crowded;  /* grows with turns in which there was something else, too */
    uint64_t watch_at; /* when to try again to watch it, CLOCK_MONOTONIC; UINT64_MAX: no need */
    struct datagram *next;
};

/*
 * Serves a datagram socket whose descriptor the caller keeps; a file that it is bound to is off
 * limits for replies from then on. Returns 0 or a negative errno.
 */
int datagram_init(struct datagram *datagram, struct loop *loop, const struct activated *socket);

/* Begins to receive. Returns 0 or a negative errno. */
int datagram_resume(struct datagram *datagram, struct loop *loop);

/* Leaves what arrives in the kernel; debts are still paid. */
void datagram_pause(struct datagram *datagram, struct loop *loop);

/* Its own address, to which datagrams are sent; returns the size. */
socklen_t datagram_address(const struct datagram *datagram, struct sockaddr_storage *address);

/* Owes LENGTH bytes at DATA to SENDER, as another process has before. Returns as debts_adopt(). */
int datagram_adopt(struct datagram *datagram, struct loop *loop, const struct sender *sender,
                   const void *data, size_t length);

/* Forgets what is owed; and drops and counts it. */
void datagram_forget(struct datagram *datagram, struct loop *loop);
void datagram_drop(struct datagram *datagram, struct loop *loop);
