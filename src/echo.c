// SPDX-License-Identifier: MIT
#include "echo.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "transfer.h"

/* Below this, copying is as fast (at 8 KiB: 3.5 microseconds against 2.6). */
enum { SPLICE_MIN = 8 * 1024 };

/* Bytes of SO_SNDBUF that no message may have (unix_dgram_sendmsg() in Linux). */
enum { SEND_BUFFER_KEPT = 32 };

/* Receives on seqpacket when the client may have shut down its side; FLAGS and what it returns are
 * transfer_receive_marked()'s. */
static ssize_t receive_last(struct loop *loop, struct connection *connection, int flags)
{
    if (!connection->marks_messages) {
        int r = transfer_mark(connection->watch.fd);
        if (r < 0) {
            return r;
        }
        connection->marks_messages = true;
    }
    return transfer_receive_marked(connection->watch.fd, loop_slot(loop, 0), loop->slot_size,
                                   flags);
}

/*
 * Receives what comes next into the loop's first slot. Returns its length, which is 0 for an empty
 * message, or a negative errno: -ENODATA for the end, -EMSGSIZE for a message that is larger than
 * the host's limit was when the service started. FLAGS are those of recv(2), 0 or MSG_PEEK.
 *
 * No room is given for control data: descriptors that a client passes on a kernel that lets it are
 * discarded by the kernel, not installed (unix(7), recv(2)).
 */
static ssize_t receive(struct loop *loop, struct connection *connection, uint32_t events, int flags)
{
    ssize_t n;

    if (connection->is_stream) {
        n = recv(connection->watch.fd, loop_slot(loop, 0), STREAM_READ_MAX, MSG_DONTWAIT | flags);
        return n < 0 ? -errno : n == 0 ? -ENODATA : n;
    }

    /* As long as the client has not shut down, an event says that there is a message. */
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        n = receive_last(loop, connection, flags);
    } else {
        n = recv(connection->watch.fd, loop_slot(loop, 0), loop->slot_size,
                 MSG_DONTWAIT | MSG_TRUNC | flags);
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
static int answer(struct loop *loop, struct connection *connection, const char *data, size_t length)
{
    ssize_t sent = connection_send(loop, connection, data, length);

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
 * Returns as echo_once().
 */
static int echo_bulk(struct loop *loop, struct connection *connection)
{
    char *buffer = loop_slot(loop, 0);
    ssize_t sent = 0;
    ssize_t n = transfer_splice(connection->watch.fd, loop->pipe, STREAM_READ_MAX, buffer, &sent);

    connection->is_bulky = n >= SPLICE_MIN;
    if (n == -EIO) {
        loop_renew_pipe(loop);
    }
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

/* recv(2) of what is there: to fail as if it were not would have it sent once more. */
static ssize_t receive_surely(int fd, void *buffer, size_t size, int flags)
{
    ssize_t n;

    do {
        n = recv(fd, buffer, size, MSG_DONTWAIT | flags);
    } while (n < 0 && errno == EINTR);
    return n >= 0 ? n : errno == EAGAIN ? -EIO : -errno;
}

/* Takes off LENGTH bytes of a stream, which are there, or one message. Returns 0 or a negative
 * errno. */
static int take_off(struct loop *loop, const struct connection *connection, size_t length)
{
    int fd = connection->watch.fd;

    if (!connection->is_stream) {
        ssize_t n = receive_surely(fd, NULL, 0, MSG_TRUNC);
        return n < 0 ? (int)n : 0;
    }
    /* One receive ends where a descriptor or an urgent byte was sent (unix(7)). */
    while (length > 0) {
        ssize_t n = receive_surely(fd, loop_slot(loop, 0), length, 0);
        if (n <= 0) {
            return n < 0 ? (int)n : -EIO;
        }
        length -= (size_t)n;
    }
    return 0;
}

/* Whether a message comes next that is larger than SO_SNDBUF usually is. */
static bool is_oversize(const struct loop *loop, const struct connection *connection)
{
    return !connection->is_stream &&
           recv(connection->watch.fd, NULL, 0, MSG_DONTWAIT | MSG_PEEK | MSG_TRUNC) >
               (ssize_t)(loop->send_buffer - SEND_BUFFER_KEPT);
}

/* What comes next is too large to be sent now. Who has hung up would say so again and again. */
static int wait_to_send(struct loop *loop, struct connection *connection, uint32_t events)
{
    return events & (EPOLLHUP | EPOLLERR) ? -EPIPE : connection_stall(loop, connection);
}

/* Sends back what comes next, and takes off as much as is gone. Returns as echo_once(). */
static int echo_sparingly(struct loop *loop, struct connection *connection, uint32_t events)
{
    bool has_to_wait = account_has_to_wait(connection->account);
    ssize_t n;
    ssize_t sent;

    if (has_to_wait && is_oversize(loop, connection)) {
        return wait_to_send(loop, connection, events); /* without a copy */
    }
    n = receive(loop, connection, events, MSG_PEEK);
    if (n < 0) {
        return n == -EINTR ? -EAGAIN : (int)n;
    }
    sent = has_to_wait ? transfer_send(connection->watch.fd, loop_slot(loop, 0), (size_t)n)
                       : connection_send(loop, connection, loop_slot(loop, 0), (size_t)n);
    if (sent == -EAGAIN) {
        return connection_hold(loop, connection);
    }
    if (sent == -EMSGSIZE && has_to_wait) {
        return wait_to_send(loop, connection, events);
    }
    if (sent < 0) {
        return (int)sent;
    }
    count_received(loop, (size_t)sent);
    return take_off(loop, connection, (size_t)sent);
}

int echo_once(struct loop *loop, struct connection *connection, uint32_t events)
{
    ssize_t received;

    if (account_is_short(connection->account)) {
        return echo_sparingly(loop, connection, events);
    }
    if (connection->is_bulky && loop->pipe[0] >= 0) {
        return echo_bulk(loop, connection);
    }
    received = receive(loop, connection, events, 0);
    if (received < 0) {
        return received == -EINTR ? -EAGAIN : (int)received;
    }
    connection->is_bulky = received >= SPLICE_MIN && connection->is_stream;
    count_received(loop, (size_t)received);
    return answer(loop, connection, loop_slot(loop, 0), (size_t)received);
}

/* echo_greet() on a stream: one send. */
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
    return answer(loop, connection, data, length);
}

/* echo_greet() on seqpacket: two messages. */
static int greet_seqpacket(struct loop *loop, struct connection *connection, const char *greeting)
{
    /* Whether the client has shut down by now is not known, and has to be looked for. */
    ssize_t n = receive(loop, connection, EPOLLRDHUP, 0);
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
    return sent == 2 ? 0 : answer(loop, connection, data[1].iov_base, (size_t)n);
}

int echo_greet(struct loop *loop, struct connection *connection, const char *greeting)
{
    if (account_is_short(connection->account)) {
        return answer(loop, connection, greeting, strlen(greeting)); /* what it has sent waits */
    }
    return connection->is_stream ? greet_stream(loop, connection, greeting)
                                 : greet_seqpacket(loop, connection, greeting);
}
