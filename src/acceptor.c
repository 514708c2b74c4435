// SPDX-License-Identifier: MIT
#include "acceptor.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "connection.h"
#include "util.h"

/* So that a storm of new connections does not keep those that are open waiting. */
enum { ACCEPTS_PER_TURN = 16 };

/* The listener stays readable, so trying again at once would spin: accepting has to pause. */
static bool ask_for_pause(struct loop *loop)
{
    loop->accept_failed = true;
    loop->descriptor_freed = false;
    return false;
}

/* Accepts one connection. Returns whether there may be another one to accept now. */
static bool accept_one(struct loop *loop, const struct acceptor *acceptor)
{
    uint64_t connected = counter_get(&loop->counters, COUNTER_CONNECTED);
    int fd;

    if (connected >= loop->connections_fit && connected < loop->connections_max) {
        return ask_for_pause(loop);
    }
    fd = accept4(acceptor->watch.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == ECONNABORTED || errno == EINTR || errno == EPERM || errno == EPROTO) {
            return true; /* this client's connection failed (accept(2)); the next one need not */
        }
        return errno == EAGAIN ? false : ask_for_pause(loop); /* EMFILE, ENFILE, ENOMEM … */
    }
    counter_add(&loop->counters, COUNTER_ACCEPTED, 1);
    if (connected >= loop->connections_max) {
        counter_add(&loop->counters, COUNTER_REFUSED, 1);
        close(fd);
        return true;
    }
    if (connection_new(loop, fd, acceptor->type) < 0) {
        counter_add(&loop->counters, COUNTER_FAILED, 1);
    }
    return true;
}

static void acceptor_ready(struct loop *loop, struct watch *watch, uint32_t events)
{
    const struct acceptor *acceptor = CONTAINER_OF(watch, struct acceptor, watch);

    (void)events;
    /* Its event may stand behind the one that began the end. */
    for (int i = 0; i < ACCEPTS_PER_TURN && !loop->draining && accept_one(loop, acceptor); i++) {
    }
}

void acceptor_init(struct acceptor *acceptor, int fd, int type)
{
    *acceptor = (struct acceptor){.watch = {.ready = acceptor_ready, .fd = fd}, .type = type};
}

int acceptor_resume(struct acceptor *acceptor, struct loop *loop)
{
    return loop_watch(loop, &acceptor->watch, EPOLLIN);
}

void acceptor_pause(struct acceptor *acceptor, struct loop *loop)
{
    loop_unwatch(loop, &acceptor->watch);
}
