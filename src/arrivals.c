// SPDX-License-Identifier: MIT
#include "arrivals.h"

#include <errno.h>

#include "reception.h"
#include "util.h"
#include "visitor.h"

struct arrival {
    struct parcel parcel;
    struct visitor visitor;
};

enum {
    ARRIVING_MAX = 64, /* that are on their way to one worker */
    SLACK_SHARE = 8,   /* an eighth more than one's share, and one more, is well enough */
};

static void serve(struct loop *loop, const struct visitor *visitor)
{
    if (reception_connection(loop, visitor) < 0) {
        counter_add(&loop->counters, COUNTER_FAILED, 1);
    }
}

/* Whether this worker has more connections than its share; and whether there are descriptors to
 * spare, because who gives one away goes on accepting at once. */
static bool has_too_many(const struct loop *loop)
{
    struct common *common = loop->common;
    uint64_t all = quota_connections(common->quota);
    uint64_t share = all / common->n;

    return member_load(loop_member(loop)) > share + share / SLACK_SHARE + 1 &&
           all + common->n * ARRIVING_MAX < common->connections_fit;
}

/* Who has least, if that is less than this worker has; or NULL. */
static struct member *find_lightest(const struct loop *loop)
{
    uint64_t least = member_load(loop_member(loop)) - 1;
    struct member *lightest = NULL;

    for (size_t i = 0; i < loop->common->n; i++) {
        struct member *member = &loop->common->members[i];
        uint64_t load = member_load(member);
        if (load < least && inbox_is_open(&member->arrivals) &&
            atomic_load_explicit(&member->arriving, memory_order_relaxed) < ARRIVING_MAX) {
            least = load;
            lightest = member;
        }
    }
    return lightest;
}

/* Returns whether somebody has taken it. */
static bool give(const struct loop *loop, const struct visitor *visitor)
{
    struct member *member = find_lightest(loop);
    struct arrival *arrival = member ? malloc(sizeof(*arrival)) : NULL;

    if (!arrival) {
        return false;
    }
    *arrival = (struct arrival){.visitor = *visitor};
    atomic_fetch_add_explicit(&member->arriving, 1, memory_order_relaxed);
    if (!inbox_put(&member->arrivals, &arrival->parcel)) {
        atomic_fetch_sub_explicit(&member->arriving, 1, memory_order_relaxed);
        free(arrival);
        return false;
    }
    event_raise(member->wake_fd);
    return true;
}

void arrivals_admit(struct loop *loop, enum role role, int fd, int type)
{
    struct visitor visitor = {.fd = fd, .type = type, .role = role};
    bool enters =
        role == ROLE_ECHO ? visitor_enter(loop, &visitor) : visitor_may_enter(loop, &visitor);

    counter_add(&loop->counters, COUNTER_ACCEPTED, 1);
    if (enters && (loop->common->n == 1 || !has_too_many(loop) || !give(loop, &visitor))) {
        serve(loop, &visitor);
    }
}

/* Takes out one of LIST, and frees it. */
static struct visitor take_one(struct loop *loop, struct parcel **list)
{
    struct arrival *first = CONTAINER_OF(*list, struct arrival, parcel);
    struct visitor visitor = first->visitor;

    *list = first->parcel.next;
    atomic_fetch_sub_explicit(&loop_member(loop)->arriving, 1, memory_order_relaxed);
    free(first);
    return visitor;
}

static void serve_all(struct loop *loop, struct parcel *list)
{
    while (list) {
        struct visitor visitor = take_one(loop, &list);
        serve(loop, &visitor);
    }
}

void arrivals_take(struct loop *loop)
{
    serve_all(loop, inbox_take(&loop_member(loop)->arrivals));
}

void arrivals_close(struct loop *loop)
{
    serve_all(loop, inbox_close(&loop_member(loop)->arrivals));
}

void arrivals_open(struct loop *loop)
{
    inbox_open(&loop_member(loop)->arrivals);
}

void arrivals_drop(struct loop *loop)
{
    struct parcel *list = inbox_close(&loop_member(loop)->arrivals);

    while (list) {
        struct visitor visitor = take_one(loop, &list);
        visitor_dismiss(loop, &visitor);
    }
}
