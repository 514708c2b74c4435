// SPDX-License-Identifier: MIT

/* How debts are paid: to whom how much, and when again. */

#include <errno.h>

#include "debtor.h"

unsigned debtor_pay(struct debts *debts, struct debtor *debtor, unsigned count,
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

unsigned debtor_count_fitting(const struct debtor *debtor, size_t *room)
{
    unsigned count = 0;

    for (const struct debt *debt = debtor->first; debt && count < DEBT_BURST_MAX;
         debt = debt->next) {
        size_t bytes = debt->length + DEBT_ROOM;
        if (count > 0 && bytes > *room) {
            break;
        }
        *room -= bytes < *room ? bytes : *room;
        count++;
    }
    return count;
}

uint64_t debtor_find_pause(const struct debtor *debtor)
{
    return debtor->retry_after * 2 < DEBT_RETRY_USEC_MAX ? debtor->retry_after * 2
                                                         : DEBT_RETRY_USEC_MAX;
}

/* Sends a burst to one debtor while BEFORE bytes of the send buffer are in use, and says when it is
 * to be tried again. Returns whether anything was tried. */
static bool pay_one(struct debts *debts, struct debtor *debtor, size_t before, uint64_t now,
                    const struct debt_channel *channel)
{
    const struct debtor *first = debts_find_before(debts, &debtor->sender);
    size_t room = channel->capacity / DEBT_BURST_SHARE;
    bool reads;
    unsigned fitting;
    unsigned taken;

    if (first) {
        debtor->retry_at = first->retry_at;
        return false;
    }
    /* As far as can be seen. */
    reads = debtor->paid == 0 || before + debtor->paid / 2 <= debtor->queued;
    fitting = debtor_count_fitting(debtor, &room);
    taken = debtor_pay(debts, debtor, fitting < debtor->burst ? fitting : debtor->burst, channel);
    debtor->queued = channel->queued(channel->context);
    debtor->paid = debtor->queued > before ? debtor->queued - before : 0;
    if (debtor->postponed) {
        debtor->retry_at = now + DEBT_RETRY_USEC_MIN; /* that tells nothing of it */
        return true;
    }
    if (reads && taken > 0) {
        debtor->retry_after = DEBT_RETRY_USEC_MIN;
        debtor->burst = debtor->burst * 2 < DEBT_BURST_MAX ? debtor->burst * 2 : DEBT_BURST_MAX;
    } else {
        debtor->retry_after = debtor_find_pause(debtor);
        debtor->burst = debtor->burst > 1 ? debtor->burst / 2 : 1;
    }
    debtor->retry_at = now + debtor->retry_after;
    return true;
}

void debts_pay(struct debts *debts, uint64_t now, const struct debt_channel *channel)
{
    struct debtor **link = &debts->debtors;
    size_t queued = channel->queued(channel->context);

    if (debts_are_crowded(queued, channel->capacity)) {
        debts_pay_crowded(debts, queued, now, channel);
        return;
    }
    debts_note_end(debts, now);
    debts->retry_at = UINT64_MAX;
    while (*link) {
        struct debtor *debtor = *link;
        /* If it becomes crowded by these, the others are seen to at once in the other way. */
        if (debtor->first && debtor->retry_at <= now &&
            !debts_are_crowded(queued, channel->capacity) &&
            pay_one(debts, debtor, queued, now, channel)) {
            queued = channel->queued(channel->context);
        }
        if (!debtor->first) {
            debts_forget(debts, link);
            continue;
        }
        if (debtor->retry_at < debts->retry_at) {
            debts->retry_at = debtor->retry_at;
        }
        link = &debtor->next;
    }
}
