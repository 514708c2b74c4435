// SPDX-License-Identifier: MIT
#pragma once

/*
 * A connection, stream or seqpacket: what it receives it sends back (echo.h).
 *
 * An idle connection is a small record and no buffer. When the client does not take an answer
 * whole, the rest is kept, the connection stops being read until it is gone, and the client is
 * thereby held back alone: it costs at most STREAM_READ_MAX bytes or one message. If its user has
 * much unread already, nothing is kept, and what the client sends waits in the kernel.
 *
 * What the kernel keeps for the client is bounded by SO_SNDBUF, but for a message that is larger:
 * such a one is counted as owed until it has been read, and nothing else is sent before. While its
 * user has much unread it is not sent: the connection stalls.
 *
 * Whether a side has shut down is not kept here: the kernel knows, and says so again.
 */

#include <stdbool.h>

#include "loop.h"
#include "visitor.h"

enum { STREAM_READ_MAX = 64 * 1024 };

struct connection {
    struct watch watch;
    uint32_t used;   /* the loop's tick when something last moved */
    uint32_t unread; /* bytes that the kernel held for the client at the last look (idle.h) */
    bool is_stream;
    bool marks_messages; /* transfer_mark() was called */
    bool is_bulky;       /* the last receive was large: the next one is spliced */
    bool is_held;        /* nothing is kept, but the client takes nothing now */
    bool is_stalled;     /* held until its user has less unread, */
    uint64_t stall;      /* as the one with this number */
    enum role role;
    struct account *account;
    struct owed *owed; /* what the client has not taken yet, or NULL */
    size_t oversize;   /* bytes of a message that the kernel keeps beyond SO_SNDBUF */
    struct connection *next;
    struct connection **link; /* what points at this one in the loop's list */
};

/*
 * Takes the visitor over and serves it in LOOP. GREETING, if it is not NULL, is sent first. Returns
 * 0 or a negative errno; the visitor is dismissed if it fails.
 */
int connection_new(struct loop *loop, const struct visitor *visitor, const char *greeting);

/*
 * Takes over a visitor whom another process has served, and OWED, what that owed to it, LENGTH
 * bytes, or NULL. Returns as connection_new(). connection_owed() is how the other one got at that:
 * it returns whether something is owed, which may be an empty message.
 */
int connection_adopt(struct loop *loop, const struct visitor *visitor, const char *owed,
                     size_t length);
bool connection_owed(const struct connection *connection, const char **data, size_t *length);

/* The same of one for whom the kernel keeps a message beyond SO_SNDBUF of the other one's sending.
 */
int connection_adopt_oversize(struct loop *loop, const struct visitor *visitor);

/* Ends the connection and closes its descriptor; nothing that is owed is sent. */
void connection_free(struct loop *loop, struct connection *connection);

/*
 * Lets the client send no more (it gets EPIPE on a Unix socket). What the kernel has taken from it
 * by now still comes back; then the connection ends.
 */
void connection_drain(struct connection *connection);

/* Keeps what the client has not taken, and waits for room instead of for more. Returns 0 or a
 * negative errno. */
int connection_owe(struct loop *loop, struct connection *connection, const char *data,
                   size_t length);

/* Whether the connection waits for the client to take something. */
static inline bool connection_waits(const struct connection *connection)
{
    return connection->owed || connection->is_held;
}

/* Waits for room instead of for more, and keeps nothing. Returns 0 or a negative errno. */
int connection_hold(struct loop *loop, struct connection *connection);

/* As transfer_send(), also a message that is larger than SO_SNDBUF: the connection is held then. */
ssize_t connection_send(struct loop *loop, struct connection *connection, const char *data,
                        size_t length);

/* Neither sends nor receives until its user has less unread. Returns 0 or a negative errno. */
int connection_stall(struct loop *loop, struct connection *connection);

/* Has the one go on that has been stalled for longest, of those whose users have less unread by
 * now. To be called when the time for it has come (loop->stalled_until). */
void connection_resume_next(struct loop *loop);
