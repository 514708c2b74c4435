// SPDX-License-Identifier: MIT
#include "audit.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Decisions of one kind on one uid, since the first of them that was written. */
struct window {
    bool used;
    bool allow;
    uid_t uid;
    unsigned written;
    uint64_t left_out;
    uint64_t until; /* CLOCK_MONOTONIC in microseconds */
};

enum { PROBES = 8, WINDOW_SHARED = AUDIT_WINDOWS };

struct audit {
    /* Counts of all that was ever written and read; each has one writer. */
    _Atomic uint64_t written;
    _Atomic uint64_t read;
    struct audit_record records[AUDIT_RECORDS];

    /* The worker's alone. */
    struct window windows[AUDIT_WINDOWS + 1];
    uint64_t flush_at;
    bool news;
};

struct audit *audit_new(void)
{
    struct audit *audit = calloc(1, sizeof(*audit));

    if (audit) {
        audit->flush_at = UINT64_MAX;
        audit->windows[WINDOW_SHARED].used = true;
        audit->windows[WINDOW_SHARED].uid = AUDIT_UNKNOWN;
    }
    return audit;
}

void audit_free(struct audit *audit)
{
    free(audit);
}

/* The record to be filled next, or NULL if the ring is full. */
static struct audit_record *next_record(struct audit *audit)
{
    uint64_t written = atomic_load_explicit(&audit->written, memory_order_relaxed);
    struct audit_record *record;

    if (written - atomic_load_explicit(&audit->read, memory_order_acquire) == AUDIT_RECORDS) {
        return NULL;
    }
    record = &audit->records[written % AUDIT_RECORDS];
    record->left_out = 0;
    record->unit[0] = '\0';
    record->label[0] = '\0';
    return record;
}

static void publish(struct audit *audit)
{
    atomic_fetch_add_explicit(&audit->written, 1, memory_order_release);
    audit->news = true;
}

bool audit_read(struct audit *audit, struct audit_record *record)
{
    uint64_t read = atomic_load_explicit(&audit->read, memory_order_relaxed);

    if (atomic_load_explicit(&audit->written, memory_order_acquire) == read) {
        return false;
    }
    *record = audit->records[read % AUDIT_RECORDS];
    atomic_store_explicit(&audit->read, read + 1, memory_order_release);
    return true;
}

bool audit_has_news(struct audit *audit)
{
    bool news = audit->news;

    audit->news = false;
    return news;
}

/* The window of UID and ALLOW: its own, one that nobody needs any more, or that of all others. */
static struct window *find_window(struct audit *audit, uint64_t now, uid_t uid, bool allow)
{
    size_t start = ((uint64_t)uid * 2 + allow) * 0x9e3779b97f4a7c15U >> 32;
    struct window *vacant = NULL;

    for (size_t i = 0; i < PROBES; i++) {
        struct window *window = &audit->windows[(start + i) % AUDIT_WINDOWS];
        if (window->used && window->uid == uid && window->allow == allow) {
            return window;
        }
        if (!vacant && (!window->used || (window->until <= now && window->left_out == 0))) {
            vacant = window;
        }
    }
    if (!vacant) {
        return &audit->windows[WINDOW_SHARED];
    }
    *vacant = (struct window){.used = true, .uid = uid, .allow = allow};
    return vacant;
}

/* Writes how many were left out. Returns how many records had to be dropped. */
static unsigned close_window(struct audit *audit, struct window *window)
{
    struct audit_record *record = next_record(audit);
    uint64_t left_out = window->left_out;

    window->left_out = 0;
    if (!record) {
        return 1;
    }
    record->left_out = left_out;
    record->role = ROLE_AUTH;
    record->decision = (struct policy_decision){.allow = window->allow};
    record->uid = window->uid;
    publish(audit);
    return 0;
}

unsigned audit_flush(struct audit *audit, uint64_t now, bool final)
{
    unsigned dropped = 0;

    audit->flush_at = UINT64_MAX;
    for (size_t i = 0; i <= WINDOW_SHARED; i++) {
        struct window *window = &audit->windows[i];
        if (window->left_out == 0) {
            continue;
        }
        if (final || window->until <= now) {
            dropped += close_window(audit, window);
        } else if (window->until < audit->flush_at) {
            audit->flush_at = window->until;
        }
    }
    return dropped;
}

uint64_t audit_deadline(const struct audit *audit)
{
    return audit->flush_at;
}

unsigned audit_decision(struct audit *audit, uint64_t now, enum role role, int type,
                        const struct peer *peer, struct policy_decision decision)
{
    const struct identity *identity = &peer->identity;
    uid_t uid = identity->has_uid ? identity->uid : AUDIT_UNKNOWN;
    struct window *window = find_window(audit, now, uid, decision.allow);
    struct audit_record *record;
    unsigned dropped = 0;

    if (window->until <= now) {
        dropped += window->left_out > 0 ? close_window(audit, window) : 0;
        window->until = now + AUDIT_WINDOW_USEC;
        window->written = 0;
    }
    if (window->written >= AUDIT_BURST) {
        window->left_out++;
        window->allow = decision.allow; /* of the shared one: as the last of them */
        audit->flush_at = window->until < audit->flush_at ? window->until : audit->flush_at;
        return dropped;
    }
    window->written++;
    record = next_record(audit);
    if (!record) {
        return dropped + 1;
    }
    record->role = role;
    record->type = type;
    record->decision = decision;
    record->uid = uid;
    record->gid = identity->has_gid ? identity->gid : AUDIT_UNKNOWN;
    record->pid = peer->pid;
    if (identity->unit) {
        memcpy(record->unit, peer->unit, sizeof(record->unit));
    }
    if (identity->label) {
        memcpy(record->label, peer->label, sizeof(record->label));
    }
    publish(audit);
    return dropped;
}
