// SPDX-License-Identifier: MIT
#include "acceptor.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "connection.h"
#include "util.h"

/* So that a storm of new connections does not keep those that are open waiting. */
enum { ACCEPTS_PER_TURN = 16 };

/* Accepts one connection. Returns whether there may be another one to accept now. */
static bool accept_one(struct loop *loop, const struct acceptor *acceptor)
{
    int fd = accept4(acceptor->watch.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0) {
        if (errno == ECONNABORTED || errno == EINTR || errno == EPERM || errno == EPROTO) {
            return true; /* this client's connection failed (accept(2)); the next one need not */
        }
        /* EMFILE, ENFILE, ENOMEM …: the listener stays readable, so trying again at once would
         * spin. */
        if (errno != EAGAIN) {
            loop->accept_failed = true;
            loop->descriptor_freed = false;
        }
        return false;
    }
    counter_add(&loop->counters, COUNTER_ACCEPTED, 1);
    if (counter_get(&loop->counters, COUNTER_CONNECTED) >= loop->connections_max) {
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
