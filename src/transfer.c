// SPDX-License-Identifier: MIT
#include "transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

/* What a call that sends has failed with. Who was interrupted tries again when there is room. */
static int send_error(void)
{
    return errno == EINTR ? -EAGAIN : -errno;
}

ssize_t transfer_send(int fd, const char *data, size_t length)
{
    ssize_t n = send(fd, data, length, MSG_DONTWAIT | MSG_NOSIGNAL);

    return n < 0 ? send_error() : n;
}

/* As getsockopt(2) says it: the kernel takes twice what is asked for (socket(7)). */
static void set_send_buffer(int fd, size_t bytes)
{
    const int half = (int)(bytes / 2);

    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &half, sizeof(half));
}

ssize_t transfer_send_oversize(int fd, const char *data, size_t length, size_t usual)
{
    enum { OVERHEAD = 256 }; /* the kernel wants 32 bytes more (unix_dgram_sendmsg()) */
    ssize_t n;

    set_send_buffer(fd, length + OVERHEAD);
    n = transfer_send(fd, data, length);
    set_send_buffer(fd, usual);
    return n;
}

/*
 * An empty message and the end both make recv(2) return 0; but with SO_PASSCRED every message
 * carries credentials and the end carries none (measured on Linux 6.18; unix(7) says that it
 * applies to each message received). The room for control data is what the credentials need, so no
 * descriptor can come in with them.
 */
static ssize_t receive_marked(int fd, char *buffer, size_t size, int flags)
{
    union {
        char room[CMSG_SPACE(sizeof(struct ucred))];
        struct cmsghdr align;
    } control;
    struct iovec data = {.iov_base = buffer, .iov_len = size};
    struct msghdr message = {
        .msg_iov = &data,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof(control),
    };
    ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_TRUNC | flags);

    if (n < 0) {
        return -errno;
    }
    return n == 0 && message.msg_controllen == 0 ? -ENODATA : n;
}

/*
 * The kernel looks for a message first and then whether that was the end (unix_dgram_recvmsg() in
 * Linux 6.18), so a last message that comes in between, with the end behind it, is passed over. But
 * nothing comes after the end: another look finds what there is.
 */
ssize_t transfer_receive_marked(int fd, char *buffer, size_t size, int flags)
{
    ssize_t n = receive_marked(fd, buffer, size, flags);

    return n == -ENODATA ? receive_marked(fd, buffer, size, flags) : n;
}

int transfer_mark(int fd)
{
    const int on = 1;

    return setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0 ? -errno : 0;
}

ssize_t transfer_splice(int fd, const int pipe[static 2], size_t size, char *buffer, ssize_t *sent)
{
    ssize_t n = splice(fd, NULL, pipe[1], NULL, size, SPLICE_F_NONBLOCK);
    size_t rest;

    if (n <= 0) {
        return n < 0 ? -errno : -ENODATA;
    }
    *sent = splice(pipe[0], NULL, fd, NULL, (size_t)n, SPLICE_F_NONBLOCK);
    if (*sent < 0) {
        *sent = send_error();
    }
    rest = (size_t)(n - (*sent > 0 ? *sent : 0));
    /* What is in a pipe is read without waiting. */
    for (size_t done = 0; done < rest;) {
        ssize_t got = read(pipe[0], buffer + done, rest - done);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return -EIO;
        }
        done += (size_t)got;
    }
    return n;
}
