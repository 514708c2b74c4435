// SPDX-License-Identifier: MIT
#pragma once

/*
 * The way out of a datagram socket: replies that go at once, those that are owed, and the watch
 * over the send buffer, which all senders share and which a sender that is connected and does not
 * read could fill. When unread replies occupy half of it, only one user at a time is answered
 * (debt.h), and all others are owed their replies, within their bounds: the other half is for those
 * who read.
 */

#include "datagram.h"

/*
 * Sends the first N of MESSAGES back, whose msg_name is a struct sender; a reply that must wait, or
 * that stands behind one that waits, is owed, and one that cannot be sent is counted.
 */
void reply_batch(struct datagram *datagram, struct loop *loop, struct mmsghdr *messages,
                 unsigned n);

/* Sends what is owed to senders whose time to be tried again has come (debts.retry_at). */
void reply_pay(struct datagram *datagram, struct loop *loop, uint64_t now);

/* Counts what is owed now, where it was BEFORE datagrams. */
void reply_show_owed(struct datagram *datagram, struct loop *loop, size_t before);

/*
 * Makes the send buffer fit for a reply of LENGTH bytes, as far as the host allows. Returns whether
 * it has grown.
 */
bool reply_enlarge(struct datagram *datagram, const struct loop *loop, size_t length);
