// SPDX-License-Identifier: MIT
#pragma once

/*
 * Connections on which nothing has moved for long (--idle-timeout=) are closed. That costs nothing
 * for a message: a connection notes the loop's tick, which it has at hand, and one timer for all
 * advances that eight times in a timeout and looks who was left behind. So a connection is closed
 * at most an eighth of the timeout late, and never early. The timer runs while there are
 * connections; a loop that was stopped for a while has ticked once and not as often as it should
 * have: what came in the meantime has yet to be read.
 */

#include <stdbool.h>
#include <stdint.h>

#include "loop.h"

struct connection;

struct idle {
    struct watch timer;
    uint64_t step_usec; /* 0: there is no timeout */
    bool runs;
    bool due;
};

/* TIMEOUT_USEC may be UINT64_MAX, for none. Returns 0 or a negative errno; idle_deinit() is right
 * after either. */
int idle_init(struct idle *idle, struct loop *loop, uint64_t timeout_usec);
void idle_deinit(struct idle *idle);

/* To be called after each turn of the loop. */
void idle_tend(struct idle *idle, struct loop *loop);

/* For how long nothing has moved on a connection, in microseconds, as far as that is known; and
 * having it known of one that is new here. */
uint64_t idle_get(const struct idle *idle, const struct loop *loop,
                  const struct connection *connection);
void idle_set(const struct idle *idle, const struct loop *loop, struct connection *connection,
              uint64_t usec);
