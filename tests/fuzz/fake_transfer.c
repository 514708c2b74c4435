// SPDX-License-Identifier: MIT

/* How bytes go from a client of the fake kernel to the daemon and back. */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "fake_kernel.h"

enum {
    SEND_CHUNK = 32 * 1024, /* what one buffer of a stream takes in unix_stream_sendmsg() */
    PIPE_MAX = 64 * 1024,
};

/* What is in the pipe. */
static struct {
    char bytes[PIPE_MAX];
    size_t length;
    struct fake_socket *from;
} fake_pipe;

void fake_empty_pipe(void)
{
    fake_pipe.length = 0;
}

/* --- What the daemon receives. ----------------------------------------------------------------*/

/* The length of what one receive brings at most; negative, with errno, if nothing can be had; 0
 * also for the end, which *END tells. */
static ssize_t available(const struct fake_socket *socket, int flags, bool *end)
{
    uint64_t until = socket->sent;

    *end = false;
    if (socket->is_stream ? socket->taken < socket->sent
                          : socket->messages_taken < socket->messages_sent) {
        if (!(flags & MSG_PEEK) && socket->boundary > socket->taken &&
            socket->boundary < socket->sent) {
            until = socket->boundary;
        }
        return socket->is_stream ? (ssize_t)(until - socket->taken)
                                 : (ssize_t)socket->lengths[socket->messages_taken % FAKE_MESSAGES];
    }
    if (!socket->there && socket->unread > 0) {
        errno = ECONNRESET;
        return -1;
    }
    if (!socket->writes) {
        *end = true;
        return 0;
    }
    errno = EAGAIN;
    return -1;
}

static void take(struct fake_socket *socket, size_t length)
{
    socket->taken += length;
    if (!socket->is_stream) {
        socket->messages_taken++;
    }
}

/* As recv(2). Returns the length of the whole message with MSG_TRUNC. */
static ssize_t receive(struct fake_socket *socket, void *data, size_t size, int flags, bool *end)
{
    ssize_t length;
    size_t copied;

    fake_demand(socket && socket->open, "a receive from what is closed");
    fake_demand(flags & MSG_DONTWAIT, "a receive that would block");
    if (fake_fails(FAKE_RECV, socket)) {
        return -1;
    }
    length = available(socket, flags, end);
    if (length < 0 || *end) {
        return length;
    }
    copied = (size_t)length < size ? (size_t)length : size;
    if (copied > 0) {
        memcpy(data, fake_pattern(socket, socket->taken), copied);
    }
    if (!(flags & MSG_PEEK)) {
        take(socket, socket->is_stream ? copied : (size_t)length);
    }
    return !socket->is_stream && flags & MSG_TRUNC ? length : (ssize_t)copied;
}

ssize_t __wrap_recv(int fd, void *data, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *data, size_t size, int flags)
{
    bool end;

    return receive(fake_socket(fd), data, size, flags, &end);
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags)
{
    struct fake_socket *socket = fake_socket(fd);
    bool end = false;
    ssize_t n = receive(socket, message->msg_iov->iov_base, message->msg_iov->iov_len, flags, &end);

    if (n >= 0 && (end || !socket->marks)) {
        message->msg_controllen = 0;
    }
    return n;
}

/* --- What it sends. ---------------------------------------------------------------------------*/

static void check_greeting(struct fake_socket *socket, const char *data, size_t length)
{
    fake_demand(memcmp(data, socket->greeting, length) == 0, "a greeting that is none");
    socket->greeting = socket->greeting[length] == '\0' ? NULL : socket->greeting + length;
}

/* Compares what is echoed with what was sent by the client. */
static void check_echo(struct fake_socket *socket, const char *data, size_t length)
{
    if (socket->greeting) {
        size_t rest = strlen(socket->greeting);
        size_t greeting = length < rest ? length : rest;
        fake_demand(socket->is_stream || greeting == length, "a greeting with more in its message");
        check_greeting(socket, data, greeting);
        if (!socket->is_stream) {
            return;
        }
        data += greeting;
        length -= greeting;
    }
    fake_demand(socket->echoed + length <= socket->sent, "more is echoed than was sent");
    fake_demand(memcmp(data, fake_pattern(socket, socket->echoed), length) == 0,
                "bytes that were not sent here");
    if (!socket->is_stream) {
        fake_demand(socket->messages_echoed < socket->messages_sent &&
                        length == socket->lengths[socket->messages_echoed % FAKE_MESSAGES],
                    "a message that was not sent so");
        socket->messages_echoed++;
    }
    socket->echoed += length;
}

/* How much of LENGTH the client's buffer takes now, which is filled up and overfilled by the last
 * piece (sock_alloc_send_pskb()); negative, with errno, if nothing. */
static ssize_t room_for(struct fake_socket *socket, size_t length)
{
    size_t taken = 0;

    if (!socket->reads) {
        socket->excused = true;
        errno = EPIPE;
        return -1;
    }
    if (!socket->is_stream && length > socket->capacity) {
        errno = EMSGSIZE;
        return -1;
    }
    if (socket->unread >= socket->capacity) {
        errno = EAGAIN;
        return -1;
    }
    if (!socket->is_stream) {
        return (ssize_t)length;
    }
    while (taken < length && socket->unread + taken < socket->capacity) {
        size_t piece = length - taken < SEND_CHUNK ? length - taken : SEND_CHUNK;
        taken += piece < socket->capacity / 2 ? piece : socket->capacity / 2;
    }
    return (ssize_t)taken;
}

static ssize_t put(struct fake_socket *socket, const char *data, size_t length)
{
    ssize_t n;

    fake_demand(socket && socket->open, "a send to what is closed");
    n = room_for(socket, length);
    if (n < 0) {
        return n;
    }
    check_echo(socket, data, (size_t)n);
    socket->unread += (size_t)n;
    socket->messages_unread += !socket->is_stream;
    return n;
}

ssize_t __wrap_send(int fd, const void *data, size_t length, int flags);
ssize_t __wrap_send(int fd, const void *data, size_t length, int flags)
{
    fake_demand(flags == (MSG_DONTWAIT | MSG_NOSIGNAL),
                "a send that would block or raise a signal");
    return fake_fails(FAKE_SEND, fake_socket(fd)) ? -1 : put(fake_socket(fd), data, length);
}

int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags);
int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags)
{
    int sent = 0;

    for (unsigned i = 0; i < n; i++, sent++) {
        const struct iovec *data = messages[i].msg_hdr.msg_iov;
        if (__wrap_send(fd, data->iov_base, data->iov_len, flags) < 0) {
            break;
        }
    }
    return sent > 0 ? sent : -1;
}

/* --- The pipe. --------------------------------------------------------------------------------*/

static ssize_t splice_in(struct fake_socket *socket, size_t size)
{
    bool end;
    ssize_t length = available(socket, 0, &end);

    fake_demand(fake_pipe.length == 0, "something is left in the pipe");
    if (length <= 0) {
        return length;
    }
    length = length < (ssize_t)size ? length : (ssize_t)size;
    length = length < PIPE_MAX ? length : PIPE_MAX;
    memcpy(fake_pipe.bytes, fake_pattern(socket, socket->taken), (size_t)length);
    take(socket, (size_t)length);
    fake_pipe.length = (size_t)length;
    fake_pipe.from = socket;
    return length;
}

/* Takes LENGTH bytes off the front. */
static void advance_pipe(size_t length)
{
    fake_pipe.length -= length;
    memmove(fake_pipe.bytes, fake_pipe.bytes + length, fake_pipe.length);
}

ssize_t __wrap_splice(int from, loff_t *from_at, int to, loff_t *to_at, size_t size,
                      unsigned flags);
ssize_t __wrap_splice(int from, loff_t *from_at, int to, loff_t *to_at, size_t size, unsigned flags)
{
    struct fake_socket *socket = fake_socket(from == FAKE_FD_PIPE ? to : from);
    ssize_t n;

    (void)from_at;
    (void)to_at;
    (void)flags;
    fake_demand(socket && socket->open && socket->is_stream, "a splice of what cannot be");
    if (fake_fails(FAKE_SPLICE, socket)) {
        return -1;
    }
    if (from != FAKE_FD_PIPE) {
        return splice_in(socket, size);
    }
    fake_demand(size <= fake_pipe.length, "more is spliced out than in");
    n = put(socket, fake_pipe.bytes, size);
    if (n > 0) {
        advance_pipe((size_t)n);
    }
    return n;
}

ssize_t __real_read(int fd, void *data, size_t size);
ssize_t __wrap_read(int fd, void *data, size_t size);
ssize_t __wrap_read(int fd, void *data, size_t size)
{
    if (fd != FAKE_FD_PIPE) {
        return __real_read(fd, data, size);
    }
    if (fake_fails(FAKE_READ, fake_pipe.from)) {
        return -1;
    }
    fake_demand(fake_pipe.length > 0, "a read from an empty pipe");
    size = size < fake_pipe.length ? size : fake_pipe.length;
    memcpy(data, fake_pipe.bytes, size);
    advance_pipe(size);
    return (ssize_t)size;
}

int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd)
{
    struct fake_socket *socket = fake_socket(fd);

    if (fd == FAKE_FD_PIPE) {
        fake_empty_pipe();
    }
    if (fd == FAKE_FD_PIPE || fd == FAKE_FD_PIPE + 1) {
        return 0;
    }
    if (!socket) {
        return __real_close(fd);
    }
    fake_demand(socket->open, "closed twice");
    if (socket->travels) {
        return 0;
    }
    socket->open = false;
    socket->watch = NULL;
    if (!socket->excused && socket->reads && !fake_is_through(socket)) {
        fake_demand(fake_kernel.excuses > 0, "a connection was ended for no reason");
        fake_kernel.excuses--;
    }
    return 0;
}

int __wrap_pipe2(int pipe[2], int flags);
int __wrap_pipe2(int pipe[2], int flags)
{
    (void)flags;
    if (fake_fails(FAKE_PIPE, NULL)) {
        return -1;
    }
    pipe[0] = FAKE_FD_PIPE;
    pipe[1] = FAKE_FD_PIPE + 1;
    return 0;
}
