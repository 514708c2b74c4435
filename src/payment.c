// SPDX-License-Identifier: MIT

/* How debts are paid: to whom how much, and when again. */

#include <errno.h>

#include "debtor.h"

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
        debts_settle_one(debts, debtor);
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
    debtor_prove(debtor);
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
        debtor_prove(debtor);
        debtor->doubts = 0;
        return debtor->burst;
    }
    return may_be_sent_more(debtor, now, channel) ? 1 : 0;
}

/* Sends a burst to one debtor while BEFORE bytes of the send buffer are in use, and says when it is
 * to be tried again. Returns whether anything was tried. */
static bool pay_one(struct debts *debts, struct debtor *debtor, size_t before, uint64_t now,
                    const struct debt_channel *channel)
{
    const struct debtor *first = debts_find_before(debts, &debtor->sender);
    bool is_crowded = before >= channel->capacity / 2;
    bool reads;
    unsigned burst;
    unsigned taken;

    if (first) {
        debtor->retry_at = first->retry_at;
        return false;
    }
    burst = is_crowded ? find_burst_when_crowded(debtor, now, &reads, channel)
                       : find_burst(debtor, before, &reads);
    debtor->postponed = false;
    taken = burst > 0 ? pay_burst(debts, debtor, burst, before, now, channel) : 0;
    if (debtor->postponed) {
        debtor->retry_at = now + DEBT_RETRY_USEC_MIN; /* that tells nothing of it */
        return true;
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
    return burst > 0;
}

void debts_pay(struct debts *debts, uint64_t now, const struct debt_channel *channel)
{
    struct debtor **link = &debts->debtors;
    size_t queued = channel->queued(channel->context);

    debts->retry_at = UINT64_MAX;
    while (*link) {
        struct debtor *debtor = *link;
        debtor->low = queued < debtor->low ? queued : debtor->low;
        if (debtor->retry_at <= now && pay_one(debts, debtor, queued, now, channel)) {
            queued = channel->queued(channel->context);
        }
        if (!debtor->first && debtor->unproven == 0) {
            debts_forget(debts, link);
            continue;
        }
        if (debtor->retry_at < debts->retry_at) {
            debts->retry_at = debtor->retry_at;
        }
        link = &debtor->next;
    }
}
