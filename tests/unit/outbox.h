// SPDX-License-Identifier: MIT
#pragma once

/* Debts to senders that are mere numbers, and a channel to them that notes what it is given. */

#include <stdbool.h>
#include <stddef.h>

#include "debt.h"

enum { OUTBOX_UNIT = 4096 }; /* bytes of the send buffer */

/* Notes what is sent as "SENDER:DATA ", and takes no more than it has room for. */
struct outbox {
    char sent[256];
    unsigned room;
    bool is_busy; /* it is not the sender that takes no more */
    unsigned attempts;
    size_t queued; /* units of the send buffer in use */
    size_t weight; /* units of it that each reply takes until it is read */
    char reader;   /* the one sender that reads at once, by its name */
};

/* An account for each user, on which he may be owed more than all debts together. NULL if there is
 * no memory. */
struct quota *outbox_quota_new(void);

/* A sender made from a number. */
struct sender outbox_sender(unsigned number);

/* debts_add() for that one. */
int outbox_add(struct debts *debts, unsigned number, const char *data, size_t length, uint64_t now);

/* With a send buffer of 1000 units; good until the next call. */
const struct debt_channel *outbox_channel(struct outbox *outbox);
