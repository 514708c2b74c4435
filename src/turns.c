// SPDX-License-Identifier: MIT
#include "turns.h"

#include <assert.h>
#include <search.h>
#include <stdlib.h>

#include "loop.h"

void turns_init(struct turns *turns)
{
    *turns = (struct turns){.room = TURNS_ROOM, .per_user = TURNS_PER_USER, .last = &turns->first};
}

static int compare(const void *a, const void *b)
{
    uintptr_t one = (uintptr_t)((const struct guest *)a)->user;
    uintptr_t other = (uintptr_t)((const struct guest *)b)->user;

    return one < other ? -1 : one > other;
}

struct guest *turns_join(struct turns *turns, const void *user)
{
    const struct guest wanted = {.user = user};
    struct guest *const *found = tfind(&wanted, &turns->by_user, compare);
    struct guest *guest = found ? *found : NULL;

    if (!guest) {
        guest = calloc(1, sizeof(*guest));
        if (!guest) {
            return NULL;
        }
        guest->user = user;
        guest->last = &guest->first;
        if (!tsearch(guest, &turns->by_user, compare)) {
            free(guest);
            return NULL;
        }
        turns->guests++;
    }
    guest->watches++;
    return guest;
}

void turns_leave(struct turns *turns, struct guest *guest)
{
    guest->watches--;
    if (guest->watches > 0) {
        return;
    }
    assert(!guest->first);
    tdelete(guest, &turns->by_user, compare);
    free(guest);
    turns->guests--;
}

/* Whether GUEST may be served once more in this turn. */
static bool has_turn(const struct turns *turns, const struct guest *guest)
{
    return !turns->is_crowded || guest->turn != turns->turn || guest->taken < turns->per_user;
}

static void count_turn(const struct turns *turns, struct guest *guest)
{
    if (guest->turn != turns->turn) {
        guest->turn = turns->turn;
        guest->taken = 0;
    }
    guest->taken++;
}

bool turns_take(struct turns *turns, struct guest *guest)
{
    if (turns->guests > 1 && turns->is_crowded && (guest->first || !has_turn(turns, guest))) {
        return false;
    }
    count_turn(turns, guest);
    return true;
}

/* Puts GUEST, who has something postponed, behind the others. */
static void queue_up(struct turns *turns, struct guest *guest)
{
    guest->next = NULL;
    *turns->last = guest;
    turns->last = &guest->next;
}

/* Takes GUEST out of the queue. */
static void step_out(struct turns *turns, struct guest *guest)
{
    struct guest **link = &turns->first;

    while (*link != guest) {
        assert(*link); /* it is there */
        link = &(*link)->next;
    }
    *link = guest->next;
    if (!*link) {
        turns->last = link;
    }
}

void turns_postpone(struct turns *turns, struct watch *watch)
{
    struct guest *guest = watch->guest;

    if (!guest->first) {
        queue_up(turns, guest);
    }
    watch->next = NULL;
    watch->link = guest->last;
    *guest->last = watch;
    guest->last = &watch->next;
}

void turns_forget(struct turns *turns, struct watch *watch)
{
    struct guest *guest = watch->guest;

    *watch->link = watch->next;
    if (watch->next) {
        watch->next->link = watch->link;
    } else {
        guest->last = watch->link;
    }
    watch->link = NULL;
    if (!guest->first) {
        step_out(turns, guest);
    }
}

struct watch *turns_next(struct turns *turns)
{
    struct guest *guest = turns->first;
    struct watch *watch;

    /* Who has had all of his is behind those who have not. */
    if (!guest || turns->left == 0 || !has_turn(turns, guest)) {
        return NULL;
    }
    turns->left--;
    watch = guest->first;
    turns_forget(turns, watch);
    count_turn(turns, guest);
    if (guest->first && guest->taken % turns->per_user == 0) {
        step_out(turns, guest);
        queue_up(turns, guest);
    }
    return watch;
}
