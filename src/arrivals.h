// SPDX-License-Identifier: MIT
#pragma once

/*
 * Connections that have just been accepted, and where they go. The kernel wakes another worker for
 * each that comes, but when many come at once the first of them is awake long before the others,
 * and has accepted all. So who has more than its share gives those that come to who has least; once
 * it is served, a connection stays where it is.
 */

#include "activation.h"
#include "loop.h"

/*
 * Takes over FD, a client that has just connected to a socket of ROLE and TYPE, and that does not
 * block: has this worker or another one serve it, if there is a place on its user's account.
 */
void arrivals_admit(struct loop *loop, enum role role, int fd, int type);

/* Serves what others have given. */
void arrivals_take(struct loop *loop);

/* The same, and takes no more until it is opened again, if ever. */
void arrivals_close(struct loop *loop);
void arrivals_open(struct loop *loop);

/* Closes what was given to a worker that never ran. */
void arrivals_drop(struct loop *loop);
