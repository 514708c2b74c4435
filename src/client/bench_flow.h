// SPDX-License-Identifier: MIT
#pragma once

/*
 * One connection of a benchmark: what it has sent, what has come back, what is under way. It never
 * blocks. On a stream the echo may come in pieces, and those of several messages together; else one
 * message is one echo.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench_payload.h"
#include "histogram.h"

/* What the connections of one thread have in common. Times are nanoseconds, as now_nsec() has. */
struct traffic {
    struct payload payload;
    unsigned char *buffer; /* to receive into */
    size_t buffer_size;
    unsigned window;
    uint64_t start; /* the clock of the round: what is sent (or due) from then on is recorded */
    uint64_t deadline;
    double interval; /* with a rate: between a connection's messages; 0: send as they come back */
    bool stopping;   /* begin no other message */

    uint64_t in_flight; /* of all connections, one that is half sent included */
    uint64_t echoed;
    uint64_t within; /* came back from the start until the deadline */
    struct histogram *latency;
    char error[PAYLOAD_ERROR_MAX + 64];
};

struct flow {
    int fd;
    int type;
    unsigned number; /* of the connection, from 1 */
    bool blocked;    /* something is to be sent, and the socket takes nothing now */
    bool closed;     /* it will never take anything again */
    uint64_t begun;  /* messages sent, the last of them perhaps not, or not wholly */
    uint64_t gone;   /* messages sent wholly */
    uint64_t back;   /* messages that have come back whole */
    uint64_t warm;   /* messages begun before the round */
    size_t sent;     /* bytes of message GONE + 1 */
    size_t received; /* bytes of message BACK + 1 */
    bool connecting; /* with a connection for each message: it is being made */
    size_t welcome;  /* the same: bytes that are still to come before the echo */
    uint64_t first;  /* with a rate: when the first message is due */
    uint64_t due;    /* with a rate: how many are by now */
    uint64_t moved;  /* when something came back, or was sent while nothing was under way */
    uint64_t *since; /* ring of WINDOW: when the messages under way were sent, or due */
    unsigned char header[PAYLOAD_HEADER];
};

uint64_t now_nsec(void);

/*
 * Sends as much as is allowed and the socket takes; with HOLD nothing, but the time of a message
 * that waits runs from now on. Returns false after an error (in TRAFFIC).
 */
bool flow_send(struct flow *flow, struct traffic *traffic, bool hold);

/* Receives and checks what is there. Returns false after an error (in TRAFFIC). */
bool flow_receive(struct flow *flow, struct traffic *traffic);

/* Whether nothing has come back that was never sent, at the end. */
bool flow_is_quiet(struct flow *flow, struct traffic *traffic);

/*
 * Whether the service has not left this connection waiting for TIMEOUT_NSEC: something has to come
 * back within that, and within that after the warm-up and after the round all that was sent in it.
 */
bool flow_is_alive(const struct flow *flow, struct traffic *traffic, uint64_t now,
                   uint64_t timeout_nsec);
