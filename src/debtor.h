// SPDX-License-Identifier: MIT
#pragma once

/* A debtor, as those see it who keep the books (debt.c) and who pay (payment.c, crowd.c). */

#include "debt.h"

struct debt {
    struct debt *next;
    size_t length;
    char data[];
};

struct debtor {
    struct sender sender; /* first: what the tree compares */
    struct account *account;
    struct debt *first;
    struct debt **last; /* the pointer that the next debt goes to */
    size_t datagrams;
    size_t bytes;
    uint64_t retry_at;
    uint64_t retry_after;
    bool postponed;    /* it was not sent as much as it might have taken */
    unsigned burst;    /* how many replies it is sent at a time */
    size_t paid;       /* bytes of the send buffer that the last burst took */
    size_t queued;     /* bytes of it that were in use after that */
    uint64_t turn;     /* the number of its last one while the buffer was crowded, */
    unsigned failures; /* and how many in a row have not shown that it reads */
    struct debtor *next;
};

/* Who is owed something at the same address from before its user was known; NULL if nobody is. */
const struct debtor *debts_find_before(const struct debts *debts, const struct sender *sender);

/* Forgets the first reply owed to DEBTOR. */
void debts_settle_one(struct debts *debts, struct debtor *debtor);

/* Forgets the debtor at LINK with all that is owed to it. */
void debts_forget(struct debts *debts, struct debtor **link);

/* How many replies to DEBTOR take no more than ROOM bytes of the buffer, from which these are taken
 * off; at least one. */
unsigned debtor_count_fitting(const struct debtor *debtor, size_t *room);

/* Sends up to COUNT replies. Returns how many the debtor took. */
unsigned debtor_pay(struct debts *debts, struct debtor *debtor, unsigned count,
                    const struct debt_channel *channel);

/* The pause until it is tried again when it takes nothing: longer than the last one. */
uint64_t debtor_find_pause(const struct debtor *debtor);

/* debts_pay() while QUEUED bytes are in use, and the send buffer is crowded. */
void debts_pay_crowded(struct debts *debts, size_t queued, uint64_t now,
                       const struct debt_channel *channel);
