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

/* Who is owed something at the same address from before its user was known; NULL if nobody is. */
static const struct debtor *find_before(const struct debts *debts, const struct sender *sender)
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
        debtor = debtor && debtor->first ? debtor : find_before(debts, sender);
    }
    return debtor ? debtor->datagrams : 0;
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
    debtor->bytes -= debt->length + DEBT_OVERHEAD;
    debts->datagrams--;
    debts->bytes -= debt->length + DEBT_OVERHEAD;
    account_settle_datagram(debtor->account, debt->length + DEBT_OVERHEAD);
    free(debt);
}

/* What the debtor was sent is read, or there is room enough for it not to matter. */
static void prove(struct debtor *debtor)
{
    account_prove(debtor->account, debtor->unproven);
    debtor->unproven = 0;
}

/* Forgets the debtor at LINK with all that is owed to it. */
static void forget(struct debts *debts, struct debtor **link)
{
    struct debtor *debtor = *link;

    while (debtor->first) {
        settle_one(debts, debtor);
    }
    *link = debtor->next;
    if (!*link) {
        debts->last = link;
    }
    tdelete(debtor, &debts->by_sender, compare);
    debts->senders--;
    prove(debtor);
    account_drop_address(debtor->account);
    account_release(debtor->account);
    free(debtor);
}

void debts_deinit(struct debts *debts)
{
    while (debts->debtors) {
        forget(debts, &debts->debtors);
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

/* Sends up to COUNT replies. Returns how many the debtor took. */
static unsigned pay_some(struct debts *debts, struct debtor *debtor, unsigned count,
                         const struct debt_channel *channel)
{
    unsigned taken = 0;
    int r = 0;

    while (debtor->first && taken < count) {
        r = channel->send(channel->context, &debtor->sender, debtor->first->data,
                          debtor->first->length);
        if (r < 0) {
            break;
        }
        settle_one(debts, debtor);
        taken++;
    }
    debtor->postponed = r == -EBUSY;
    return taken;
}

/* Whether the user may be sent more though half of the buffer is in use and nothing shows that he
 * reads. */
static bool has_credit(const struct debtor *debtor, const struct debt_channel *channel)
{
    return account_unproven(debtor->account) < channel->capacity / DEBT_TRUST_SHARE;
}

/* Whether the next reply is so small that one to each address that a user may have takes no more
 * than a quarter of the buffer. */
static bool is_small(const struct debtor *debtor, const struct debt_channel *channel)
{
    return debtor->first &&
           (debtor->first->length + DEBT_ROOM) * QUOTA_USER_ADDRESSES <= channel->capacity / 4;
}

/* Whether it is so little together with what nothing shows to be read that the same to each address
 * is a bounded part of the buffer. */
static bool is_little(const struct debtor *debtor, const struct debt_channel *channel)
{
    size_t bytes = debtor->unproven + debtor->first->length + DEBT_ROOM;

    return bytes * QUOTA_USER_ADDRESSES <= channel->capacity / DEBT_TRUST_SHARE;
}

/* Sends a burst while BEFORE bytes of the send buffer are in use. Returns how many replies the
 * debtor took. */
static unsigned pay_burst(struct debts *debts, struct debtor *debtor, unsigned burst, size_t before,
                          uint64_t now, const struct debt_channel *channel)
{
    unsigned taken = pay_some(debts, debtor, burst, channel);

    if (taken == 0 && debtor->unproven > 0) {
        return 0; /* what it was sent earlier is still to be seen */
    }
    debtor->queued = channel->queued(channel->context);
    debtor->paid = debtor->queued > before ? debtor->queued - before : 0;
    if (debtor->queued >= channel->capacity / 2 && taken > 0) {
        /* Below the half nobody looks how many there were at least. */
        debtor->base = before < channel->capacity / 2 ? before : channel->floor(channel->context);
        debtor->low = debtor->queued;
        debtor->paid_at = now;
        debtor->unproven += debtor->paid;
        account_trust(debtor->account, debtor->paid);
    }
    return taken;
}

/* Returns how many replies DEBTOR may be sent while less than half of the buffer is in use, and
 * whether it reads, as far as can be seen. */
static unsigned find_burst(struct debtor *debtor, size_t before, bool *reads)
{
    prove(debtor);
    *reads = debtor->paid == 0 || before + debtor->paid / 2 <= debtor->queued;
    return debtor->burst;
}

/* Whether DEBTOR is sent one more although nothing shows that it has read. On its user's credit, as
 * often as it is tried; beyond that ever more rarely. */
static bool may_be_sent_more(struct debtor *debtor, uint64_t now,
                             const struct debt_channel *channel)
{
    if (!debtor->first) {
        return false;
    }
    if (has_credit(debtor, channel)) {
        return now >= debtor->paid_at + DEBT_RETRY_USEC_MAX;
    }
    if (!is_little(debtor, channel) ||
        now < debtor->paid_at + ((uint64_t)DEBT_RETRY_USEC_MAX << debtor->doubts)) {
        return false;
    }
    debtor->doubts += debtor->doubts < DEBT_DOUBTS;
    return true;
}

/* The same while more is in use. */
static unsigned find_burst_when_crowded(struct debtor *debtor, uint64_t now, bool *reads,
                                        const struct debt_channel *channel)
{
    if (debtor->unproven == 0) {
        *reads = true;
        return has_credit(debtor, channel) || is_small(debtor, channel) ? 1 : 0;
    }
    *reads = debtor->low <= debtor->base + debtor->paid / 2;
    if (*reads) {
        prove(debtor);
        debtor->doubts = 0;
        return debtor->burst;
    }
    return may_be_sent_more(debtor, now, channel) ? 1 : 0;
}

/* Sends a burst to one debtor, and says when it is to be tried again. */
static void pay_one(struct debts *debts, struct debtor *debtor, uint64_t now,
                    const struct debt_channel *channel)
{
    const struct debtor *first = find_before(debts, &debtor->sender);
    size_t before = channel->queued(channel->context);
    bool is_crowded = before >= channel->capacity / 2;
    bool reads;
    unsigned burst;
    unsigned taken;

    if (first) {
        debtor->retry_at = first->retry_at;
        return;
    }
    burst = is_crowded ? find_burst_when_crowded(debtor, now, &reads, channel)
                       : find_burst(debtor, before, &reads);
    debtor->postponed = false;
    taken = burst > 0 ? pay_burst(debts, debtor, burst, before, now, channel) : 0;
    if (debtor->postponed) {
        debtor->retry_at = now + DEBT_RETRY_USEC_MIN; /* that tells nothing of it */
        return;
    }
    if (reads && taken > 0) {
        debtor->retry_after = DEBT_RETRY_USEC_MIN;
        debtor->burst = debtor->burst * 2 < DEBT_BURST_MAX ? debtor->burst * 2 : DEBT_BURST_MAX;
    } else {
        debtor->retry_after = debtor->retry_after * 2 < DEBT_RETRY_USEC_MAX
                                  ? debtor->retry_after * 2
                                  : DEBT_RETRY_USEC_MAX;
        debtor->burst = debtor->burst > 1 ? debtor->burst / 2 : 1;
    }
    debtor->retry_at = now + debtor->retry_after;
}

void debts_pay(struct debts *debts, uint64_t now, const struct debt_channel *channel)
{
    struct debtor **link = &debts->debtors;
    size_t queued = channel->queued(channel->context);

    debts->retry_at = UINT64_MAX;
    while (*link) {
        struct debtor *debtor = *link;
        debtor->low = queued < debtor->low ? queued : debtor->low;
        if (debtor->retry_at <= now) {
            pay_one(debts, debtor, now, channel);
        }
        if (!debtor->first && debtor->unproven == 0) {
            forget(debts, link);
            continue;
        }
        if (debtor->retry_at < debts->retry_at) {
            debts->retry_at = debtor->retry_at;
        }
        link = &debtor->next;
    }
}
