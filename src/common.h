// SPDX-License-Identifier: MIT
#pragma once

/*
 * What the workers of one daemon share. Everything else is a worker's own, so that on many cores
 * they do not get into each other's way: these atomics are written only when connections come and
 * go, when descriptors run out, and when a datagram socket changes hands.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sender.h"

enum { CACHE_LINE = 64 };

struct datagram;

/* One worker, as the others see it. */
struct member {
    _Alignas(CACHE_LINE) atomic_bool waits; /* for events: it has nothing to do now */
    atomic_bool starves;                    /* it cannot accept until a descriptor is free */
    _Atomic(struct datagram *) inbox;       /* sockets that it is to take over (datagrams.h) */
    int wake_fd;                            /* an eventfd: has it look at these and its commands */
};

struct common {
    struct off_limits off_limits; /* sockets that get no replies; does not change while they run */
    uint64_t connections_max;     /* more are refused */
    uint64_t connections_fit;     /* more are left in the backlog */
    size_t n;
    _Alignas(CACHE_LINE) _Atomic uint64_t connected;
    _Alignas(CACHE_LINE) atomic_size_t starving; /* how many starve */
    struct member members[];
};

/* For N workers. Returns NULL if there is no memory; common_free() takes NULL. */
struct common *common_new(size_t n, uint64_t connections_max, uint64_t connections_fit);
void common_free(struct common *common);

/* Makes an eventfd readable. */
void event_raise(int fd);

/* Takes one of the places for connections. Returns whether there was one. */
bool common_enter(struct common *common);
static inline void common_leave(struct common *common)
{
    atomic_fetch_sub_explicit(&common->connected, 1, memory_order_relaxed);
}

static inline uint64_t common_connected(struct common *common)
{
    return atomic_load_explicit(&common->connected, memory_order_relaxed);
}

/*
 * A descriptor is missing. To be called before the last try, which sees what others have freed by
 * then; what they free later wakes one that starves. Returns whether this is news.
 */
bool common_starve(struct common *common, size_t index);

/* Member INDEX need not be woken. */
void common_sate(struct common *common, size_t index);

static inline bool common_starves(const struct common *common, size_t index)
{
    return atomic_load_explicit(&common->members[index].starves, memory_order_acquire);
}

/* Descriptors are free again: wakes one that starves, unless member INDEX does, which knows it. */
void common_feed(struct common *common, size_t index);
static inline void common_freed(struct common *common, size_t index)
{
    if (atomic_load(&common->starving) > 0) {
        common_feed(common, index);
    }
}
