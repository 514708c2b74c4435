// SPDX-License-Identifier: MIT
#include "acceptor.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "arrivals.h"
#include "util.h"

enum {
    /* So that a storm of new connections does not keep those that are open waiting. In a crowd it
     * is one in a turn: who comes and goes has to be seen off as fast as he is let in, or he is
     * soon at his limit. */
    ACCEPTS_PER_TURN = 16,
    /*
     * Nor one of connections that are refused: while others are served, refusing takes a quarter of
     * the time, in pieces of this length. It is the clients that wait then, whose next attempts
     * come the later.
     */
    REFUSALS_SHARE = 4,
    REFUSALS_NSEC = 16 * 1000,
    /* Accepting is tried again after this long even if no own descriptor became free: what is
     * missing may be the host's. */
    ACCEPT_PAUSE_USEC = 1000 * 1000,
};

/*
 * There is no descriptor or memory for another connection. One more try is made, after others have
 * been told to say when they free some; but the listener stays readable, so trying on and on would
 * spin: accepting has to pause. Returns as accept_one().
 */
static bool try_again_or_pause(struct loop *loop)
{
    if (common_starve(loop->common, loop->index)) {
        return true;
    }
    loop->accept_failed = true;
    loop->descriptor_freed = false;
    return false;
}

/* Accepts one connection. Returns whether there may be another one to accept now. */
static bool accept_one(struct loop *loop, const struct acceptor *acceptor)
{
    struct common *common = loop->common;
    uint64_t connected = quota_connections(common->quota);
    int fd;

    if (connected >= common->connections_fit && connected < common->connections_max) {
        return try_again_or_pause(loop);
    }
    fd = accept4(acceptor->watch.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == ECONNABORTED || errno == EINTR || errno == EPERM || errno == EPROTO) {
            return true; /* this client's connection failed (accept(2)); the next one need not */
        }
        return errno == EAGAIN ? false : try_again_or_pause(loop); /* EMFILE, ENFILE, ENOMEM … */
    }
    common_sate(common, loop->index);
    arrivals_admit(loop, acceptor->role, fd, acceptor->type);
    return true;
}

/* Those who have been sent away hold descriptors until the end of the turn. */
static bool has_enough(const struct loop *loop)
{
    return loop->farewells.count >= loop->farewells_max + loop->farewells_max / 4;
}

/* With others, one of those who wait is woken for each connection. */
static int watch_listener(struct loop *loop, struct acceptor *acceptor)
{
    return loop_watch(loop, &acceptor->watch,
                      loop->common->n > 1 ? EPOLLIN | EPOLLEXCLUSIVE : EPOLLIN);
}

/*
 * The kernel wakes the first of those who wait (EPOLLEXCLUSIVE), who would get every connection
 * that comes while it has nothing to do. So who has accepted goes to the end of the queue.
 */
static void queue_up(struct loop *loop, struct acceptor *acceptor)
{
    loop_unwatch(loop, &acceptor->watch);
    if (watch_listener(loop, acceptor) < 0) {
        loop->accept_failed = true;
    }
}

static uint64_t count_refused(const struct loop *loop)
{
    return counter_get(&loop->counters, COUNTER_REFUSED) +
           counter_get(&loop->counters, COUNTER_REFUSED_USER);
}

/* As many as came last time and some more: to find out that there is none costs a call. */
static void acceptor_ready(struct loop *loop, struct watch *watch, uint32_t events)
{
    struct acceptor *acceptor = CONTAINER_OF(watch, struct acceptor, watch);
    bool is_crowded = turns_are_scarce(&loop->turns);
    unsigned max = is_crowded ? 1 : acceptor->expected;
    unsigned admitted = 0;
    unsigned refused = 0;
    bool more = true;

    (void)events;
    if (loop->draining) {
        return; /* its event stood behind the one that began the end */
    }
    /* One at least, whatever others have been spent on: another socket's must not keep it out. */
    while (more && admitted < max && !has_enough(loop) &&
           (refused == 0 || loop->refusing_nsec < REFUSALS_NSEC)) {
        uint64_t begun = loop_now_nsec();
        uint64_t before = count_refused(loop);
        more = accept_one(loop, acceptor);
        if (count_refused(loop) > before) {
            loop->refusing_nsec += loop_now_nsec() - begun;
            refused++;
        } else {
            admitted += more;
        }
    }
    if (!more) {
        acceptor->expected = 1;
    } else if (admitted == acceptor->expected && !is_crowded &&
               acceptor->expected < ACCEPTS_PER_TURN) {
        acceptor->expected *= 2;
    }
    if (admitted + refused > 0 && loop->common->n > 1) {
        queue_up(loop, acceptor);
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
        .watch = {.ready = acceptor_ready, .fd = socket->fd, .goes_first = true},
        .type = socket->type,
        .role = socket->role,
        .expected = 1,
        .next = acceptors->first,
    };
    acceptors->first = acceptor;
    return watch_listener(loop, acceptor);
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

static void pause_until(struct acceptors *acceptors, struct loop *loop, uint64_t until, bool rests)
{
    acceptors->resume_at = until;
    acceptors->rests = rests;
    pause_all(acceptors, loop);
}

void acceptors_resume(struct acceptors *acceptors, struct loop *loop)
{
    acceptors->resume_at = UINT64_MAX;
    loop->descriptor_freed = false;
    common_sate(loop->common, loop->index);
    for (struct acceptor *acceptor = acceptors->first; acceptor; acceptor = acceptor->next) {
        if (watch_listener(loop, acceptor) < 0) {
            /* The kernel has no memory to watch it: all over again, after a while. */
            pause_until(acceptors, loop, loop_now() + ACCEPT_PAUSE_USEC, false);
            return;
        }
    }
}

/* Reckons up what refusals have taken. Returns for how many nanoseconds to refuse nobody. */
static uint64_t reckon_refusals(struct acceptors *acceptors, struct loop *loop)
{
    uint64_t now = loop_now_nsec();
    uint64_t earned = (now - acceptors->reckoned) / REFUSALS_SHARE;
    uint64_t served = counter_get(&loop->counters, COUNTER_MESSAGES);
    bool serves = served != acceptors->served;
    int64_t left = acceptors->allowance;

    left = earned < (uint64_t)(REFUSALS_NSEC - left) ? left + (int64_t)earned : REFUSALS_NSEC;
    left -= (int64_t)loop->refusing_nsec;
    /* The thread may have stood still meanwhile. */
    acceptors->allowance = left > -REFUSALS_NSEC ? left : -REFUSALS_NSEC;
    acceptors->reckoned = now;
    acceptors->served = served;
    loop->refusing_nsec = 0;
    return serves && left < 0 ? (uint64_t)(REFUSALS_NSEC - acceptors->allowance) * REFUSALS_SHARE
                              : 0;
}

static bool may_resume(const struct acceptors *acceptors, const struct loop *loop)
{
    if (!acceptors->rests &&
        (loop->descriptor_freed || !common_starves(loop->common, loop->index))) {
        return true;
    }
    return loop_now() >= acceptors->resume_at;
}

void acceptors_regulate(struct acceptors *acceptors, struct loop *loop)
{
    uint64_t rest = loop->refusing_nsec > 0 ? reckon_refusals(acceptors, loop) : 0;

    if (loop->accept_failed) {
        loop->accept_failed = false;
        counter_add(&loop->counters, COUNTER_PAUSED, 1);
        pause_until(acceptors, loop, loop_now() + ACCEPT_PAUSE_USEC, false);
    } else if (rest > 0) {
        pause_until(acceptors, loop, loop_now() + rest / 1000, true);
    }
    if (acceptors->resume_at != UINT64_MAX && may_resume(acceptors, loop)) {
        acceptors_resume(acceptors, loop);
    }
}

void acceptors_stop(struct acceptors *acceptors, struct loop *loop)
{
    if (acceptors->resume_at == UINT64_MAX) {
        pause_all(acceptors, loop);
    }
    acceptors->resume_at = UINT64_MAX;
    loop->accept_failed = false;
    common_sate(loop->common, loop->index);
}
