// SPDX-License-Identifier: MIT
#include "orders.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "util.h"

int orders_init(struct orders *orders, struct loop *loop, int event_fd,
                void (*ready)(struct loop *loop, struct watch *watch, uint32_t events))
{
    *orders = (struct orders){.watch = {.ready = ready, .fd = -1, .goes_first = true},
                              .event_fd = event_fd};
    orders->watch.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (orders->watch.fd < 0) {
        return -errno;
    }
    loop_member(loop)->wake_fd = orders->watch.fd;
    return loop_watch(loop, &orders->watch, EPOLLIN);
}

void orders_deinit(struct orders *orders)
{
    policy_unref(atomic_exchange(&orders->policy, NULL));
    fd_close(&orders->watch.fd);
}

enum worker_state orders_state(const struct orders *orders)
{
    return atomic_load(&orders->state);
}

void orders_give(struct orders *orders, enum worker_order order)
{
    atomic_store(&orders->order, order);
    event_raise(orders->watch.fd);
}

void orders_drain(struct orders *orders)
{
    atomic_store(&orders->drain, true);
    event_raise(orders->watch.fd);
}

void orders_set_policy(struct orders *orders, struct policy *policy)
{
    struct policy *before = atomic_exchange(&orders->policy, policy);

    policy_unref(before); /* the worker has not come to it */
    event_raise(orders->watch.fd);
}

uint64_t orders_policies(const struct orders *orders)
{
    return atomic_load(&orders->policies);
}

void orders_ask_activity(struct orders *orders)
{
    atomic_store(&orders->activity, true);
}

void orders_ask_round(struct orders *orders)
{
    atomic_fetch_add(&orders->rounds_asked, 1);
    event_raise(orders->watch.fd);
}

bool orders_went_round(const struct orders *orders)
{
    return atomic_load(&orders->rounds_done) == atomic_load(&orders->rounds_asked);
}

struct policy *orders_take(struct orders *orders)
{
    uint64_t count;

    (void)!read(orders->watch.fd, &count, sizeof(count));
    atomic_store(&orders->rounds_done, atomic_load(&orders->rounds_asked));
    return atomic_exchange(&orders->policy, NULL);
}

void orders_report_policy(struct orders *orders)
{
    atomic_fetch_add(&orders->policies, 1);
    event_raise(orders->event_fd);
}

void orders_say(struct orders *orders, enum worker_state state)
{
    atomic_store(&orders->state, state);
    if (state != WORKER_SERVING) {
        event_raise(orders->event_fd);
    }
}
