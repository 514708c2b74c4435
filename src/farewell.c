// SPDX-License-Identifier: MIT
#include "farewell.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "transfer.h"
#include "util.h"
#include "visitor.h"

struct farewell {
    struct watch watch;
    int type;
    uint64_t until;
    char *rest;         /* what the client has not taken yet, or NULL */
    size_t rest_length; /* 0 then */
    struct farewell *next;
    struct farewell *previous;
};

/* What is taken off a client at most before its socket is closed. */
enum { UNREAD_MAX = 4096 };

/*
 * Takes off what the client has sent, after which it can send no more. A Unix socket that is closed
 * with something unread makes the client's next calls fail with ECONNRESET, which on seqpacket
 * hides what was sent to it (unix_release_sock() and __skb_try_recv_datagram() in Linux 6.18).
 */
static void empty(const struct loop *loop, int fd, int type)
{
    char *buffer = loop_slot(loop, 0);

    (void)shutdown(fd, SHUT_RDWR);
    if (type == SOCK_SEQPACKET && transfer_mark(fd) < 0) {
        return;
    }
    /* The client's SO_SNDBUF bounds what there is; a host may allow a very large one. */
    for (int i = 0; i < UNREAD_MAX; i++) {
        ssize_t n = type == SOCK_SEQPACKET ? transfer_receive_marked(fd, buffer, LOOP_SLOT_KEPT, 0)
                                           : recv(fd, buffer, LOOP_SLOT_KEPT, MSG_DONTWAIT);
        if (n < 0 || (n == 0 && type == SOCK_STREAM)) {
            return;
        }
    }
}

/* Closes the descriptor. */
static void forget(struct loop *loop, struct farewell *farewell)
{
    struct farewells *all = &loop->farewells;

    *(farewell->previous ? &farewell->previous->next : &all->first) = farewell->next;
    *(farewell->next ? &farewell->next->previous : &all->last) = farewell->previous;
    all->count--;
    loop_unwatch(loop, &farewell->watch);
    loop_close(loop, farewell->watch.fd);
    free(farewell->rest);
    free(farewell);
}

static void farewell_end(struct loop *loop, struct farewell *farewell)
{
    if (farewell->rest) {
        counter_add(&loop->counters, COUNTER_ABANDONED, 1);
    }
    empty(loop, farewell->watch.fd, farewell->type);
    forget(loop, farewell);
}

/* Everything has been said. Returns 0 or a negative errno. */
static int fall_silent(struct loop *loop, struct farewell *farewell)
{
    free(farewell->rest);
    farewell->rest = NULL;
    farewell->rest_length = 0;
    farewell->until = loop_now() + FAREWELL_USEC;
    (void)shutdown(farewell->watch.fd, SHUT_WR);
    return loop_rewatch(loop, &farewell->watch, EPOLLRDHUP);
}

static void farewell_ready(struct loop *loop, struct watch *watch, uint32_t events)
{
    struct farewell *farewell = CONTAINER_OF(watch, struct farewell, watch);
    ssize_t n;

    if (farewell->rest && !(events & (EPOLLHUP | EPOLLERR))) {
        n = transfer_send(watch->fd, farewell->rest, farewell->rest_length);
        if (n == -EAGAIN) {
            return;
        }
        if (n > 0) {
            farewell->rest_length -= (size_t)n;
            memmove(farewell->rest, farewell->rest + n, farewell->rest_length);
        }
        if (n > 0 && (farewell->rest_length > 0 || fall_silent(loop, farewell) == 0)) {
            return;
        }
    }
    farewell_end(loop, farewell);
}

/* Keeps what has not been sent. Returns 0 or -ENOMEM. */
static int keep_rest(struct farewell *farewell, const char *text, size_t length)
{
    if (length == 0) {
        return 0;
    }
    farewell->rest = malloc(length);
    if (!farewell->rest) {
        return -ENOMEM;
    }
    memcpy(farewell->rest, text, length);
    farewell->rest_length = length;
    return 0;
}

static void append(struct farewells *all, struct farewell *farewell)
{
    farewell->previous = all->last;
    *(all->last ? &all->last->next : &all->first) = farewell;
    all->last = farewell;
    all->count++;
}

int farewell_begin(struct loop *loop, const struct visitor *visitor, const char *text,
                   size_t length)
{
    struct farewell *farewell;
    int fd = visitor->fd;
    ssize_t sent;
    size_t done;

    /* First: who has heard it may come again at once, and is not to find the place taken. */
    visitor_leave(visitor);
    sent = length > 0 ? transfer_send(fd, text, length) : 0;
    done = sent > 0 ? (size_t)sent : 0;
    if (sent < 0 && sent != -EAGAIN) {
        loop_close(loop, fd);
        if (sent != -EPIPE && sent != -ECONNRESET) {
            return (int)sent;
        }
        counter_add(&loop->counters, COUNTER_ABANDONED, 1);
        return 0;
    }
    farewell = calloc(1, sizeof(*farewell));
    if (!farewell || keep_rest(farewell, text + done, length - done) < 0) {
        free(farewell);
        empty(loop, fd, visitor->type);
        loop_close(loop, fd);
        return -ENOMEM;
    }
    farewell->watch = (struct watch){.ready = farewell_ready, .fd = fd};
    farewell->type = visitor->type;
    farewell->until = loop_now() + (farewell->rest ? FAREWELL_REST_USEC : FAREWELL_USEC);
    append(&loop->farewells, farewell);
    if (!farewell->rest) {
        (void)shutdown(fd, SHUT_WR);
    }
    if (loop_watch(loop, &farewell->watch, farewell->rest ? EPOLLOUT : EPOLLRDHUP) < 0) {
        farewell_end(loop, farewell);
        return -ENOMEM;
    }
    return 0;
}

uint64_t farewell_deadline(const struct farewells *farewells)
{
    uint64_t until = UINT64_MAX;

    for (const struct farewell *one = farewells->first; one; one = one->next) {
        until = one->until < until ? one->until : until;
    }
    return until;
}

void farewell_end_due(struct loop *loop, uint64_t now)
{
    struct farewell *next;

    for (struct farewell *one = loop->farewells.first; one; one = next) {
        next = one->next;
        if (one->until <= now || loop->farewells.count > loop->farewells_max ||
            (loop->draining && !one->rest)) {
            farewell_end(loop, one);
        }
    }
}

void farewell_end_all(struct loop *loop)
{
    while (loop->farewells.first) {
        farewell_end(loop, loop->farewells.first);
    }
}

void farewell_each(const struct farewells *farewells,
                   void (*take)(void *context, int fd, int type, const char *rest, size_t length),
                   void *context)
{
    for (const struct farewell *one = farewells->first; one; one = one->next) {
        take(context, one->watch.fd, one->type, one->rest, one->rest_length);
    }
}

void farewell_forget_all(struct loop *loop)
{
    while (loop->farewells.first) {
        forget(loop, loop->farewells.first);
    }
}
