// SPDX-License-Identifier: MIT
#pragma once

/*
 * Debts of a datagram socket: replies that could not be sent because the sender does not read.
 *
 * A datagram sender cannot be held back alone, so what is owed to it waits here, in order, within a
 * bound for each sender, those of its user (quota.h), and one for all; beyond these a reply is
 * dropped, and counted by the caller.
 *
 * The kernel has no event that tells when one peer of an unconnected socket has room again, and a
 * helper socket that could be connected to it may be in another network namespace than the peer's
 * abstract address (PrivateNetwork=). So each debtor is tried again after a while: soon at first,
 * more and more rarely as long as it takes nothing.
 *
 * Nor does the kernel always say that a peer takes nothing. One that has not connected its socket
 * is refused (EAGAIN) when net.unix.max_dgram_qlen replies are unread. But to one that is connected
 * to the very socket that sends, it queues without limit until the sender's SO_SNDBUF is full, and
 * then nobody is answered any more (unix_dgram_sendmsg() in Linux 6.18). All that can be seen is
 * how much of SO_SNDBUF is used by unread replies of all peers together (SIOCOUTQ). So a debtor is
 * paid in bursts that grow only if that figure falls after a burst.
 *
 * Once half of SO_SNDBUF is used so, that is no proof: what others read would pass for what the
 * debtor does. Then all replies are debts, and one user's are paid at a time (exclusive.h). Who has
 * been sent all that is owed remains a debtor until it is known whether that was read.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exclusive.h"
#include "quota.h"
#include "sender.h"

enum {
    DEBT_DATAGRAMS_PER_SENDER = 1024,
    DEBT_OVERHEAD = 64, /* bytes of memory that each reply takes besides its own */
    DEBT_BYTES_PER_SENDER =
        8 * 1024 * 1024, /* overhead included; the first reply owed may be larger */
    DEBT_SENDERS = 1024,
    DEBT_BYTES = 64 * 1024 * 1024,
    DEBT_RETRY_USEC_MIN = 50,
    DEBT_RETRY_USEC_MAX = 100 * 1000,
    DEBT_BURST_MAX = 64,
    DEBT_BURST_SHARE = 16, /* and no more than so much of the send buffer */
    DEBT_ROOM = 1024,      /* what the kernel books for a reply besides its bytes, at most */
    /* While the send buffer is crowded: */
    DEBT_TURN_SHARE = 64, /* so much of it is for one user who reads, */
    DEBT_LEFT_SHARE =
        8, /* so much is left by who has lost something, and the half of that by all; */
    DEBT_FAILURES = 14, /* so often the pause of an address that does not read doubles */
};

struct debtor;

struct debts {
    struct quota *quota;
    void *by_sender;        /* tsearch(3) */
    struct debtor *debtors; /* in the order in which they have become debtors */
    struct debtor **last;   /* the pointer that the next one goes to */
    size_t senders;
    size_t datagrams;
    size_t bytes;
    uint64_t retry_at;          /* CLOCK_MONOTONIC in microseconds; UINT64_MAX without debts */
    struct exclusive exclusive; /* whose turn it is */
};

/* The way to the peers. */
struct debt_channel {
    /*
     * Sends one reply. Returns 0 if it is settled, whether it was sent or can never be; -EAGAIN if
     * it must wait on; -EBUSY if that is not the sender's doing, but too much for one turn.
     */
    int (*send)(void *context, const struct sender *sender, const void *data, size_t length);
    /* Bytes that unread replies of all peers occupy in the send buffer. */
    size_t (*queued)(void *context);
    void *context;
    size_t capacity; /* bytes of the send buffer */
};

/* What is owed to a sender is counted on its user's account in QUOTA, which bounds it, too. */
void debts_init(struct debts *debts, struct quota *quota);
void debts_deinit(struct debts *debts);

/* How many replies are owed to this sender: another one has to wait behind them. To an address from
 * before its user was known they come first, too. */
size_t debts_owed_to(const struct debts *debts, const struct sender *sender);

/*
 * Owes LENGTH bytes at DATA to SENDER; NOW is CLOCK_MONOTONIC in microseconds. Returns 0, -ENOBUFS
 * beyond a bound, -EDQUOT beyond one of its user's, or -ENOMEM; nothing is kept if it fails.
 */
int debts_add(struct debts *debts, const struct sender *sender, const void *data, size_t length,
              uint64_t now);

/* The same of what another process has owed: its user has been found to be within his bounds, which
 * may be others now. */
int debts_adopt(struct debts *debts, const struct sender *sender, const void *data, size_t length,
                uint64_t now);

/* Calls TAKE for each reply that is owed, in the order of those to one sender. */
void debts_each(const struct debts *debts,
                void (*take)(void *context, const struct sender *sender, const void *data,
                             size_t length),
                void *context);

/* Whether so much of a send buffer of CAPACITY bytes is in use that nobody is answered directly but
 * who may pass. */
static inline bool debts_are_crowded(size_t queued, size_t capacity)
{
    return queued >= capacity / 2;
}

/* Notes that QUEUED bytes are in use, at NOW, where they are crowded; and that they are not, so
 * that nobody has to wait for anybody any more. */
void debts_note(struct debts *debts, size_t queued, uint64_t now);
void debts_note_end(struct debts *debts, uint64_t now);

/* Whether BYTES may be sent to UID directly even so, by what was noted last; they are noted then.
 */
bool debts_may_pass(struct debts *debts, uid_t uid, size_t bytes, size_t capacity);

/* Tries every debtor whose time has come. */
void debts_pay(struct debts *debts, uint64_t now, const struct debt_channel *channel);
