// SPDX-License-Identifier: MIT
#pragma once

/*
 * Whether to look again for a while before sleeping. To wake a thread that sleeps takes longer than
 * all that the service does for a message; so after a message, while no more than a few sockets are
 * busy, the worker looks whether the next one is there instead of sleeping at once.
 *
 * That pays only if the next message comes soon, and if nobody else wants the processor. By itself
 * it is done only after a few waits in a row that were short (how long a wait took is measured
 * either way), and when it was in vain too often it takes more of these until the next try: as the
 * kernel's own cpuidle-haltpoll governor has it. Waits that were hardly any do not count: then the
 * client runs on the same processor, which is faster than either can poll, or is never idle.
 */

#include <stdbool.h>
#include <stdint.h>

enum {
    BUSY_POLL_AUTO_USEC = 50, /* two wake-ups of an idle core on a virtual machine */
    BUSY_POLL_MAX_USEC = 1000 * 1000,
};

/* As the option --busy-poll= says. */
struct busy_poll_option {
    bool automatic;
    uint32_t usec; /* 0: off */
};

struct busy_poll {
    uint64_t span_nsec; /* 0: never */
    bool automatic;
    unsigned short_waits;  /* in a row */
    unsigned short_needed; /* so many before it is tried */
    unsigned hits;         /* since it was last in vain, as far as they matter */
};

struct busy_poll busy_poll_new(struct busy_poll_option option);

/* Whether to look again now. */
bool busy_poll_is_worth(const struct busy_poll *poll);

/* A wait for the next event, asleep, took so long. */
void busy_poll_slept(struct busy_poll *poll, uint64_t nsec);

/* Something came while it was looked for. */
void busy_poll_hit(struct busy_poll *poll);

/* Nothing came in time, or another thread was given the processor meanwhile. */
void busy_poll_missed(struct busy_poll *poll);
