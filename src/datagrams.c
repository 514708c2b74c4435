// SPDX-License-Identifier: MIT
#include "datagrams.h"

#include <errno.h>

#include "reply.h"
#include "util.h"

enum {
    WATCH_RETRY_USEC = 100 * 1000, /* the kernel had no memory to watch a socket */
    CROWDED_MAX = 16,              /* at this a socket is given away, */
    CROWDED_TURN = 2,              /* which a turn with other events adds to, */
    ALONE_TURN = 1,                /* and one without takes from */
};

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

void datagrams_deinit(struct datagrams *datagrams)
{
    while (datagrams->first) {
        struct datagram *datagram = datagrams->first;
        datagrams->first = datagram->next;
        debts_deinit(&datagram->debts);
        free(datagram);
    }
}

/* Takes over what is in LIST. */
static void take_over(struct datagrams *datagrams, struct loop *loop, struct parcel *list)
{
    while (list) {
        struct datagram *datagram = CONTAINER_OF(list, struct datagram, parcel);
        list = list->next;
        push(datagrams, datagram);
        reply_show_owed(datagram, loop, 0);
        watch(datagram, loop);
    }
}

void datagrams_take(struct datagrams *datagrams, struct loop *loop)
{
    take_over(datagrams, loop, inbox_take(&loop_member(loop)->datagrams));
}

/* One who waits for events, or NULL. That may have changed by now: it is only better than others.
 */
static struct member *find_idler(const struct loop *loop)
{
    struct common *common = loop->common;

    for (size_t i = 1; i < common->n; i++) {
        struct member *member = &common->members[(loop->index + i) % common->n];
        if (atomic_load_explicit(&member->waits, memory_order_relaxed) &&
            inbox_is_open(&member->datagrams)) {
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

    datagram->crowded = member ? 0 : CROWDED_MAX / 2;
    if (!member) {
        return;
    }
    *link = datagram->next;
    datagram_pause(datagram, loop);
    counter_add(&loop->counters, COUNTER_OWED, -(int64_t)owed);
    if (inbox_put(&member->datagrams, &datagram->parcel)) {
        event_raise(member->wake_fd);
    } else {
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
        if (datagram->active > 0) {
            if (events > datagram->active) {
                datagram->crowded += CROWDED_TURN;
            } else if (datagram->crowded > 0) {
                datagram->crowded -= ALONE_TURN;
            }
            datagram->active = 0;
            crowded = datagram->crowded >= CROWDED_MAX ? link : crowded;
        }
    }
    if (crowded && !loop->draining) {
        give_away(datagrams, loop, crowded);
    }
}

void datagrams_pause(struct datagrams *datagrams, struct loop *loop)
{
    take_over(datagrams, loop, inbox_close(&loop_member(loop)->datagrams));
    for (struct datagram *datagram = datagrams->first; datagram; datagram = datagram->next) {
        datagram_pause(datagram, loop);
        datagram->watch_at = UINT64_MAX;
    }
}

void datagrams_resume(struct datagrams *datagrams, struct loop *loop)
{
    inbox_open(&loop_member(loop)->datagrams);
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
