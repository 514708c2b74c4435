// SPDX-License-Identifier: MIT
#include "trust.h"

void trust_reset(struct trust *trust)
{
    *trust = (struct trust){0};
}

/* Who has had his first credit is given half of that when he is tried, and ever less. */
static size_t credit_of(const struct trusted *user, size_t capacity)
{
    return (capacity / TRUST_SHARE) >> (user->doubts + (user->state == TRUST_TRIED));
}

static void note(struct trust *trust, size_t unread)
{
    if (trust->since == 0) {
        trust->low[1] = unread;
        trust->since = trust->now;
    }
    if (trust->looks == TRUST_WINDOW || trust->now > trust->since + TRUST_WINDOW_USEC) {
        trust->low[1] = trust->low[0];
        trust->looks = 0;
        trust->since = trust->now;
    }
    if (trust->looks == 0 || unread < trust->low[0]) {
        trust->low[0] = unread;
    }
    trust->looks++;
}

/* USER may be tried when USEC have passed. */
static void end_credit(struct trust *trust, struct trusted *user, uint64_t usec)
{
    if (trust->tried == user) {
        trust->tried = NULL;
    }
    user->state = TRUST_SPENT;
    user->until = trust->now + usec;
}

/* He reads, as far as so much can show. */
static void give_again(struct trust *trust, struct trusted *user)
{
    unsigned doubts = user->doubts;

    trust->charged -= user->charged + user->charged_once;
    if (trust->tried == user) {
        trust->tried = NULL;
    }
    *user = (struct trusted){.uid = user->uid, .used = true};
    if (doubts > 0) {
        user->doubts = doubts - 1;
        user->exhausted = true;
        end_credit(trust, user, 0);
    }
}

/* He has sent too little for a verdict: he goes on when it is his turn again. */
static void put_off(struct trust *trust, struct trusted *user)
{
    user->left = trust_floor(trust);
    end_credit(trust, user, TRUST_TRIAL_USEC);
}

static void try_one(struct trust *trust, struct trusted *user)
{
    if (user->exhausted) {
        user->charged_once += user->charged;
        user->charged = 0;
        user->exhausted = false;
    } else {
        user->base +=
            trust_floor(trust) - user->left; /* what has changed meanwhile is not his doing */
    }
    user->state = TRUST_TRIED;
    user->until = trust->now + TRUST_TRIAL_USEC;
    trust->tried = user;
}

/* He has used up his credit, and what is unread has grown as much as if he did not read. */
static void doubt(struct trust *trust, struct trusted *user)
{
    uint64_t wait = 0;

    if (user->state == TRUST_TRIED) {
        wait = (uint64_t)TRUST_AGAIN_USEC << user->doubts;
        user->doubts += user->doubts < TRUST_DOUBTS;
    }
    end_credit(trust, user, wait); /* it may have been others at first */
}

static bool seems_to_read(const struct trust *trust, const struct trusted *user)
{
    return trust->unread <= user->base + user->charged / 2;
}

/* What is unread shows whether USER reads, or nothing. */
static void judge(struct trust *trust, struct trusted *user, size_t sure)
{
    if (user->charged > 0 && (user->charged >= sure || user->exhausted) &&
        seems_to_read(trust, user)) {
        give_again(trust, user);
    } else if (user->state != TRUST_SPENT && user->exhausted) {
        doubt(trust, user);
    } else if (user->state == TRUST_TRIED && user->until <= trust->now) {
        put_off(trust, user);
    } else if (user->state == TRUST_SPENT && user->until <= trust->now && !trust->tried) {
        try_one(trust, user);
    }
}

void trust_look(struct trust *trust, size_t unread, size_t capacity, uint64_t now)
{
    trust->unread = unread;
    trust->now = now;
    note(trust, unread);
    for (size_t i = 0; i < TRUST_USERS; i++) {
        if (trust->users[i].used) {
            judge(trust, &trust->users[i], capacity / TRUST_SURE_SHARE);
        }
    }
}

/* The user, or NULL if there is no room for him. */
static struct trusted *find(struct trust *trust, uid_t uid)
{
    struct trusted *vacant = NULL;

    for (size_t i = 0; i < TRUST_USERS; i++) {
        struct trusted *user = &trust->users[(uid + i) % TRUST_USERS];
        if (user->used && user->uid == uid) {
            return user;
        }
        if (!vacant && (!user->used || (user->charged == 0 && user->state == TRUST_GIVEN))) {
            vacant = user;
        }
    }
    if (vacant) {
        *vacant = (struct trusted){.uid = uid, .used = true};
    }
    return vacant;
}

/* However little his credit has become, one reply is what a trial takes, or nothing would ever come
 * of it. */
static bool has_credit(const struct trusted *user, size_t bytes, size_t capacity)
{
    return user->charged + bytes <= credit_of(user, capacity) ||
           (user->state == TRUST_TRIED && user->charged == 0 &&
            user->charged_once + bytes <= capacity / TRUST_SHARE * TRUST_CREDITS);
}

bool trust_take(struct trust *trust, uid_t uid, size_t bytes, size_t capacity)
{
    struct trusted *user = find(trust, uid);

    if (!user || user->state == TRUST_SPENT ||
        trust->charged + bytes > capacity / TRUST_SHARE_OF_ALL) {
        return false;
    }
    if (!has_credit(user, bytes, capacity)) {
        user->exhausted = user->charged > 0;
        return false;
    }
    if (user->charged == 0) {
        user->base = trust_floor(trust);
    }
    user->charged += bytes;
    trust->charged += bytes;
    return true;
}
