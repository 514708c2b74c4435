// SPDX-License-Identifier: MIT
#pragma once

/*
 * A client that has been let in as far as the hall: its socket, what it came for, and the place
 * that it takes on its user's account (quota.h), once it has one: who is to be judged first takes
 * none before it is admitted. Whoever takes a visitor over serves it or dismisses it, which gives
 * descriptor and place back together.
 */

#include "activation.h"
#include "loop.h"
#include "quota.h"

struct visitor {
    int fd;   /* connected, and does not block */
    int type; /* SOCK_STREAM or SOCK_SEQPACKET */
    enum role role;
    struct account *account; /* or NULL */
};

/*
 * Gives the visitor, who has none, a place. Returns whether there was one; else it has been
 * refused: counted by reason, and closed. visitor_may_enter() returns the same, and takes no place.
 */
bool visitor_enter(struct loop *loop, struct visitor *visitor);
bool visitor_may_enter(struct loop *loop, const struct visitor *visitor);

/* Gives the place back, if there is one; and the descriptor, too. */
void visitor_leave(const struct visitor *visitor);
void visitor_dismiss(struct loop *loop, const struct visitor *visitor);
