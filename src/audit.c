// SPDX-License-Identifier: MIT
#include "audit.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct audit {
    /* Counts of all that was ever written and read; each has one writer. */
    _Atomic uint64_t written;
    _Atomic uint64_t read;

    /* The worker's alone. */
    struct throttle throttle;
    bool news;

    size_t size;
    struct audit_record records[];
};

/* The record to be filled next, or NULL if the ring is full. */
static struct audit_record *next_record(struct audit *audit)
{
    uint64_t written = atomic_load_explicit(&audit->written, memory_order_relaxed);
    struct audit_record *record;

    if (written - atomic_load_explicit(&audit->read, memory_order_acquire) == audit->size) {
        return NULL;
    }
    record = &audit->records[written % audit->size];
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

/* Writes how many were left out, as soon as there is room. */
static bool write_left_out(void *context, const struct throttle_kind *kind, uint64_t left_out)
{
    struct audit *audit = context;
    struct audit_record *record = next_record(audit);

    if (!record) {
        return false;
    }
    record->left_out = left_out;
    record->role = kind->role;
    record->decision = (struct policy_decision){.allow = kind->allow};
    record->uid = kind->uid;
    publish(audit);
    return true;
}

struct audit *audit_new(size_t records)
{
    struct audit *audit = calloc(1, sizeof(*audit) + records * sizeof(audit->records[0]));

    if (audit) {
        audit->size = records;
        throttle_init(&audit->throttle, write_left_out, audit);
    }
    return audit;
}

void audit_free(struct audit *audit)
{
    free(audit);
}

bool audit_read(struct audit *audit, struct audit_record *record)
{
    uint64_t read = atomic_load_explicit(&audit->read, memory_order_relaxed);

    if (atomic_load_explicit(&audit->written, memory_order_acquire) == read) {
        return false;
    }
    *record = audit->records[read % audit->size];
    atomic_store_explicit(&audit->read, read + 1, memory_order_release);
    return true;
}

bool audit_has_news(struct audit *audit)
{
    bool news = audit->news;

    audit->news = false;
    return news;
}

uint64_t audit_flush(struct audit *audit, uint64_t now, bool final)
{
    return throttle_flush(&audit->throttle, now, final);
}

uint64_t audit_deadline(const struct audit *audit)
{
    return throttle_deadline(&audit->throttle);
}

uint64_t audit_decision(struct audit *audit, uint64_t now, enum role role, int type,
                        const struct peer *peer, struct policy_decision decision)
{
    const struct identity *identity = &peer->identity;
    const struct throttle_kind kind = {
        .role = role,
        .allow = decision.allow,
        .uid = identity->has_uid ? identity->uid : AUDIT_UNKNOWN,
    };
    struct audit_record *record;

    if (!throttle_pass(&audit->throttle, now, &kind)) {
        return 0;
    }
    record = next_record(audit);
    if (!record) {
        return 1;
    }
    record->role = role;
    record->type = type;
    record->decision = decision;
    record->uid = kind.uid;
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
