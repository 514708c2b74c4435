// SPDX-License-Identifier: MIT
#include "audit.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Decisions of one kind on one uid, since the first of them that was written. */
struct window {
    bool used;
    bool allow;
    enum role role;
    uid_t uid;
    unsigned written;
    uint64_t left_out;
    uint64_t until; /* CLOCK_MONOTONIC in microseconds */
};

/*
 * One user may have many uids: those from here on are handed out by the range (subuid(5)), and
 * containers take them. They have windows of their own, so that they cannot use up those of others.
 */
enum { UIDS_OF_RANGES = 65536 };

enum { PROBES = 8, RANGES = 2, KINDS = 4 /* roles and verdicts */ };

struct audit {
    /* Counts of all that was ever written and read; each has one writer. */
    _Atomic uint64_t written;
    _Atomic uint64_t read;
    struct audit_record records[AUDIT_RECORDS];

    /* The worker's alone. */
    struct window windows[RANGES][AUDIT_WINDOWS];
    struct window shared[RANGES][KINDS]; /* for those who find no window */
    uint64_t flush_at;
    bool news;
};

struct audit *audit_new(void)
{
    struct audit *audit = calloc(1, sizeof(*audit));

    if (audit) {
        audit->flush_at = UINT64_MAX;
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

/* The window of those decisions: its own, one that nobody needs any more, or a shared one. */
static struct window *find_window(struct audit *audit, uint64_t now, const struct window *wanted)
{
    unsigned range = wanted->uid >= UIDS_OF_RANGES && wanted->uid != AUDIT_UNKNOWN;
    unsigned kind = (wanted->role == ROLE_WHOAMI ? 2U : 0U) + wanted->allow;
    uint64_t start = ((uint64_t)wanted->uid * KINDS + kind) * 0x9e3779b97f4a7c15U >> 32;
    struct window *vacant = NULL;

    for (size_t i = 0; i < PROBES; i++) {
        struct window *window = &audit->windows[range][(start + i) % AUDIT_WINDOWS];
        if (window->used && window->uid == wanted->uid && window->allow == wanted->allow &&
            window->role == wanted->role) {
            return window;
        }
        if (!vacant && (!window->used || (window->until <= now && window->left_out == 0))) {
            vacant = window;
        }
    }
    if (vacant) {
        *vacant = *wanted;
        return vacant;
    }
    vacant = &audit->shared[range][kind];
    if (!vacant->used) {
        *vacant = *wanted;
        vacant->uid = AUDIT_UNKNOWN;
    }
    return vacant;
}

/* Writes how many were left out, as soon as there is room. Returns whether that is done. */
static bool close_window(struct audit *audit, struct window *window)
{
    struct audit_record *record;

    if (window->left_out == 0) {
        return true;
    }
    record = next_record(audit);
    if (!record) {
        return false;
    }
    record->left_out = window->left_out;
    record->role = window->role;
    record->decision = (struct policy_decision){.allow = window->allow};
    record->uid = window->uid;
    window->left_out = 0;
    publish(audit);
    return true;
}

/* Flushes one window. Returns how many decisions had to be forgotten. */
static uint64_t flush_window(struct audit *audit, uint64_t now, bool final, struct window *window)
{
    if ((window->until <= now || final) && !close_window(audit, window)) {
        if (final) {
            return window->left_out;
        }
        window->until = now + AUDIT_RETRY_USEC;
    }
    if (window->left_out > 0 && window->until < audit->flush_at) {
        audit->flush_at = window->until;
    }
    return 0;
}

uint64_t audit_flush(struct audit *audit, uint64_t now, bool final)
{
    uint64_t forgotten = 0;

    audit->flush_at = UINT64_MAX;
    for (size_t range = 0; range < RANGES; range++) {
        for (size_t i = 0; i < AUDIT_WINDOWS; i++) {
            forgotten += flush_window(audit, now, final, &audit->windows[range][i]);
        }
        for (size_t i = 0; i < KINDS; i++) {
            forgotten += flush_window(audit, now, final, &audit->shared[range][i]);
        }
    }
    return forgotten;
}

uint64_t audit_deadline(const struct audit *audit)
{
    return audit->flush_at;
}

uint64_t audit_decision(struct audit *audit, uint64_t now, enum role role, int type,
                        const struct peer *peer, struct policy_decision decision)
{
    const struct identity *identity = &peer->identity;
    const struct window wanted = {
        .used = true,
        .uid = identity->has_uid ? identity->uid : AUDIT_UNKNOWN,
        .role = role,
        .allow = decision.allow,
    };
    struct window *window = find_window(audit, now, &wanted);
    struct audit_record *record;

    if (window->until <= now && close_window(audit, window)) {
        window->until = now + AUDIT_WINDOW_USEC;
        window->written = 0;
    }
    if (window->written >= AUDIT_BURST) {
        window->left_out++;
        audit->flush_at = window->until < audit->flush_at ? window->until : audit->flush_at;
        return 0;
    }
    window->written++;
    record = next_record(audit);
    if (!record) {
        return 1;
    }
    record->role = role;
    record->type = type;
    record->decision = decision;
    record->uid = wanted.uid;
    record->gid = identity->has_gid ? identity->gid : AUDIT_UNKNOWN;
    record->pid = peer->pid;
    if (identity->unit) {
        memcpy(record->unit, peer->unit, sizeof(record->unit));
    }
    if (identity->label) {
        memcpy(record->label, peer->label, sizeof(record->label));
    }
    publish(audit);
    return 0;
}
