// SPDX-License-Identifier: MIT
#include "connection.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "transfer.h"
#include "util.h"

/* The rest of an answer, or one whole message, that waits for room. */
struct owed {
    size_t length;
    size_t sent; /* bytes of it that are gone; always 0 on seqpacket */
    char data[];
};

/* Below this, copying is as fast (at 8 KiB: 3.5 microseconds against 2.6). */
enum { SPLICE_MIN = 8 * 1024 };

/* The client's end, its departure included, as long as there is nothing to be sent. */
enum { EVENTS_READING = EPOLLIN | EPOLLRDHUP };

void connection_free(struct loop *loop, struct connection *connection)
{
    *connection->link = connection->next;
    if (connection->next) {
        connection->next->link = connection->link;
    }
    /* Closing the last reference also takes it out of the epoll set; a service manager that passed
     * the connection (Accept=yes) may hold another. */
    loop_unwatch(loop, &connection->watch);
    common_leave(loop->common, loop->index);
    loop_close(loop, connection->watch.fd);
    free(connection->owed);
    free(connection);
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

/* Keeps what the client has not taken and waits for room instead of for more. */
static int connection_owe(struct loop *loop, struct connection *connection, const char *data,
                          size_t length)
{
    assert(!connection->owed);
    connection->owed = malloc(sizeof(struct owed) + length);
    if (!connection->owed) {
        return -ENOMEM;
    }
    connection->owed->length = length;
    connection->owed->sent = 0;
    memcpy(connection->owed->data, data, length);
    return loop_rewatch(loop, &connection->watch, EPOLLOUT);
}

/* Sends what is owed, and reads on when nothing is left of it. Returns 0 or a negative errno. */
static int connection_pay(struct loop *loop, struct connection *connection)
{
    struct owed *owed = connection->owed;
    ssize_t n =
        transfer_send(connection->watch.fd, owed->data + owed->sent, owed->length - owed->sent);

    if (n < 0) {
        return n == -EAGAIN ? 0 : (int)n;
    }
    owed->sent += (size_t)n;
    if (owed->sent < owed->length) {
        return 0;
    }
    free(owed);
    connection->owed = NULL;
    return loop_rewatch(loop, &connection->watch, EVENTS_READING);
}

/* Receives on seqpacket after the client has shut down its side; returns as
 * transfer_receive_marked(). */
static ssize_t receive_last(struct loop *loop, struct connection *connection)
{
    if (!connection->marks_messages) {
        int r = transfer_mark(connection->watch.fd);
        if (r < 0) {
            return r;
        }
        connection->marks_messages = true;
    }
    return transfer_receive_marked(connection->watch.fd, loop_slot(loop, 0), loop->slot_size);
}

/*
 * Receives what comes next into the loop's first slot. Returns its length, which is 0 for an empty
 * message, or a negative errno: -ENODATA for the end, -EMSGSIZE for a message that is larger than
 * the host's limit was when the service started.
 *
 * No room is given for control data: descriptors that a client passes on a kernel that lets it are
 * discarded by the kernel, not installed (unix(7), recv(2)).
 */
static ssize_t connection_receive(struct loop *loop, struct connection *connection, uint32_t events)
{
    ssize_t n;

    if (connection->type == SOCK_STREAM) {
        n = recv(connection->watch.fd, loop_slot(loop, 0), STREAM_READ_MAX, MSG_DONTWAIT);
        return n < 0 ? -errno : n == 0 ? -ENODATA : n;
    }

    /* As long as the client has not shut down, an event says that there is a message. */
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        n = receive_last(loop, connection);
    } else {
        n = recv(connection->watch.fd, loop_slot(loop, 0), loop->slot_size,
                 MSG_DONTWAIT | MSG_TRUNC);
        n = n < 0 ? -errno : n;
    }
    if (n > (ssize_t)loop->slot_size) {
        return -EMSGSIZE;
    }
    if (n > LOOP_SLOT_KEPT) {
        loop->slots_grown = true;
    }
    return n;
}

static void count_received(struct loop *loop, size_t length)
{
    counter_add(&loop->counters, COUNTER_MESSAGES, 1);
    counter_add(&loop->counters, COUNTER_BYTES, (int64_t)length);
}

/* Sends, and keeps what is not taken at once. Returns 0, or a negative errno that ends the
 * connection. */
static int connection_answer(struct loop *loop, struct connection *connection, const char *data,
                             size_t length)
{
    ssize_t sent = transfer_send(connection->watch.fd, data, length);

    if (sent == (ssize_t)length) {
        return 0;
    }
    if (sent < 0 && sent != -EAGAIN) {
        return (int)sent;
    }
    sent = sent < 0 ? 0 : sent;
    return connection_owe(loop, connection, data + sent, length - (size_t)sent);
}

/*
 * Sends back what comes next on a stream without a copy of it, which pays for much of it at once.
 * Returns as connection_echo().
 */
static int echo_bulk(struct loop *loop, struct connection *connection)
{
    char *buffer = loop_slot(loop, 0);
    ssize_t sent = 0;
    ssize_t n = transfer_splice(connection->watch.fd, loop->pipe, STREAM_READ_MAX, buffer, &sent);

    connection->is_bulky = n >= SPLICE_MIN;
    if (n < 0) {
        return n == -EINTR || n == -EINVAL ? -EAGAIN : (int)n;
    }
    count_received(loop, (size_t)n);
    if (sent < 0 && sent != -EAGAIN) {
        return (int)sent;
    }
    sent = sent < 0 ? 0 : sent;
    return sent == n ? 0 : connection_owe(loop, connection, buffer, (size_t)(n - sent));
}

/*
 * Receives once and sends that back. Returns 0, -EAGAIN if there was nothing, or another negative
 * errno that ends the connection.
 */
static int connection_echo(struct loop *loop, struct connection *connection, uint32_t events)
{
    ssize_t received;

    if (connection->is_bulky) {
        return echo_bulk(loop, connection);
    }
    received = connection_receive(loop, connection, events);
    if (received < 0) {
        return received == -EINTR ? -EAGAIN : (int)received;
    }
    connection->is_bulky = received >= SPLICE_MIN && connection->type == SOCK_STREAM;
    count_received(loop, (size_t)received);
    return connection_answer(loop, connection, loop_slot(loop, 0), (size_t)received);
}

/* connection_greet() on a stream: one send. */
static int greet_stream(struct loop *loop, struct connection *connection, const char *greeting)
{
    size_t length = strlen(greeting);
    char *data = loop_slot(loop, 0);
    ssize_t n = recv(connection->watch.fd, data + length, STREAM_READ_MAX - length, MSG_DONTWAIT);

    // NOLINTNEXTLINE(bugprone-not-null-terminated-result): bytes on a wire
    memcpy(data, greeting, length);
    if (n > 0) {
        count_received(loop, (size_t)n);
        length += (size_t)n;
    }
    return connection_answer(loop, connection, data, length);
}

/* connection_greet() on seqpacket: two messages. */
static int greet_seqpacket(struct loop *loop, struct connection *connection, const char *greeting)
{
    /* Whether the client has shut down by now is not known, and has to be looked for. */
    ssize_t n = connection_receive(loop, connection, EPOLLRDHUP);
    struct iovec data[2] = {
        {.iov_base = loop_slot(loop, 1), .iov_len = strlen(greeting)},
        {.iov_base = loop_slot(loop, 0), .iov_len = n >= 0 ? (size_t)n : 0},
    };
    struct mmsghdr messages[2] = {
        {.msg_hdr = {.msg_iov = &data[0], .msg_iovlen = 1}},
        {.msg_hdr = {.msg_iov = &data[1], .msg_iovlen = 1}},
    };
    int sent;

    memcpy(data[0].iov_base, greeting, data[0].iov_len);
    sent = sendmmsg(connection->watch.fd, messages, n >= 0 ? 2 : 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 1) {
        return errno == EAGAIN ? -ENOBUFS : -errno; /* a new connection has room */
    }
    if (n < 0) {
        return n == -EMSGSIZE ? (int)n : 0;
    }
    count_received(loop, (size_t)n);
    return sent == 2 ? 0 : connection_answer(loop, connection, data[1].iov_base, (size_t)n);
}

/*
 * Sends GREETING, and the echo of what the client has sent by now: most send something as soon as
 * they are connected, and are then woken up once. The end, or an error, is still there at the next
 * event. Returns as connection_echo().
 */
static int connection_greet(struct loop *loop, struct connection *connection, const char *greeting)
{
    return connection->type == SOCK_STREAM ? greet_stream(loop, connection, greeting)
                                           : greet_seqpacket(loop, connection, greeting);
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

    connection_settle(loop, connection,
                      connection->owed ? connection_pay(loop, connection)
                                       : connection_echo(loop, connection, events));
}

static bool connection_look(struct loop *loop, struct watch *watch)
{
    struct connection *connection = CONTAINER_OF(watch, struct connection, watch);
    int r;

    if (connection->owed) {
        return false;
    }
    /* The client may have shut down by now. */
    r = connection_echo(loop, connection, EPOLLRDHUP);
    connection_settle(loop, connection, r);
    return r != -EAGAIN;
}

int connection_new(struct loop *loop, int fd, int type, const char *greeting)
{
    struct connection *connection = calloc(1, sizeof(*connection));
    const int on = 1;
    int r;

    if (!connection) {
        loop_close(loop, fd);
        return -ENOMEM;
    }
    connection->watch =
        (struct watch){.ready = connection_ready, .look = connection_look, .fd = fd};
    connection->type = type;
    if (type == SOCK_STREAM) {
        /* Urgent bytes are bytes too: in order, among the others (tcp(7), and unix(7) since 5.15).
         */
        (void)setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on));
    }
    r = loop_watch(loop, &connection->watch, EVENTS_READING);
    if (r == 0 && !common_enter(loop->common, loop->index)) {
        r = -EUSERS;
    }
    if (r < 0) {
        loop_close(loop, fd);
        free(connection);
        return r;
    }

    connection->next = loop->connections;
    connection->link = &loop->connections;
    if (connection->next) {
        connection->next->link = &connection->next;
    }
    loop->connections = connection;
    counter_add(&loop->counters, COUNTER_CONNECTED, 1);
    loop_expect(loop, &connection->watch);
    if (greeting) {
        connection_settle(loop, connection, connection_greet(loop, connection, greeting));
    }
    return 0;
}
