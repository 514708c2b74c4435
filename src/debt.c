// SPDX-License-Identifier: MIT
#include "debtor.h"

#include <errno.h>
#include <search.h>
#include <string.h>

#include "util.h"

void debts_init(struct debts *debts, struct quota *quota)
{
    *debts = (struct debts){.quota = quota, .last = &debts->debtors, .retry_at = UINT64_MAX};
}

static int compare(const void *a, const void *b)
{
    return sender_compare(a, b);
}

static struct debtor *find(const struct debts *debts, const struct sender *sender)
{
    struct debtor *const *found = tfind(sender, &debts->by_sender, compare);

    return found ? *found : NULL;
}

const struct debtor *debts_find_before(const struct debts *debts, const struct sender *sender)
{
    struct sender unknown = *sender;
    const struct debtor *debtor;

    unknown.uid = SENDER_UNKNOWN;
    debtor = sender->uid == SENDER_UNKNOWN ? NULL : find(debts, &unknown);
    return debtor && debtor->first ? debtor : NULL;
}

size_t debts_owed_to(const struct debts *debts, const struct sender *sender)
{
    const struct debtor *debtor = NULL;

    if (debts->senders > 0) {
        debtor = find(debts, sender);
        debtor = debtor && debtor->first ? debtor : debts_find_before(debts, sender);
    }
    return debtor ? debtor->datagrams : 0;
}

void debts_settle_one(struct debts *debts, struct debtor *debtor)
{
    struct debt *debt = debtor->first;

    debtor->first = debt->next;
    if (!debtor->first) {
        debtor->last = &debtor->first;
    }
    debtor->datagrams--;
    debtor->bytes -= debt->length + DEBT_OVERHEAD;
    debts->datagrams--;
    debts->bytes -= debt->length + DEBT_OVERHEAD;
    account_settle_datagram(debtor->account, debt->length + DEBT_OVERHEAD);
    free(debt);
}

void debts_forget(struct debts *debts, struct debtor **link)
{
    struct debtor *debtor = *link;

    while (debtor->first) {
        debts_settle_one(debts, debtor);
    }
    *link = debtor->next;
    if (!*link) {
        debts->last = link;
    }
    tdelete(debtor, &debts->by_sender, compare);
    debts->senders--;
    account_drop_address(debtor->account);
    account_release(debtor->account);
    free(debtor);
}

void debts_deinit(struct debts *debts)
{
    while (debts->debtors) {
        debts_forget(debts, &debts->debtors);
    }
    debts->retry_at = UINT64_MAX;
}

/* A debtor on ACCOUNT; NULL if there is no memory. */
static struct debtor *debtor_new(struct debts *debts, const struct sender *sender,
                                 struct account *account, uint64_t now)
{
    struct debtor *debtor = calloc(1, sizeof(*debtor));

    if (!debtor) {
        return NULL;
    }
    debtor->sender = *sender;
    debtor->account = account;
    debtor->last = &debtor->first;
    debtor->burst = DEBT_BURST_MAX;
    debtor->retry_after = DEBT_RETRY_USEC_MIN;
    debtor->retry_at = now + debtor->retry_after;
    if (!tsearch(debtor, &debts->by_sender, compare)) {
        free(debtor);
        return NULL;
    }
    *debts->last = debtor;
    debts->last = &debtor->next;
    debts->senders++;
    if (debtor->retry_at < debts->retry_at) {
        debts->retry_at = debtor->retry_at;
    }
    return debtor;
}

/* The debtor that SENDER is, a new one if there is none; goes to RET. Returns as debts_add(). */
static int obtain(struct debts *debts, const struct sender *sender, uint64_t now,
                  struct debtor **ret)
{
    struct account *account;

    *ret = find(debts, sender);
    if (*ret) {
        return 0;
    }
    if (debts->senders >= DEBT_SENDERS) {
        return -ENOBUFS;
    }
    account = account_hold(debts->quota, sender->uid);
    if (!account) {
        return -ENOMEM;
    }
    if (!account_add_address(account)) {
        account_release(account);
        return -EDQUOT;
    }
    *ret = debtor_new(debts, sender, account, now);
    if (!*ret) {
        account_drop_address(account);
        account_release(account);
        return -ENOMEM;
    }
    return 0;
}

static int add(struct debts *debts, const struct sender *sender, const void *data, size_t length,
               uint64_t now, bool adopted)
{
    CLEANUP(free_pointer) struct debt *debt = NULL;
    size_t bytes = length + DEBT_OVERHEAD;
    struct debtor *debtor;
    int r;

    if (debts->bytes + bytes > DEBT_BYTES) {
        return -ENOBUFS;
    }
    debt = malloc(sizeof(*debt) + length);
    if (!debt) {
        return -ENOMEM;
    }
    r = obtain(debts, sender, now, &debtor);
    if (r < 0) {
        return r;
    }
    if (debtor->datagrams >= DEBT_DATAGRAMS_PER_SENDER ||
        (debtor->first && debtor->bytes + bytes > DEBT_BYTES_PER_SENDER)) {
        return -ENOBUFS;
    }
    if (adopted) {
        account_adopt_datagram(debtor->account, bytes);
    } else if (!account_owe_datagram(debtor->account, bytes)) {
        return -EDQUOT; /* a debtor who is owed nothing is forgotten at the next payment */
    }
    debt->next = NULL;
    debt->length = length;
    memcpy(debt->data, data, length);
    *debtor->last = debt;
    debtor->last = &debt->next;
    debtor->datagrams++;
    debtor->bytes += bytes;
    debts->datagrams++;
    debts->bytes += bytes;
    debt = NULL;
    return 0;
}

int debts_add(struct debts *debts, const struct sender *sender, const void *data, size_t length,
              uint64_t now)
{
    return add(debts, sender, data, length, now, false);
}

int debts_adopt(struct debts *debts, const struct sender *sender, const void *data, size_t length,
                uint64_t now)
{
    return add(debts, sender, data, length, now, true);
}

void debts_each(const struct debts *debts,
                void (*take)(void *context, const struct sender *sender, const void *data,
                             size_t length),
                void *context)
{
    for (const struct debtor *debtor = debts->debtors; debtor; debtor = debtor->next) {
        for (const struct debt *debt = debtor->first; debt; debt = debt->next) {
            take(context, &debtor->sender, debt->data, debt->length);
        }
    }
}
