// SPDX-License-Identifier: MIT

/* How debts are paid while the send buffer is crowded: one user's at a time (exclusive.h). */

#include "debtor.h"

enum { TRIES_PER_TURN = 64 };

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

/* Whether what is first owed to DEBTOR may be left unread by USER: one reply, if he has read all
 * until now; then as much as he may lose in all, or little. But never so much that nothing is left
 * for who has lost less. */
static bool is_affordable(const struct debts *debts, const struct debtor *debtor,
                          const struct exclusive_user *user, size_t capacity)
{
    size_t limit = capacity / DEBT_TURN_SHARE;
    size_t bytes = debtor->first->length + DEBT_ROOM;
    size_t after = debts->exclusive.unread + bytes;

    if (user->lost == 0) {
        return after <= capacity - capacity / DEBT_LEFT_SHARE / 2;
    }
    return after <= capacity - capacity / DEBT_LEFT_SHARE &&
           (user->lost + bytes <= limit * EXCLUSIVE_ALLOWANCE ||
            bytes <= DEBT_ROOM + limit / EXCLUSIVE_REST);
}

/* Whether DEBTOR's time has come, apart from its USER's; if not, when it is to be looked at again.
 */
static bool is_due(const struct debts *debts, struct debtor *debtor,
                   const struct exclusive_user *user, uint64_t now, size_t capacity)
{
    const struct debtor *first;

    if (!debtor->first || debtor->retry_at > now) {
        return false;
    }
    first = debts_find_before(debts, &debtor->sender);
    if (!first && is_affordable(debts, debtor, user, capacity)) {
        return true;
    }
    debtor->retry_at = now + DEBT_RETRY_USEC_MAX;
    return false;
}

/* Of those whose time has come, one of the user whose last turn is the longest ago, and of his the
 * same; NULL if there is none. RETRY_AT becomes when there may be one. */
static struct debtor *choose(const struct debts *debts, uint64_t now, size_t capacity,
                             uint64_t *retry_at)
{
    struct debtor *chosen = NULL;
    uint64_t chosen_last = 0;

    /* Nothing tells when the crowd is over. */
    *retry_at = debts->debtors ? now + DEBT_RETRY_USEC_MAX : UINT64_MAX;
    for (struct debtor *debtor = debts->debtors; debtor; debtor = debtor->next) {
        struct exclusive_user user = exclusive_find(&debts->exclusive, debtor->sender.uid);
        uint64_t at;

        if (user.due <= now &&
            (!chosen || user.last < chosen_last ||
             (user.last == chosen_last && debtor->turn < chosen->turn)) &&
            is_due(debts, debtor, &user, now, capacity)) {
            chosen = debtor;
            chosen_last = user.last;
        }
        at = debtor->first && user.due > debtor->retry_at ? user.due : debtor->retry_at;
        *retry_at = at < *retry_at ? at : *retry_at;
    }
    return chosen;
}

/* Sends DEBTOR what ROOM bytes of the buffer are enough for, or one reply, in TURN. Returns whether
 * it took any; it is tried later if not. */
static bool pay(struct debts *debts, struct debtor *debtor, uint64_t turn, size_t *room,
                uint64_t now, const struct debt_channel *channel)
{
    if (debtor_pay(debts, debtor, debtor_count_fitting(debtor, room), channel) == 0) {
        debtor->retry_after = debtor->postponed ? DEBT_RETRY_USEC_MIN : debtor_find_pause(debtor);
        debtor->retry_at = now + debtor->retry_after;
        return false;
    }
    debtor->turn = turn;
    return true;
}

/* Has a turn begin, with DEBTOR, if it takes anything. Returns whether it does. */
static bool begin(struct debts *debts, struct debtor *debtor, uint64_t now,
                  const struct debt_channel *channel)
{
    struct exclusive *exclusive = &debts->exclusive;
    const struct exclusive_user user = exclusive_find(exclusive, debtor->sender.uid);
    size_t limit = channel->capacity / DEBT_TURN_SHARE;
    size_t room = exclusive_limit(&user, limit);
    uid_t uid = debtor->sender.uid;

    exclusive_note(exclusive, channel->queued(channel->context), now);
    if (!pay(debts, debtor, exclusive->turn + 1, &room, now, channel)) {
        return false;
    }
    exclusive_begin(exclusive, uid, limit);
    for (debtor = debts->debtors; debtor && room > 0; debtor = debtor->next) {
        if (debtor->sender.uid == uid && debtor->turn != exclusive->turn &&
            is_due(debts, debtor, &user, now, channel->capacity)) {
            (void)pay(debts, debtor, exclusive->turn, &room, now, channel);
        }
    }
    exclusive_note(exclusive, channel->queued(channel->context), now);
    return true;
}

/* Has a turn begin. Returns whether anybody took anything; if not, debts->retry_at says when to try
 * again. */
static bool begin_any(struct debts *debts, uint64_t now, const struct debt_channel *channel)
{
    for (int i = 0; i < TRIES_PER_TURN; i++) {
        struct debtor *debtor = choose(debts, now, channel->capacity, &debts->retry_at);
        if (!debtor) {
            return false;
        }
        if (begin(debts, debtor, now, channel)) {
            return true;
        }
    }
    debts->retry_at = now + DEBT_RETRY_USEC_MIN;
    return false;
}

void debts_pay_crowded(struct debts *debts, size_t queued, uint64_t now,
                       const struct debt_channel *channel)
{
    enum exclusive_verdict verdict = exclusive_look(&debts->exclusive, queued, now);

    look_round(debts, verdict, now);
    if (verdict != EXCLUSIVE_WAITING && !begin_any(debts, now, channel)) {
        return;
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

void debts_note_end(struct debts *debts, uint64_t now)
{
    if (debts->exclusive.turn == 0) {
        return;
    }
    exclusive_reset(&debts->exclusive);
    for (struct debtor *debtor = debts->debtors; debtor; debtor = debtor->next) {
        debtor->turn = 0;
        debtor->failures = 0;
        debtor->retry_after = DEBT_RETRY_USEC_MIN;
        debtor->retry_at = now < debtor->retry_at ? now : debtor->retry_at;
    }
    debts->retry_at = debts->debtors ? now : UINT64_MAX;
}

bool debts_may_pass(struct debts *debts, uid_t uid, size_t bytes, size_t capacity)
{
    struct exclusive *exclusive = &debts->exclusive;
    size_t limit = capacity / DEBT_TURN_SHARE;
    struct exclusive_user user;

    if (exclusive->current || debts->retry_at <= exclusive->now) {
        return exclusive_take(exclusive, uid, bytes);
    }
    user = exclusive_find(exclusive, uid);
    if (user.due > exclusive->now || bytes > exclusive_limit(&user, limit)) {
        return false;
    }
    exclusive_begin(exclusive, uid, limit);
    debts->retry_at = exclusive_look_at(exclusive, exclusive->now);
    return exclusive_take(exclusive, uid, bytes);
}
