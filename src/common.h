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

#include "quota.h"
#include "sender.h"

enum { CACHE_LINE = 64 };

/* What goes from one worker to another; a part of the object that it is. */
struct parcel {
    struct parcel *next;
};

/* Many put parcels in, one takes them out. */
typedef _Atomic(struct parcel *) inbox;

/* One worker, as the others see it. */
struct member {
    _Alignas(CACHE_LINE) atomic_bool waits; /* for events: it has nothing to do now */
    atomic_bool starves;                    /* it cannot accept until a descriptor is free */
    int wake_fd;                /* an eventfd: has it look at its inboxes and commands */
    inbox datagrams;            /* sockets that it is to serve (datagrams.h) */
    inbox arrivals;             /* connections that it is to serve (arrivals.h) */
    _Atomic uint64_t arriving;  /* how many these are */
    _Atomic uint64_t connected; /* connections that it serves */
};

struct common {
    struct off_limits off_limits; /* sockets that get no replies; does not change while they run */
    struct quota *quota;
    uint64_t connections_max; /* more are refused */
    uint64_t connections_fit; /* more are left in the backlog */
    size_t n;
    _Alignas(CACHE_LINE) atomic_size_t starving; /* how many starve */
    struct member members[];
};

/* For N workers. Returns NULL if there is no memory; common_free() takes NULL. */
struct common *common_new(size_t n, struct quota_limits limits, uint64_t connections_fit);
void common_free(struct common *common);

/* Makes an eventfd readable. */
void event_raise(int fd);

/* Puts PARCEL in. Returns false if the inbox is closed. */
bool inbox_put(inbox *box, struct parcel *parcel);

/* Take all out; nothing comes in after the second, until it is opened again. */
struct parcel *inbox_take(inbox *box);
struct parcel *inbox_close(inbox *box);
void inbox_open(inbox *box);
bool inbox_is_open(inbox *box);

/* The member, who alone may say so, serves DELTA connections more. */
static inline void member_count(struct member *member, int64_t delta)
{
    uint64_t connected = atomic_load_explicit(&member->connected, memory_order_relaxed);

    atomic_store_explicit(&member->connected, connected + (uint64_t)delta, memory_order_relaxed);
}

/* How many connections the member has, and is about to have. */
static inline uint64_t member_load(const struct member *member)
{
    return atomic_load_explicit(&member->connected, memory_order_relaxed) +
           atomic_load_explicit(&member->arriving, memory_order_relaxed);
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
