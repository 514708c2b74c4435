// SPDX-License-Identifier: MIT
#include "visitor.h"

#include <errno.h>

#include "peer.h"

/* For one who was not let in because of ERROR. */
static enum counter refusal(int error)
{
    switch (error) {
    case EUSERS:
        return COUNTER_REFUSED;
    case EDQUOT:
        return COUNTER_REFUSED_USER;
    default:
        return COUNTER_FAILED;
    }
}

static bool settle(struct loop *loop, const struct visitor *visitor, int r)
{
    if (r < 0) {
        counter_add(&loop->counters, refusal(-r), 1);
        loop_close(loop, visitor->fd);
    }
    return r >= 0;
}

bool visitor_enter(struct loop *loop, struct visitor *visitor)
{
    struct quota *quota = loop->common->quota;

    return settle(loop, visitor, quota_enter(quota, peer_uid(visitor->fd), &visitor->account));
}

bool visitor_may_enter(struct loop *loop, const struct visitor *visitor)
{
    return settle(loop, visitor, quota_check(loop->common->quota, peer_uid(visitor->fd)));
}

void visitor_leave(const struct visitor *visitor)
{
    if (visitor->account) {
        quota_leave(visitor->account);
    }
}

void visitor_dismiss(struct loop *loop, const struct visitor *visitor)
{
    loop_close(loop, visitor->fd);
    visitor_leave(visitor);
}
