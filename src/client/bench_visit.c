// SPDX-License-Identifier: MIT
#include "bench_visit.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "session.h"
#include "util.h"

enum { WELCOME = sizeof(SESSION_WELCOME) - 1, AGAIN_MSEC = 1 };

static bool visit_fail(const struct flow *flow, struct traffic *traffic, const char *reason)
{
    snprintf(traffic->error, sizeof(traffic->error), "connection %u, message %llu: %s",
             flow->number, (unsigned long long)flow->begun, reason);
    return false;
}

/* Waits for room to send, or for the connection to be made, or not, besides for what comes back. */
static bool await_room(const struct visitors *visitors, struct flow *flow, int operation)
{
    struct epoll_event event = {
        .events = EPOLLIN | (flow->blocked ? EPOLLOUT : 0),
        .data.ptr = flow,
    };

    return visitors->epoll_fd < 0 ||
           epoll_ctl(visitors->epoll_fd, operation, flow->fd, &event) == 0;
}

static bool send_message(const struct visitors *visitors, struct flow *flow,
                         struct traffic *traffic)
{
    bool was_blocked = flow->blocked;

    return flow_send(flow, traffic, false) &&
           (flow->blocked == was_blocked || await_room(visitors, flow, EPOLL_CTL_MOD));
}

/* A message is begun, and waits until there is a connection for it. */
static bool visit_connect(struct visitors *visitors, struct flow *flow, struct traffic *traffic)
{
    int fd = target_begin(visitors->target, &flow->connecting);

    if (fd == -EAGAIN) {
        visitors->turned_away++;
        return true;
    }
    if (fd < 0) {
        return visit_fail(flow, traffic, strerror(-fd));
    }
    flow->fd = fd;
    flow->closed = false;
    flow->welcome = visitors->welcomed ? WELCOME : 0;
    if (flow->connecting) {
        return await_room(visitors, flow, EPOLL_CTL_ADD);
    }
    return flow_send(flow, traffic, false) && await_room(visitors, flow, EPOLL_CTL_ADD);
}

bool visit_begin(struct visitors *visitors, struct flow *flow, struct traffic *traffic)
{
    if (!flow_send(flow, traffic, true)) {
        return false;
    }
    return flow->back == flow->begun || visit_connect(visitors, flow, traffic);
}

bool visit_try_again(struct visitors *visitors, struct flow *flow, struct traffic *traffic)
{
    if (flow->fd >= 0 || flow->back == flow->begun) {
        return true;
    }
    visitors->turned_away--;
    return visit_connect(visitors, flow, traffic);
}

/* The connection has been made, or not, or that is still open. */
static bool take_connection(struct flow *flow, struct traffic *traffic)
{
    struct pollfd event = {.fd = flow->fd, .events = POLLOUT};
    int error = 0;
    socklen_t size = sizeof(error);

    if (poll(&event, 1, 0) <= 0) {
        return true;
    }
    if (getsockopt(flow->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0) {
        error = errno;
    }
    flow->connecting = false;
    return error == 0 || visit_fail(flow, traffic, strerror(error));
}

/* Takes the welcome off, or what has come of it. */
static bool take_welcome(struct flow *flow, struct traffic *traffic)
{
    char word[WELCOME];
    ssize_t n = recv(flow->fd, word, flow->welcome, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return true;
    }
    if (n < 0) {
        return visit_fail(flow, traffic, strerror(errno));
    }
    if (n == 0 || memcmp(word, &SESSION_WELCOME[WELCOME - flow->welcome], (size_t)n) != 0) {
        return visit_fail(flow, traffic, "the service has not welcomed it, as it did before");
    }
    flow->welcome -= (size_t)n;
    return true;
}

bool visit_go_on(struct visitors *visitors, struct flow *flow, struct traffic *traffic)
{
    if (flow->fd < 0) {
        return true;
    }
    if (flow->connecting && (!take_connection(flow, traffic) || flow->connecting)) {
        return traffic->error[0] == '\0';
    }
    if (flow->blocked && !send_message(visitors, flow, traffic)) {
        return false;
    }
    if (flow->welcome > 0 && (!take_welcome(flow, traffic) || flow->welcome > 0)) {
        return traffic->error[0] == '\0';
    }
    if (!flow_receive(flow, traffic)) {
        return false;
    }
    if (flow->back < flow->begun) {
        return true;
    }
    fd_close(&flow->fd); /* and epoll forgets it */
    return visit_begin(visitors, flow, traffic);
}

void visit_wait(const struct flow *flow, int timeout_msec)
{
    struct pollfd event = {
        .fd = flow->fd, /* none if it was turned away */
        .events = (short)(POLLIN | (flow->blocked ? POLLOUT : 0)),
    };

    (void)poll(&event, 1, flow->fd < 0 ? AGAIN_MSEC : timeout_msec);
}
