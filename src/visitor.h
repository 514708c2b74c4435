// SPDX-License-Identifier: MIT
#pragma once

/*
 * A client that has been let in as far as the hall: its socket, what it came for, and the place
 * that it takes on its user's account (quota.h). Whoever takes a visitor over serves it or
 * dismisses it, which gives descriptor and place back together.
 */

#include "activation.h"
#include "loop.h"
#include "quota.h"

struct visitor {
    int fd;   /* connected, and does not block */
    int type; /* SOCK_STREAM or SOCK_SEQPACKET */
    enum role role;
    struct account *account;
};

static inline void visitor_dismiss(struct loop *loop, const struct visitor *visitor)
{
    loop_close(loop, visitor->fd);
    quota_leave(visitor->account);
}
