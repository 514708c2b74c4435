// SPDX-License-Identifier: MIT
#include "exclusive.h"

void exclusive_reset(struct exclusive *exclusive)
{
    *exclusive = (struct exclusive){0};
}

/* The place of UID, or the one that is to be his, or that he shares. Places are never given up, so
 * what comes after a vacant one need not be looked at. */
static size_t find_place(const struct exclusive *exclusive, uid_t uid)
{
    for (size_t i = 0; i < EXCLUSIVE_USERS; i++) {
        size_t place = (uid + i) % EXCLUSIVE_USERS;
        if (!exclusive->users[place].used || exclusive->users[place].uid == uid) {
            return place;
        }
    }
    return uid % EXCLUSIVE_USERS;
}

struct exclusive_user exclusive_find(const struct exclusive *exclusive, uid_t uid)
{
    return exclusive->users[find_place(exclusive, uid)];
}

static size_t subtract(size_t a, size_t b)
{
    return a > b ? a - b : 0;
}

/* Whose loss is the most like READ bytes. */
static struct exclusive_user *find_reader(struct exclusive *exclusive, size_t read)
{
    struct exclusive_user *found = NULL;
    size_t least = SIZE_MAX;

    for (size_t i = 0; i < EXCLUSIVE_USERS; i++) {
        struct exclusive_user *user = &exclusive->users[i];
        size_t difference = subtract(user->lost, read) + subtract(read, user->lost);
        if (user->lost > 0 && difference < least) {
            found = user;
            least = difference;
        }
    }
    return found;
}

/* READ bytes of USER's loss are none any more. */
static void forgive(struct exclusive *exclusive, struct exclusive_user *user, size_t read)
{
    size_t bytes = read < user->lost ? read : user->lost;

    user->lost -= bytes;
    exclusive->expected -= bytes;
    if (user->lost == 0) {
        user->failures = 0;
        user->due = 0;
        exclusive->losers--;
    }
}

/* Finds out who has read what he had lost, while nobody is sent anything. He may not be done yet,
 * and it may look as if it was another. */
static void look_for_reader(struct exclusive *exclusive)
{
    size_t read = subtract(exclusive->expected, exclusive->unread);
    struct exclusive_user *reader =
        exclusive->losers > 0 && read > 0 ? find_reader(exclusive, read) : NULL;

    if (reader != exclusive->reader) {
        exclusive->reader = reader;
        exclusive->reader_since = exclusive->now;
    } else if (reader && exclusive->now >= exclusive->reader_since + EXCLUSIVE_SURE_USEC) {
        forgive(exclusive, reader, read);
        exclusive->reader = NULL;
    }
}

/* Who has kept others waiting for long waits as long. */
static void succeed(const struct exclusive *exclusive, struct exclusive_user *user)
{
    uint64_t lasted = exclusive->now - exclusive->since;

    user->failures = user->lost > exclusive->too_much ? user->failures : 0;
    user->successes += user->successes < EXCLUSIVE_PATIENCE_DOUBLED;
    user->due = lasted > EXCLUSIVE_PATIENCE_USEC ? exclusive->now + lasted : 0;
}

/* Whether nobody has looked at the turn for so long that it tells nothing of him whose it is. */
static bool is_overlooked(const struct exclusive *exclusive, uint64_t now)
{
    return now >= exclusive->until &&
           exclusive->now < exclusive->until - (exclusive->until - exclusive->since) / 2;
}

/* USER has not read all that was sent in his turn. */
static void fail(struct exclusive *exclusive, struct exclusive_user *user)
{
    size_t lost = exclusive->unread - exclusive->base;
    unsigned most;

    exclusive->expected = exclusive->losers > 0 ? exclusive->expected + lost : exclusive->unread;
    exclusive->losers += user->lost == 0;
    user->lost += lost;
    user->due = exclusive->now + ((uint64_t)EXCLUSIVE_AGAIN_USEC << user->failures);
    /* As long as it is little it may be some of his addresses only: his others need not wait long.
     */
    most = user->lost > exclusive->too_much ? EXCLUSIVE_FAILURES : 1;
    user->failures += user->failures < most;
    user->successes = 0;
}

enum exclusive_verdict exclusive_look(struct exclusive *exclusive, size_t unread, uint64_t now)
{
    struct exclusive_user *user = exclusive->current;

    if (user && is_overlooked(exclusive, now)) {
        exclusive->until = now + EXCLUSIVE_PATIENCE_USEC;
    }
    exclusive_note(exclusive, unread, now);
    if (!user) {
        look_for_reader(exclusive);
        return EXCLUSIVE_NOBODY;
    }
    if (unread > exclusive->base && now < exclusive->until) {
        return EXCLUSIVE_WAITING;
    }
    exclusive->current = NULL;
    if (unread <= exclusive->base) {
        succeed(exclusive, user);
        look_for_reader(exclusive);
        return EXCLUSIVE_READ;
    }
    fail(exclusive, user);
    return EXCLUSIVE_UNREAD;
}

uint64_t exclusive_look_at(const struct exclusive *exclusive, uint64_t now)
{
    uint64_t begin = exclusive->since + (exclusive->is_direct ? EXCLUSIVE_SLICE_USEC : 0);
    uint64_t after;
    uint64_t next;

    if (now < begin) {
        return begin;
    }
    after = (now - begin) / 2;
    next = now + (after > EXCLUSIVE_LOOK_USEC ? after : EXCLUSIVE_LOOK_USEC);
    return next < exclusive->until ? next : exclusive->until;
}

/* Who has always read may have been kept from it; so may who has not yet. */
static unsigned find_doublings(const struct exclusive_user *user)
{
    unsigned doublings = user->successes > user->failures ? user->successes : user->failures;

    return doublings < EXCLUSIVE_PATIENCE_DOUBLED ? doublings : EXCLUSIVE_PATIENCE_DOUBLED;
}

size_t exclusive_limit(const struct exclusive_user *user, size_t limit)
{
    size_t left = subtract(limit * EXCLUSIVE_ALLOWANCE, user->lost);

    if (!exclusive_is_known(user)) {
        return 0;
    }
    return left > limit ? limit : left > limit / EXCLUSIVE_REST ? left : limit / EXCLUSIVE_REST;
}

void exclusive_begin(struct exclusive *exclusive, uid_t uid, size_t limit)
{
    struct exclusive_user *user = &exclusive->users[find_place(exclusive, uid)];

    if (!user->used) {
        *user = (struct exclusive_user){.uid = uid, .used = true};
    }
    user->last = ++exclusive->turn;
    exclusive->current = user;
    exclusive->uid = uid;
    exclusive->base = exclusive->unread;
    exclusive->too_much = limit * EXCLUSIVE_TOO_MUCH;
    exclusive->limit = exclusive_limit(user, limit);
    exclusive->is_direct = false;
    exclusive->since = exclusive->now;
    exclusive->until = exclusive->now + ((uint64_t)EXCLUSIVE_PATIENCE_USEC << find_doublings(user));
}

bool exclusive_take(struct exclusive *exclusive, uid_t uid, size_t bytes)
{
    if (!exclusive->current || exclusive->uid != uid ||
        exclusive->now >= exclusive->since + EXCLUSIVE_SLICE_USEC ||
        exclusive->unread + bytes > exclusive->base + exclusive->limit) {
        return false;
    }
    exclusive->unread += bytes;
    exclusive->is_direct = true;
    return true;
}
