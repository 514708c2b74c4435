// SPDX-License-Identifier: MIT
#include "datagrams.h"

#include <errno.h>

#include "reply.h"
#include "util.h"

enum {
    WATCH_RETRY_USEC = 100 * 1000, /* the kernel had no memory to watch a socket */
    CROWDED_TURNS = 8,             /* after so many a socket is given away */
};

/* In the place of what was given: nothing is taken. */
static struct datagram closed;

static void push(struct datagrams *datagrams, struct datagram *datagram)
{
    datagram->next = datagrams->first;
    datagrams->first = datagram;
}

static void watch(struct datagram *datagram, struct loop *loop)
{
    datagram->watch_at =
        datagram_resume(datagram, loop) < 0 ? loop_now() + WATCH_RETRY_USEC : UINT64_MAX;
}

int datagrams_add(struct datagrams *datagrams, struct loop *loop, const struct activated *socket)
{
    struct datagram *datagram = malloc(sizeof(*datagram));
    int r;

    if (!datagram) {
        return -ENOMEM;
    }
    r = datagram_init(datagram, loop, socket);
    push(datagrams, datagram);
    return r < 0 ? r : datagram_resume(datagram, loop);
}

void datagrams_deinit(struct datagrams *datagrams, const struct loop *loop)
{
    struct datagram *given = atomic_exchange(&loop_member(loop)->inbox, &closed);

    while (given && given != &closed) {
        struct datagram *next = given->next;
        push(datagrams, given);
        given = next;
    }
    while (datagrams->first) {
        struct datagram *datagram = datagrams->first;
        datagrams->first = datagram->next;
        debts_deinit(&datagram->debts);
        free(datagram);
    }
}

/* Takes over what was given, and leaves NEXT to take more or not. */
static void empty_inbox(struct datagrams *datagrams, struct loop *loop, struct datagram *leave)
{
    struct datagram *given = atomic_exchange(&loop_member(loop)->inbox, leave);

    while (given && given != &closed) {
        struct datagram *datagram = given;
        given = datagram->next;
        push(datagrams, datagram);
        reply_show_owed(datagram, loop, 0);
        if (!leave) {
            watch(datagram, loop);
        }
    }
}

void datagrams_take(struct datagrams *datagrams, struct loop *loop)
{
    struct datagram *given = atomic_load_explicit(&loop_member(loop)->inbox, memory_order_relaxed);

    if (given && given != &closed) {
        empty_inbox(datagrams, loop, NULL);
    }
}

/* Puts DATAGRAM into the inbox of MEMBER. Returns whether it is open. */
static bool give(struct member *member, struct datagram *datagram)
{
    struct datagram *before = atomic_load_explicit(&member->inbox, memory_order_relaxed);

    do {
        if (before == &closed) {
            return false;
        }
        datagram->next = before;
    } while (!atomic_compare_exchange_weak(&member->inbox, &before, datagram));
    event_raise(member->wake_fd);
    return true;
}

/* One who waits for events, or NULL. That may have changed by now: it is only better than others.
 */
static struct member *find_idler(const struct loop *loop)
{
    struct common *common = loop->common;

    for (size_t i = 1; i < common->n; i++) {
        struct member *member = &common->members[(loop->index + i) % common->n];
        if (atomic_load_explicit(&member->waits, memory_order_relaxed) &&
            atomic_load_explicit(&member->inbox, memory_order_relaxed) != &closed) {
            return member;
        }
    }
    return NULL;
}

/* Gives away the socket at LINK. */
static void give_away(struct datagrams *datagrams, struct loop *loop, struct datagram **link)
{
    struct member *member = find_idler(loop);
    struct datagram *datagram = *link;
    size_t owed = datagram->debts.datagrams;

    datagram->crowded = 0;
    if (!member) {
        return;
    }
    *link = datagram->next;
    datagram_pause(datagram, loop);
    counter_add(&loop->counters, COUNTER_OWED, -(int64_t)owed);
    if (!give(member, datagram)) {
        counter_add(&loop->counters, COUNTER_OWED, (int64_t)owed);
        push(datagrams, datagram);
        watch(datagram, loop);
    }
}

void datagrams_share(struct datagrams *datagrams, struct loop *loop, int events)
{
    struct datagram **crowded = NULL;

    for (struct datagram **link = &datagrams->first; *link; link = &(*link)->next) {
        struct datagram *datagram = *link;
        if (datagram->active) {
            datagram->active = false;
            datagram->crowded = events > 1 ? datagram->crowded + 1 : 0;
            crowded = datagram->crowded >= CROWDED_TURNS ? link : crowded;
        }
    }
    if (crowded && !loop->draining) {
        give_away(datagrams, loop, crowded);
    }
}

void datagrams_pause(struct datagrams *datagrams, struct loop *loop)
{
    empty_inbox(datagrams, loop, &closed);
    for (struct datagram *datagram = datagrams->first; datagram; datagram = datagram->next) {
        datagram_pause(datagram, loop);
        datagram->watch_at = UINT64_MAX;
    }
}

void datagrams_resume(struct datagrams *datagrams, struct loop *loop)
{
    atomic_store(&loop_member(loop)->inbox, NULL);
    for (struct datagram *datagram = datagrams->first; datagram; datagram = datagram->next) {
        watch(datagram, loop);
    }
}

void datagrams_tend(struct datagrams *datagrams, struct loop *loop)
{
    for (struct datagram *datagram = datagrams->first; datagram; datagram = datagram->next) {
        if (datagram->debts.retry_at != UINT64_MAX) {
            uint64_t now = loop_now();
            if (datagram->debts.retry_at <= now) {
                reply_pay(datagram, loop, now);
            }
        }
        if (datagram->watch_at != UINT64_MAX && datagram->watch_at <= loop_now()) {
            watch(datagram, loop);
        }
    }
}

uint64_t datagrams_deadline(const struct datagrams *datagrams)
{
    uint64_t until = UINT64_MAX;

    for (const struct datagram *datagram = datagrams->first; datagram; datagram = datagram->next) {
        until = datagram->debts.retry_at < until ? datagram->debts.retry_at : until;
        until = datagram->watch_at < until ? datagram->watch_at : until;
    }
    return until;
}

void datagrams_drop(struct datagrams *datagrams, struct loop *loop)
{
    for (struct datagram *datagram = datagrams->first; datagram; datagram = datagram->next) {
        datagram_drop(datagram, loop);
    }
}
