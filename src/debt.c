// SPDX-License-Identifier: MIT
#include "debt.h"

#include <errno.h>
#include <search.h>
#include <string.h>

#include "util.h"

struct debt {
    struct debt *next;
    size_t length;
    char data[];
};

struct debtor {
    struct sockaddr_storage address;
    socklen_t size;
    struct debt *first;
    struct debt **last; /* the pointer that the next debt goes to */
    size_t datagrams;
    size_t bytes;
    uint64_t retry_at;
    uint64_t retry_after;
    struct debtor *next;
};

void debts_init(struct debts *debts)
{
    *debts = (struct debts){.retry_at = UINT64_MAX};
}

static int compare(const void *a, const void *b)
{
    const struct debtor *left = a;
    const struct debtor *right = b;

    if (left->size != right->size) {
        return left->size < right->size ? -1 : 1;
    }
    return memcmp(&left->address, &right->address, left->size);
}

static struct debtor *find(const struct debts *debts, const struct sockaddr *address,
                           socklen_t size)
{
    struct debtor key = {.size = size};
    struct debtor *const *found;

    memcpy(&key.address, address, size);
    found = tfind(&key, &debts->by_address, compare);
    return found ? *found : NULL;
}

bool debts_owed_to(const struct debts *debts, const struct sockaddr *address, socklen_t size)
{
    return debts->senders > 0 && find(debts, address, size);
}

/* Forgets the first reply owed to DEBTOR. */
static void settle_one(struct debts *debts, struct debtor *debtor)
{
    struct debt *debt = debtor->first;

    debtor->first = debt->next;
    if (!debtor->first) {
        debtor->last = &debtor->first;
    }
    debtor->datagrams--;
    debtor->bytes -= debt->length;
    debts->datagrams--;
    debts->bytes -= debt->length;
    free(debt);
}

/* Forgets the debtor at LINK with all that is owed to it. */
static void forget(struct debts *debts, struct debtor **link)
{
    struct debtor *debtor = *link;

    while (debtor->first) {
        settle_one(debts, debtor);
    }
    *link = debtor->next;
    tdelete(debtor, &debts->by_address, compare);
    debts->senders--;
    free(debtor);
}

void debts_deinit(struct debts *debts)
{
    while (debts->debtors) {
        forget(debts, &debts->debtors);
    }
    debts->retry_at = UINT64_MAX;
}

/* The debtor of this address, a new one if there is none; NULL with errno ENOBUFS or ENOMEM. */
static struct debtor *obtain(struct debts *debts, const struct sockaddr *address, socklen_t size,
                             uint64_t now)
{
    struct debtor *debtor = find(debts, address, size);

    if (debtor) {
        return debtor;
    }
    if (debts->senders >= DEBT_SENDERS) {
        errno = ENOBUFS;
        return NULL;
    }
    debtor = calloc(1, sizeof(*debtor));
    if (!debtor) {
        return NULL;
    }
    memcpy(&debtor->address, address, size);
    debtor->size = size;
    debtor->last = &debtor->first;
    debtor->retry_after = DEBT_RETRY_USEC_MIN;
    debtor->retry_at = now + debtor->retry_after;
    if (!tsearch(debtor, &debts->by_address, compare)) {
        free(debtor);
        errno = ENOMEM;
        return NULL;
    }
    debtor->next = debts->debtors;
    debts->debtors = debtor;
    debts->senders++;
    if (debtor->retry_at < debts->retry_at) {
        debts->retry_at = debtor->retry_at;
    }
    return debtor;
}

int debts_add(struct debts *debts, const struct sockaddr *address, socklen_t size, const void *data,
              size_t length, uint64_t now)
{
    CLEANUP(free_pointer) struct debt *debt = NULL;
    struct debtor *debtor;

    if (debts->bytes + length > DEBT_BYTES) {
        return -ENOBUFS;
    }
    debt = malloc(sizeof(*debt) + length);
    if (!debt) {
        return -ENOMEM;
    }
    debtor = obtain(debts, address, size, now);
    if (!debtor) {
        return -errno;
    }
    if (debtor->datagrams >= DEBT_DATAGRAMS_PER_SENDER ||
        (debtor->first && debtor->bytes + length > DEBT_BYTES_PER_SENDER)) {
        return -ENOBUFS;
    }
    debt->next = NULL;
    debt->length = length;
    memcpy(debt->data, data, length);
    *debtor->last = debt;
    debtor->last = &debt->next;
    debtor->datagrams++;
    debtor->bytes += length;
    debts->datagrams++;
    debts->bytes += length;
    debt = NULL;
    return 0;
}

/* Sends what one debtor takes, and says when it is to be tried again if it did not take all. */
static void pay_one(struct debts *debts, struct debtor *debtor, uint64_t now, debts_send send,
                    void *context)
{
    bool took = false;

    while (debtor->first && send(context, (const struct sockaddr *)&debtor->address, debtor->size,
                                 debtor->first->data, debtor->first->length) == 0) {
        settle_one(debts, debtor);
        took = true;
    }
    debtor->retry_after = took ? DEBT_RETRY_USEC_MIN : debtor->retry_after * 2;
    if (debtor->retry_after > DEBT_RETRY_USEC_MAX) {
        debtor->retry_after = DEBT_RETRY_USEC_MAX;
    }
    debtor->retry_at = now + debtor->retry_after;
}

void debts_pay(struct debts *debts, uint64_t now, debts_send send, void *context)
{
    struct debtor **link = &debts->debtors;

    debts->retry_at = UINT64_MAX;
    while (*link) {
        struct debtor *debtor = *link;
        if (debtor->retry_at <= now) {
            pay_one(debts, debtor, now, send, context);
        }
        if (!debtor->first) {
            forget(debts, link);
            continue;
        }
        if (debtor->retry_at < debts->retry_at) {
            debts->retry_at = debtor->retry_at;
        }
        link = &debtor->next;
    }
}
