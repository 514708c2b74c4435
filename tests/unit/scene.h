// SPDX-License-Identifier: MIT
#pragma once

/*
 * A send buffer that is half full, and two users: one with many addresses reads nothing, the
 * other reads all, but is kept from it for some time now and then, as on a busy machine. The clock
 * is the test's own.
 */

#include <stdbool.h>
#include <stdint.h>

#include "debtor.h"

enum {
    CAPACITY = 128 * 1024 * 1024,
    HALF = CAPACITY / 2,
    HONEST = 1000,
    HOSTILE = 2000,
    HONEST_ADDRESSES = 16,
    HOSTILE_ADDRESSES = QUOTA_USER_ADDRESSES,
    SIZE = 20000, /* of a reply */
    SECOND = 1000 * 1000,
    BUSY_USEC = 20 * 1000, /* it takes so long to read */
    OFTEN = 10,            /* every so many turns */
};

struct scene {
    struct quota *quota;
    struct debts debts;
    uint64_t now;
    size_t queued;
    size_t on_its_way; /* of these, to the honest user */
    uint64_t read_at;  /* when he reads it */
    unsigned sent;     /* replies to him */
    unsigned turns;    /* of his */
    unsigned hostile;  /* replies to the other */
    size_t most;       /* bytes that were unread with him away */
    uint64_t owed_at;  /* when the other is owed more */
    bool is_late;
    unsigned last; /* the honest user's address that was sent something last */
    bool has_mute; /* the honest user has an address at which nobody reads */
    unsigned mute; /* replies to that */
};

/* Set up and torn down for a test, as STATE. */
int scene_begin(void **state);
int scene_end(void **state);

/* One of a user's addresses. */
struct sender scene_sender(uid_t uid, unsigned number);

/* UID is owed a reply at each of N addresses at which nothing is owed. */
void scene_owe(struct scene *scene, uid_t uid, unsigned n);

/* Debts are paid now; or when the next one is due. */
void scene_pay(struct scene *scene);
void scene_pay_when_due(struct scene *scene);

/* The honest user is owed more whenever he has read, and the hostile one, if there is one, all the
 * time. */
void scene_run(struct scene *scene, unsigned seconds, bool has_hostile);
