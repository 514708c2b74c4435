// SPDX-License-Identifier: MIT
#include "connection.h"

#include <assert.h>
#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "echo.h"
#include "transfer.h"
#include "util.h"

/* The rest of an answer, or one whole message, that waits for room. */
struct owed {
    size_t length;
    size_t sent; /* bytes of it that are gone; always 0 on seqpacket */
    char data[];
};

/* The client's end, its departure included, as long as there is nothing to be sent. */
enum { EVENTS_READING = EPOLLIN | EPOLLRDHUP };

/* How long a connection that is stalled waits for a look at what its user has unread. */
enum { STALL_USEC = 100 * 1000 };

/* Forgets what is owed. */
static void forget_owed(struct connection *connection)
{
    if (connection->owed) {
        account_settle(connection->account, sizeof(struct owed) + connection->owed->length);
        free(connection->owed);
        connection->owed = NULL;
    }
}

/* Forgets what the kernel keeps beyond SO_SNDBUF. Another one may be sent then. */
static void forget_oversize(struct loop *loop, struct connection *connection)
{
    if (connection->oversize > 0) {
        account_settle(connection->account, connection->oversize);
        connection->oversize = 0;
        loop->stalled_until = 0;
    }
}

static void end_stall(struct loop *loop, struct connection *connection)
{
    loop->stalled -= connection->is_stalled;
    connection->is_stalled = false;
}

void connection_free(struct loop *loop, struct connection *connection)
{
    *connection->link = connection->next;
    if (connection->next) {
        connection->next->link = connection->link;
    }
    /* Closing the last reference also takes it out of the epoll set; a service manager that passed
     * the connection (Accept=yes) may hold another. */
    loop_unwatch(loop, &connection->watch);
    loop_close(loop, connection->watch.fd);
    forget_owed(connection);
    forget_oversize(loop, connection);
    end_stall(loop, connection);
    turns_leave(&loop->turns, connection->watch.guest);
    quota_leave(connection->account);
    free(connection);
    member_count(loop_member(loop), -1);
    counter_add(&loop->counters, COUNTER_CONNECTED, -1);
}

void connection_drain(struct connection *connection)
{
    (void)shutdown(connection->watch.fd, SHUT_RD);
}

/* Ends the connection because a call failed with ERROR, counted by what that says of the client. */
static void connection_fail(struct loop *loop, struct connection *connection, int error)
{
    switch (error) {
    case EMSGSIZE:
        counter_add(&loop->counters, COUNTER_TOO_LARGE, 1);
        break;
    case EPIPE:
    case ECONNRESET:
    case ENOTCONN:
    case ETIMEDOUT:
        counter_add(&loop->counters, COUNTER_ABANDONED, 1);
        break;
    default:
        counter_add(&loop->counters, COUNTER_FAILED, 1);
    }
    connection_free(loop, connection);
}

int connection_owe(struct loop *loop, struct connection *connection, const char *data,
                   size_t length)
{
    assert(!connection->owed);
    connection->owed = malloc(sizeof(struct owed) + length);
    if (!connection->owed) {
        return -ENOMEM;
    }
    connection->owed->length = length;
    connection->owed->sent = 0;
    account_owe(connection->account, sizeof(struct owed) + length);
    memcpy(connection->owed->data, data, length);
    return loop_rewatch(loop, &connection->watch, EPOLLOUT);
}

int connection_hold(struct loop *loop, struct connection *connection)
{
    connection->is_held = true;
    return loop_rewatch(loop, &connection->watch, EPOLLOUT);
}

static int hold_oversize(struct loop *loop, struct connection *connection, size_t length)
{
    connection->oversize = length;
    account_owe(connection->account, length);
    return connection_hold(loop, connection);
}

ssize_t connection_send(struct loop *loop, struct connection *connection, const char *data,
                        size_t length)
{
    ssize_t n = transfer_send(connection->watch.fd, data, length);
    int r;

    if (n != -EMSGSIZE) {
        return n;
    }
    /* The client has raised its SO_SNDBUF beyond this socket's, which is net.core.wmem_default as
     * that of any that was accepted. Raised as far as the client could, the message fits. */
    n = transfer_send_oversize(connection->watch.fd, data, length, loop->send_buffer);
    r = n < 0 ? 0 : hold_oversize(loop, connection, length);
    return r < 0 ? r : n;
}

int connection_stall(struct loop *loop, struct connection *connection)
{
    if (loop->stalled == 0) {
        loop->stalled_until = loop_now() + STALL_USEC;
    }
    loop->stalled++;
    connection->stall = loop->stalls++;
    connection->is_stalled = true;
    connection->is_held = true;
    return loop_rewatch(loop, &connection->watch, 0);
}

/* There may be room again. EVENTS and what it returns are echo_once()'s. */
static int go_on(struct loop *loop, struct connection *connection, uint32_t events)
{
    int r = loop_rewatch(loop, &connection->watch, EVENTS_READING);

    forget_oversize(loop, connection);
    end_stall(loop, connection);
    connection->is_held = false;
    return r < 0 ? r : echo_once(loop, connection, events | EPOLLRDHUP);
}

/* Sends what is owed, and reads on when nothing is left of it. Returns 0 or a negative errno. */
static int connection_pay(struct loop *loop, struct connection *connection)
{
    struct owed *owed = connection->owed;
    ssize_t n =
        connection_send(loop, connection, owed->data + owed->sent, owed->length - owed->sent);

    if (n < 0) {
        return n == -EAGAIN ? 0 : (int)n;
    }
    owed->sent += (size_t)n;
    if (owed->sent < owed->length) {
        return 0;
    }
    forget_owed(connection);
    return connection->is_held ? 0 : loop_rewatch(loop, &connection->watch, EVENTS_READING);
}

/* Does what can be done now; EVENTS and what it returns are echo_once()'s. */
static int connection_move(struct loop *loop, struct connection *connection, uint32_t events)
{
    return connection->owed      ? connection_pay(loop, connection)
           : connection->is_held ? go_on(loop, connection, events)
                                 : echo_once(loop, connection, events);
}

/* Ends the connection if R, from one of the above, says so. */
static void connection_settle(struct loop *loop, struct connection *connection, int r)
{
    if (r == -ENODATA) {
        connection_free(loop, connection);
    } else if (r < 0 && r != -EAGAIN) {
        connection_fail(loop, connection, -r);
    }
}

static void connection_ready(struct loop *loop, struct watch *watch, uint32_t events)
{
    struct connection *connection = CONTAINER_OF(watch, struct connection, watch);

    connection->used = loop->tick;
    connection_settle(loop, connection, connection_move(loop, connection, events));
}

static bool connection_look(struct loop *loop, struct watch *watch)
{
    struct connection *connection = CONTAINER_OF(watch, struct connection, watch);
    int r;

    if (connection_waits(connection)) {
        return false;
    }
    /* The client may have shut down by now. */
    r = echo_once(loop, connection, EPOLLRDHUP);
    if (r == -EAGAIN) {
        return false;
    }
    connection->used = loop->tick;
    connection_settle(loop, connection, r);
    return true;
}

static void push(struct loop *loop, struct connection *connection)
{
    connection->next = loop->connections;
    connection->link = &loop->connections;
    if (connection->next) {
        connection->next->link = &connection->next;
    }
    loop->connections = connection;
    member_count(loop_member(loop), 1);
    counter_add(&loop->counters, COUNTER_CONNECTED, 1);
}

/* Has the loop serve a visitor, who has not been dismissed if that fails: then it returns NULL. */
static struct connection *take_in(struct loop *loop, const struct visitor *visitor)
{
    struct connection *connection = calloc(1, sizeof(*connection));
    const int on = 1;

    if (!connection) {
        return NULL;
    }
    connection->watch =
        (struct watch){.ready = connection_ready, .look = connection_look, .fd = visitor->fd};
    connection->is_stream = visitor->type == SOCK_STREAM;
    connection->role = visitor->role;
    connection->account = visitor->account;
    connection->used = loop->tick;
    if (connection->is_stream) {
        /* Urgent bytes are bytes too: in order, among the others (tcp(7), and unix(7) since 5.15).
         */
        (void)setsockopt(visitor->fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on));
    }
    connection->watch.guest = turns_join(&loop->turns, visitor->account);
    if (!connection->watch.guest) {
        free(connection);
        return NULL;
    }
    if (loop_watch(loop, &connection->watch, EVENTS_READING) < 0) {
        turns_leave(&loop->turns, connection->watch.guest);
        free(connection);
        return NULL;
    }
    push(loop, connection);
    return connection;
}

int connection_new(struct loop *loop, const struct visitor *visitor, const char *greeting)
{
    struct connection *connection = take_in(loop, visitor);

    if (!connection) {
        visitor_dismiss(loop, visitor);
        return -ENOMEM;
    }
    loop_expect(loop, &connection->watch);
    if (greeting) {
        connection_settle(loop, connection, echo_greet(loop, connection, greeting));
    }
    return 0;
}

int connection_adopt(struct loop *loop, const struct visitor *visitor, const char *owed,
                     size_t length)
{
    struct connection *connection = take_in(loop, visitor);
    int r;

    if (!connection) {
        visitor_dismiss(loop, visitor);
        return -ENOMEM;
    }
    r = owed ? connection_owe(loop, connection, owed, length) : 0;
    if (r < 0) {
        connection_free(loop, connection);
    }
    return r;
}

int connection_adopt_oversize(struct loop *loop, const struct visitor *visitor)
{
    int r = connection_adopt(loop, visitor, NULL, 0);
    struct connection *connection = loop->connections;
    int unread = 0;

    if (r < 0 || ioctl(visitor->fd, SIOCOUTQ, &unread) < 0 || unread <= 0) {
        return r; /* it may have been read by now */
    }
    r = hold_oversize(loop, connection, (size_t)unread);
    if (r < 0) {
        connection_free(loop, connection);
    }
    return r;
}

/* The one that has been stalled for longest, of those that may go on; or NULL. */
static struct connection *find_first_stalled(const struct loop *loop)
{
    struct connection *first = NULL;

    for (struct connection *connection = loop->connections; connection;
         connection = connection->next) {
        if (connection->is_stalled && (!first || connection->stall < first->stall) &&
            !account_has_to_wait(connection->account)) {
            first = connection;
        }
    }
    return first;
}

void connection_resume_next(struct loop *loop)
{
    struct connection *connection = find_first_stalled(loop);

    if (!connection) {
        loop->stalled_until = loop_now() + STALL_USEC;
        return;
    }
    end_stall(loop, connection);
    connection->is_held = false;
    if (loop_rewatch(loop, &connection->watch, EVENTS_READING) < 0) {
        connection_fail(loop, connection, ENOMEM);
    }
}

bool connection_owed(const struct connection *connection, const char **data, size_t *length)
{
    const struct owed *owed = connection->owed;

    if (!owed) {
        return false;
    }
    *data = owed->data + owed->sent;
    *length = owed->length - owed->sent;
    return true;
}
