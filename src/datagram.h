// SPDX-License-Identifier: MIT
#pragma once

/*
 * A datagram socket: every datagram goes back to the address it came from, in batches. Replies that
 * their senders do not take wait as debts (debt.h) and delay nobody else.
 */

#include "debt.h"
#include "loop.h"

struct datagram {
    struct watch watch;
    struct debts debts;
    struct datagram *next;
};

/* Serves FD, a datagram socket that the caller keeps. */
void datagram_init(struct datagram *datagram, int fd);

/* Begins to receive. Returns 0 or a negative errno. */
int datagram_resume(struct datagram *datagram, struct loop *loop);

/* Leaves what arrives in the kernel; debts are still paid. */
void datagram_pause(struct datagram *datagram, struct loop *loop);

/* Sends what is owed to senders whose time to be tried again has come (debts.retry_at). */
void datagram_pay(struct datagram *datagram, struct loop *loop, uint64_t now);

/* Drops and counts what is owed. */
void datagram_drop(struct datagram *datagram, struct loop *loop);
