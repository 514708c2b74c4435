// SPDX-License-Identifier: MIT
#include "acceptor.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "reception.h"
#include "util.h"

enum {
    /* So that a storm of new connections does not keep those that are open waiting. */
    ACCEPTS_PER_TURN = 16,
    /* Accepting is tried again after this long even if no own descriptor became free: what is
     * missing may be the host's. */
    ACCEPT_PAUSE_USEC = 1000 * 1000,
};

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
        loop_close(loop, fd);
        return true;
    }
    if (reception_connection(loop, acceptor->role, fd, acceptor->type) < 0) {
        counter_add(&loop->counters, COUNTER_FAILED, 1);
    }
    return true;
}

/* As many as came last time and some more: to find out that there is none costs a call. */
static void acceptor_ready(struct loop *loop, struct watch *watch, uint32_t events)
{
    struct acceptor *acceptor = CONTAINER_OF(watch, struct acceptor, watch);
    unsigned n = 0;

    (void)events;
    /* Its event may stand behind the one that began the end. */
    while (n < acceptor->expected && !loop->draining && accept_one(loop, acceptor)) {
        n++;
    }
    if (n < acceptor->expected) {
        acceptor->expected = 1;
    } else if (acceptor->expected < ACCEPTS_PER_TURN) {
        acceptor->expected *= 2;
    }
}

int acceptors_add(struct acceptors *acceptors, struct loop *loop, const struct activated *socket)
{
    struct acceptor *acceptor = malloc(sizeof(*acceptor));
    const int off = 0;

    if (!acceptor) {
        return -ENOMEM;
    }
    /* PassCredentials= is for the datagram socket of the same unit. Connections inherit it from
     * their listener, and each message would carry credentials that nobody asks for; a client's own
     * are those of SO_PEERCRED. */
    (void)setsockopt(socket->fd, SOL_SOCKET, SO_PASSCRED, &off, sizeof(off));
    *acceptor = (struct acceptor){
        .watch = {.ready = acceptor_ready, .fd = socket->fd},
        .type = socket->type,
        .role = socket->role,
        .expected = 1,
        .next = acceptors->first,
    };
    acceptors->first = acceptor;
    return loop_watch(loop, &acceptor->watch, EPOLLIN);
}

void acceptors_deinit(struct acceptors *acceptors)
{
    while (acceptors->first) {
        struct acceptor *acceptor = acceptors->first;
        acceptors->first = acceptor->next;
        free(acceptor);
    }
}

static void pause_all(struct acceptors *acceptors, struct loop *loop)
{
    for (struct acceptor *acceptor = acceptors->first; acceptor; acceptor = acceptor->next) {
        loop_unwatch(loop, &acceptor->watch);
    }
}

static void resume_all(struct acceptors *acceptors, struct loop *loop)
{
    acceptors->resume_at = UINT64_MAX;
    loop->descriptor_freed = false;
    for (struct acceptor *acceptor = acceptors->first; acceptor; acceptor = acceptor->next) {
        if (loop_watch(loop, &acceptor->watch, EPOLLIN) < 0) {
            /* The kernel has no memory to watch it: all over again, after a while. */
            acceptors->resume_at = loop_now() + ACCEPT_PAUSE_USEC;
            pause_all(acceptors, loop);
            return;
        }
    }
}

void acceptors_regulate(struct acceptors *acceptors, struct loop *loop)
{
    if (loop->accept_failed) {
        loop->accept_failed = false;
        counter_add(&loop->counters, COUNTER_PAUSED, 1);
        acceptors->resume_at = loop_now() + ACCEPT_PAUSE_USEC;
        pause_all(acceptors, loop);
    }
    if (acceptors->resume_at != UINT64_MAX &&
        (loop->descriptor_freed || loop_now() >= acceptors->resume_at)) {
        resume_all(acceptors, loop);
    }
}

void acceptors_stop(struct acceptors *acceptors, struct loop *loop)
{
    if (acceptors->resume_at == UINT64_MAX) {
        pause_all(acceptors, loop);
    }
    acceptors->resume_at = UINT64_MAX;
}
