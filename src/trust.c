// SPDX-License-Identifier: MIT
#include "trust.h"

void trust_reset(struct trust *trust)
{
    *trust = (struct trust){0};
}

static void forgive(struct trust *trust, struct trusted *user)
{
    trust->charged -= user->charged;
    user->charged = 0;
    user->spent = false;
    user->until = 0;
}

static size_t credit_of(const struct trusted *user, size_t capacity)
{
    return (capacity / TRUST_SHARE) >> user->doubts;
}

static void note(struct trust *trust, size_t unread)
{
    if (trust->since == 0) {
        trust->low[1] = trust->high[1] = unread;
        trust->since = trust->now;
    }
    if (trust->looks == TRUST_WINDOW || trust->now > trust->since + TRUST_WINDOW_USEC) {
        trust->low[1] = trust->low[0];
        trust->high[1] = trust->high[0];
        trust->looks = 0;
        trust->since = trust->now;
    }
    if (trust->looks == 0 || unread < trust->low[0]) {
        trust->low[0] = unread;
    }
    if (trust->looks == 0 || unread > trust->high[0]) {
        trust->high[0] = unread;
    }
    trust->looks++;
}

/* How much is to be seen at least: twice what there is to be seen anyway. */
static size_t find_sure(const struct trust *trust, size_t capacity)
{
    size_t high = trust->high[0] > trust->high[1] ? trust->high[0] : trust->high[1];
    size_t spread = high - trust_floor(trust);
    size_t least = capacity / TRUST_SURE_SHARE;

    return 2 * spread > least ? 2 * spread : least;
}

/* What is unread shows whether USER reads, or nothing. */
static void judge(struct trust *trust, struct trusted *user, size_t sure)
{
    if (user->charged == 0 || (user->charged < sure && !user->spent)) {
        return;
    }
    if (trust->unread <= user->base + user->charged / 2) {
        forgive(trust, user);
        user->doubts -= user->doubts > 0;
    } else if (user->spent && user->until == 0) {
        user->until = trust->now + ((uint64_t)TRUST_AGAIN_USEC << user->doubts);
    } else if (user->spent && user->until <= trust->now) {
        forgive(trust, user);
        user->doubts += user->doubts < TRUST_DOUBTS;
    }
}

void trust_look(struct trust *trust, size_t unread, size_t capacity, uint64_t now)
{
    size_t sure;

    trust->unread = unread;
    trust->now = now;
    note(trust, unread);
    sure = find_sure(trust, capacity);
    for (size_t i = 0; i < TRUST_USERS; i++) {
        judge(trust, &trust->users[i], sure);
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
        if (!vacant && (!user->used || (user->charged == 0 && user->doubts == 0))) {
            vacant = user;
        }
    }
    if (vacant) {
        *vacant = (struct trusted){.uid = uid, .used = true};
    }
    return vacant;
}

bool trust_take(struct trust *trust, uid_t uid, size_t bytes, size_t capacity)
{
    struct trusted *user = find(trust, uid);

    if (!user || trust->charged + bytes > capacity / TRUST_SHARE_OF_ALL) {
        return false;
    }
    if (user->charged + bytes > credit_of(user, capacity)) {
        user->spent = true;
        return false;
    }
    if (user->charged == 0) {
        user->base = trust->unread;
    }
    user->charged += bytes;
    trust->charged += bytes;
    return true;
}
