// SPDX-License-Identifier: MIT
#pragma once

/* A debtor, as those see it who keep the books (debt.c) and who pay (payment.c). */

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
    bool postponed;   /* it was not sent as much as it might have taken */
    unsigned burst;   /* how many replies it is sent at a time */
    size_t paid;      /* bytes of the send buffer that the last burst took */
    size_t queued;    /* bytes of it that were in use after that */
    size_t unproven;  /* bytes of it that nothing shows to be read (debt.h), on the account */
    size_t base;      /* bytes that were in use at least, before the last burst */
    size_t low;       /* and since then */
    unsigned doubts;  /* how often it was sent more although it does not seem to read */
    uint64_t paid_at; /* when it was sent something last while half of the buffer was in use */
    struct debtor *next;
};

/* Who is owed something at the same address from before its user was known; NULL if nobody is. */
const struct debtor *debts_find_before(const struct debts *debts, const struct sender *sender);

/* Forgets the first reply owed to DEBTOR. */
void debts_settle_one(struct debts *debts, struct debtor *debtor);

/* Forgets the debtor at LINK with all that is owed to it. */
void debts_forget(struct debts *debts, struct debtor **link);

/* What the debtor was sent is read, or there is room enough for it not to matter. */
void debtor_prove(struct debtor *debtor);
