// SPDX-License-Identifier: MIT
#include "decisions.h"

#include <stdlib.h>

#include "journal.h"
#include "throttle.h"

struct decisions {
    struct throttle throttle;
};

static bool write_left_out(void *context, const struct throttle_kind *kind, uint64_t left_out)
{
    const struct audit_record record = {
        .left_out = left_out,
        .role = kind->role,
        .decision = {.allow = kind->allow},
        .uid = kind->uid,
    };

    (void)context;
    journal_write(&record);
    return true;
}

struct decisions *decisions_new(void)
{
    struct decisions *decisions = calloc(1, sizeof(*decisions));

    if (decisions) {
        throttle_init(&decisions->throttle, write_left_out, NULL);
    }
    return decisions;
}

void decisions_free(struct decisions *decisions)
{
    free(decisions);
}

void decisions_take(struct decisions *decisions, uint64_t now, const struct audit_record *record)
{
    const struct throttle_kind kind = {
        .role = record->role,
        .allow = record->decision.allow,
        .uid = record->uid,
    };

    if (record->left_out > 0) {
        throttle_leave_out(&decisions->throttle, now, &kind, record->left_out);
    } else if (throttle_pass(&decisions->throttle, now, &kind)) {
        journal_write(record);
    }
}

void decisions_flush(struct decisions *decisions, uint64_t now, bool final)
{
    (void)throttle_flush(&decisions->throttle, now, final);
}

uint64_t decisions_deadline(const struct decisions *decisions)
{
    return throttle_deadline(&decisions->throttle);
}
