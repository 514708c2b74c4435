// SPDX-License-Identifier: MIT
#include "transfer.h"

#include <errno.h>
#include <sys/socket.h>

ssize_t transfer_send(int fd, const char *data, size_t length)
{
    ssize_t n = send(fd, data, length, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (n < 0 && errno == EMSGSIZE) {
        /* The client has raised its SO_SNDBUF beyond this socket's; an accepted Unix socket starts
         * with net.core.wmem_default. Raised as far as the client could, the message fits. */
        const int size = (int)length;
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
        n = send(fd, data, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    return n < 0 ? -errno : n;
}

/*
 * An empty message and the end both make recv(2) return 0; but with SO_PASSCRED every message
 * carries credentials and the end carries none (measured on Linux 6.18; unix(7) says that it
 * applies to each message received). The room for control data is what the credentials need, so no
 * descriptor can come in with them.
 */
ssize_t transfer_receive_marked(int fd, char *buffer, size_t size)
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
    ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_TRUNC);

    if (n < 0) {
        return -errno;
    }
    return n == 0 && message.msg_controllen == 0 ? -ENODATA : n;
}

int transfer_mark(int fd)
{
    const int on = 1;

    return setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0 ? -errno : 0;
}
