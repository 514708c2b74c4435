// SPDX-License-Identifier: MIT
#pragma once

/*
 * Which socket is meant: a path, "@abstract", "tcp:HOST:PORT", "udp:HOST:PORT" or "vsock:CID:PORT".
 * A Unix socket does not tell its type: connecting with each does (EPROTOTYPE, unix(7); for an
 * abstract name ECONNREFUSED, as if there were none).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum { TARGET_OTHERS_MAX = 3 };

struct target {
    const char *text; /* as it was written */
    int family;
    int type; /* SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM; 0 until it is known */
    struct sockaddr_storage address;
    socklen_t size;
    /* Where a host's name leads besides; the first one that a stream connects to stays. */
    struct target_other {
        int family;
        struct sockaddr_storage address;
        socklen_t size;
    } others[TARGET_OTHERS_MAX];
    size_t n_others;
    const char *unresolved; /* why the host's name could not be looked up, NULL if it was */
};

enum { TARGET_REASON_MAX = 256 };

/*
 * Reads TEXT, which must live as long as RET. Returns 0, or a negative errno with the reason in
 * REASON, as the end of the sentence "TEXT …". A name that is not found is no mistake in TEXT: it
 * is what connecting fails of.
 */
int target_parse(const char *text, struct target *ret, char reason[static TARGET_REASON_MAX]);

/*
 * Insists on TYPE (SOCK_…). Returns 0, or -EPROTOTYPE if that does not go with the target's kind.
 */
int target_insist(struct target *target, int type);

/*
 * Connects a new socket, close-on-exec and blocking, to the target, whose type is found out if it
 * is not known. A datagram socket gets an address of its own, to be answered at (autobind). Returns
 * the descriptor, or a negative errno: -ETIMEDOUT if it is not taken up within TIMEOUT_USEC,
 * -EINTR after a signal that was caught (interrupt.h).
 */
int target_connect(struct target *target, uint64_t timeout_usec);

/*
 * Begins to connect a new socket, close-on-exec and not blocking, to the target, whose type is
 * known and no datagram. Returns the descriptor, with CONNECTING if it takes longer (until there is
 * room to send), or a negative errno: -EAGAIN if the queue of a Unix socket's service is full.
 */
int target_begin(const struct target *target, bool *connecting);

/* What R, a negative errno of target_connect(), means. */
const char *target_error(const struct target *target, int r);

/* "stream", "seqpacket" or "dgram"; the type of that name ("datagram" too), or -EINVAL. */
const char *target_type_name(int type);
int target_type_parse(const char *name);
