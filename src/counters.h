// SPDX-License-Identifier: MIT
#pragma once

/*
 * What a worker counts. Nothing that reaches the daemon is dropped silently: it is delivered,
 * refused to the client's face, or counted here by reason. The worker never logs, because that
 * could block it; the control plane reads the counters and says what they mean.
 *
 * Each counter has one writer, its worker, so an addition is a plain load and store and no locked
 * instruction; readers see a value that is never torn and soon fresh.
 */

#include <stdatomic.h>
#include <stdint.h>

enum counter {
    /* What is now. */
    COUNTER_CONNECTED, /* connections */
    COUNTER_OWED,      /* datagrams that wait for their senders to read */

    /* What was, since the start. */
    COUNTER_ACCEPTED,
    COUNTER_MESSAGES, /* messages received; on a stream what one receive brings is one */
    COUNTER_BYTES,    /* in them */
    COUNTER_DENIED,   /* clients and datagrams that the policy has refused */
    COUNTER_TOLD,     /* clients that were told who they are */

    /* What went wrong, by reason. */
    COUNTER_REFUSED,      /* connections closed at once: connections-max */
    COUNTER_REFUSED_USER, /* connections closed at once: connections-max-per-user */
    COUNTER_PAUSED,       /* times that accepting paused: no descriptor or memory */
    COUNTER_ABANDONED,    /* connections that the client broke off before it had read all */
    COUNTER_FAILED,       /* connections ended for want of memory or by an unexpected error */
    COUNTER_IDLE,         /* connections closed: idle-timeout */
    COUNTER_UNFINISHED,   /* connections closed at the stop though their clients had not read all */
    COUNTER_UNADDRESSED,  /* datagrams whose sender has no address */
    COUNTER_FORBIDDEN,    /* datagrams to senders whose socket the daemon may not write to */
    COUNTER_LOOPED,       /* datagrams from the very port that is served: an echo of an echo */
    COUNTER_UNREACHABLE,  /* datagrams to senders that are gone */
    COUNTER_TOO_LARGE,    /* messages larger than this host's limit */
    COUNTER_OVERDUE,      /* datagrams dropped: their sender had too many unread ones */
    COUNTER_OVERDUE_USER, /* datagrams dropped: their user had too much unread */
    COUNTER_UNSENT,       /* datagrams dropped for want of memory or by an unexpected error */
    COUNTER_LOST_CONNECTIONS, /* connections that did not come through a restart */
    COUNTER_LOST_DATAGRAMS,   /* datagrams owed before a restart, and not owed after it */
    COUNTER_LATE,             /* datagrams still owed at the stop */
    COUNTER_UNJUDGED,   /* datagrams dropped, no descriptor or memory to find out who sent them */
    COUNTER_AUDIT_LOST, /* decisions not written to the journal, it could not keep up */

    COUNTER_MAX,
    COUNTER_FIRST_TROUBLE = COUNTER_REFUSED,
};

struct counters {
    _Atomic uint64_t values[COUNTER_MAX];
};

static inline uint64_t counter_get(const struct counters *counters, enum counter counter)
{
    return atomic_load_explicit(&counters->values[counter], memory_order_relaxed);
}

/* For the worker alone. DELTA may be negative for what is now. */
static inline void counter_add(struct counters *counters, enum counter counter, int64_t delta)
{
    uint64_t value = counter_get(counters, counter) + (uint64_t)delta;

    atomic_store_explicit(&counters->values[counter], value, memory_order_relaxed);
}

/* What a trouble is, for the log: "Datagrams not answered: …". */
const char *counter_text(enum counter trouble);
