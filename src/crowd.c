// SPDX-License-Identifier: MIT

/* How debts are paid while the send buffer is crowded: one user's at a time (exclusive.h). */

#include "debtor.h"

/* The turn that is over was also DEBTOR's. */
static void settle(struct debtor *debtor, bool reads, uint64_t now)
{
    if (reads) {
        debtor->failures = 0;
        debtor->retry_after = DEBT_RETRY_USEC_MIN;
        debtor->retry_at = now;
        return;
    }
    debtor->retry_at = now + ((uint64_t)DEBT_RETRY_USEC_MAX << debtor->failures);
    debtor->failures += debtor->failures < DEBT_FAILURES;
}

/* Settles the turn if it is over, and forgets those who are owed nothing. Those of this turn are
 * kept until it is over; and if they do not read, as long as they would not be sent anything. */
static void look_round(struct debts *debts, enum exclusive_verdict verdict, uint64_t now)
{
    bool is_over = verdict == EXCLUSIVE_READ || verdict == EXCLUSIVE_UNREAD;
    struct debtor **link = &debts->debtors;

    while (*link) {
        struct debtor *debtor = *link;
        bool is_its = debtor->turn == debts->exclusive.turn;
        if (is_over && is_its) {
            settle(debtor, verdict == EXCLUSIVE_READ, now);
        }
        if (!debtor->first && debtor->retry_at <= now &&
            !(is_its && verdict == EXCLUSIVE_WAITING)) {
            debts_forget(debts, link);
            continue;
        }
        link = &debtor->next;
    }
}

/* Whether DEBTOR's time has come, apart from its user's; if not, when it is to be looked at again.
 */
static bool is_due(const struct debts *debts, struct debtor *debtor, uint64_t now)
{
    const struct debtor *first;

    if (!debtor->first || debtor->retry_at > now) {
        return false;
    }
    first = debts_find_before(debts, &debtor->sender);
    if (first) {
        debtor->retry_at = first->retry_at > now ? first->retry_at : now + DEBT_RETRY_USEC_MIN;
    }
    return !first;
}

/* Of those whose time has come, one of the user whose last turn is the longest ago, and of his the
 * same; NULL if there is none. RETRY_AT becomes when there may be one. */
static struct debtor *choose(const struct debts *debts, uint64_t now, uint64_t *retry_at)
{
    struct debtor *chosen = NULL;
    uint64_t chosen_last = 0;

    *retry_at = UINT64_MAX;
    for (struct debtor *debtor = debts->debtors; debtor; debtor = debtor->next) {
        struct exclusive_user user = exclusive_find(&debts->exclusive, debtor->sender.uid);
        uint64_t at;

        if (user.due <= now &&
            (!chosen || user.last < chosen_last ||
             (user.last == chosen_last && debtor->turn < chosen->turn)) &&
            is_due(debts, debtor, now)) {
            chosen = debtor;
            chosen_last = user.last;
        }
        at = debtor->first && user.due > debtor->retry_at ? user.due : debtor->retry_at;
        *retry_at = at < *retry_at ? at : *retry_at;
    }
    return chosen;
}

/* How many replies to DEBTOR take no more than ROOM bytes of the buffer, from which these are taken
 * off; at least one. */
static unsigned count_fitting(const struct debtor *debtor, size_t *room)
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

/* Sends DEBTOR what ROOM bytes of the buffer are enough for, or one reply, in the turn that this
 * is. Returns whether it took any; it is tried later if not. */
static bool pay(struct debts *debts, struct debtor *debtor, size_t *room, uint64_t now,
                const struct debt_channel *channel)
{
    if (debtor_pay(debts, debtor, count_fitting(debtor, room), channel) == 0) {
        debtor->retry_after = debtor->postponed ? DEBT_RETRY_USEC_MIN : debtor_find_pause(debtor);
        debtor->retry_at = now + debtor->retry_after;
        return false;
    }
    debtor->turn = debts->exclusive.turn;
    return true;
}

/* Has a turn begin, with DEBTOR, if it takes anything. Returns whether it does. */
static bool begin(struct debts *debts, struct debtor *debtor, uint64_t now,
                  const struct debt_channel *channel)
{
    struct exclusive *exclusive = &debts->exclusive;
    const struct exclusive before = *exclusive;
    uid_t uid = debtor->sender.uid;
    size_t room;

    exclusive_note(exclusive, channel->queued(channel->context), now);
    exclusive_begin(exclusive, uid, channel->capacity / DEBT_TURN_SHARE);
    room = exclusive->limit;
    if (!pay(debts, debtor, &room, now, channel)) {
        *exclusive = before;
        return false;
    }
    for (debtor = debts->debtors; debtor && room > 0; debtor = debtor->next) {
        if (debtor->sender.uid == uid && debtor->turn != exclusive->turn &&
            is_due(debts, debtor, now)) {
            (void)pay(debts, debtor, &room, now, channel);
        }
    }
    exclusive_note(exclusive, channel->queued(channel->context), now);
    return true;
}

void debts_pay_crowded(struct debts *debts, size_t queued, uint64_t now,
                       const struct debt_channel *channel)
{
    enum exclusive_verdict verdict = exclusive_look(&debts->exclusive, queued, now);

    look_round(debts, verdict, now);
    if (verdict != EXCLUSIVE_WAITING) {
        struct debtor *debtor = choose(debts, now, &debts->retry_at);
        while (debtor && !begin(debts, debtor, now, channel)) {
            debtor = choose(debts, now, &debts->retry_at);
        }
        if (!debtor) {
            return;
        }
    }
    debts->retry_at = exclusive_look_at(&debts->exclusive, now);
}

void debts_note(struct debts *debts, size_t queued, uint64_t now)
{
    exclusive_note(&debts->exclusive, queued, now);
    if (exclusive_is_over(&debts->exclusive)) {
        debts->retry_at = now;
    }
}

bool debts_may_pass(struct debts *debts, uid_t uid, size_t bytes, size_t capacity)
{
    struct exclusive *exclusive = &debts->exclusive;

    if (!exclusive->current && debts->retry_at > exclusive->now) {
        struct exclusive_user user = exclusive_find(exclusive, uid);
        if (!exclusive_is_known(&user) || bytes > capacity / DEBT_TURN_SHARE) {
            return false;
        }
        exclusive_begin(exclusive, uid, capacity / DEBT_TURN_SHARE);
        debts->retry_at = exclusive_look_at(exclusive, exclusive->now);
    }
    return exclusive_take(exclusive, uid, bytes);
}
