// SPDX-License-Identifier: MIT
#pragma once

/* A listening socket: takes connections in, or refuses them when there are enough. */

#include "loop.h"

struct acceptor {
    struct watch watch;
    int type; /* SOCK_STREAM or SOCK_SEQPACKET */
    struct acceptor *next;
};

/* Serves FD, a listening socket that does not block and that the caller keeps. */
void acceptor_init(struct acceptor *acceptor, int fd, int type);

/* Begins or goes on accepting. Returns 0 or a negative errno. */
int acceptor_resume(struct acceptor *acceptor, struct loop *loop);

/* Leaves what arrives in the kernel's backlog. */
void acceptor_pause(struct acceptor *acceptor, struct loop *loop);
