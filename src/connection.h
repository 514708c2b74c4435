// SPDX-License-Identifier: MIT
#pragma once

/*
 * A connection, stream or seqpacket: what it receives it sends back.
 *
 * The common case is one receive, one send and nothing kept: the message passes through memory of
 * the loop, so an idle connection is a small record and no buffer. Much of a stream at once goes
 * through a pipe of the loop instead, and is not copied. When the client does not take an
 * answer whole, the rest is kept, the connection stops being read until it is gone, and the client
 * is thereby held back alone: it costs at most STREAM_READ_MAX bytes or one message.
 */

#include <stdbool.h>

#include "loop.h"

enum { STREAM_READ_MAX = 64 * 1024 };

struct connection {
    struct watch watch;
    int type;            /* SOCK_STREAM or SOCK_SEQPACKET */
    bool marks_messages; /* transfer_mark() was called */
    bool is_bulky;       /* the last receive was large: the next one is spliced */
    struct owed *owed;   /* what the client has not taken yet, or NULL */
    struct connection *next;
    struct connection **link; /* what points at this one in the loop's list */
};

/*
 * Takes over FD, a connected socket that does not block, and serves it in LOOP. GREETING, if it is
 * not NULL, is sent first. Returns 0 or a negative errno, -EUSERS if there are enough connections;
 * the descriptor is closed if it fails.
 */
int connection_new(struct loop *loop, int fd, int type, const char *greeting);

/* Ends the connection and closes its descriptor; nothing that is owed is sent. */
void connection_free(struct loop *loop, struct connection *connection);

/*
 * Lets the client send no more (it gets EPIPE on a Unix socket). What the kernel has taken from it
 * by now still comes back; then the connection ends.
 */
void connection_drain(struct connection *connection);
