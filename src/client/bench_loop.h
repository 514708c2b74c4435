// SPDX-License-Identifier: MIT
#pragma once

/*
 * The bare loop: the other ends of socketpairs, echoed by a thread that does nothing else and knows
 * nothing of who is there. It shows what the client itself costs, and the least that any service
 * can take. It may block in sending: a benchmark's client never stops receiving. Where each message
 * is to have a connection of its own, it is a listening socket instead.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "target.h"

struct bare_loop {
    pthread_t thread;
    bool running;
    int epoll_fd;
    int stop_fd;
    atomic_bool stopping;  /* said by stop_fd, too */
    int listen_fd;         /* -1: socketpairs */
    struct target address; /* of the listening socket */
    size_t n_accepted;     /* and still open */
    int *fds;
    size_t n_fds;
    char *buffer;
    size_t size;
    bool poll; /* instead of sleeping */
};

/*
 * Makes N socketpairs of TYPE, stores this side's ends in FDS, and echoes whatever comes through
 * them, messages up to SIZE bytes. Returns 0, or a negative errno with no descriptor left open.
 */
int bare_loop_start(struct bare_loop *loop, int type, size_t n, size_t size, bool poll, int *fds);

/* Listens instead, for connections of TYPE, at the address that is then in it. Returns as above. */
int bare_loop_listen(struct bare_loop *loop, int type, size_t size, bool poll);

/* Ends it, once its clients' ends are closed or nobody sends any more. */
void bare_loop_stop(struct bare_loop *loop);
