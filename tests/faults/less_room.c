// SPDX-License-Identifier: MIT

/*
 * For LD_PRELOAD, under valgrind: less room for what is received. The service gives the kernel room
 * for the largest message that there may ever be, some megabytes, and memcheck looks at each byte
 * of that before each call, which takes a hundred times as long as all the rest. Here it is ROOM
 * bytes, which no message of the laboratory fills; one that does ends the service.
 */

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { ROOM = 600 * 1000 };

/* Returns what there was before. */
static size_t lessen(struct msghdr *message)
{
    size_t size = message->msg_iovlen == 1 ? message->msg_iov->iov_len : 0;

    if (size > ROOM) {
        message->msg_iov->iov_len = ROOM;
    }
    return size;
}

static void restore(struct msghdr *message, size_t size)
{
    if (size > ROOM) {
        message->msg_iov->iov_len = size;
    }
}

ssize_t recv(int fd, void *buffer, size_t size, int flags)
{
    ssize_t n = recvfrom(fd, buffer, size > ROOM ? ROOM : size, flags, NULL, NULL);

    if (size > ROOM && n > ROOM) {
        abort();
    }
    return n;
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    size_t size = lessen(message);
    ssize_t n = syscall(SYS_recvmsg, fd, message, flags);

    restore(message, size);
    if (size > ROOM && (n > ROOM || (n >= 0 && message->msg_flags & MSG_TRUNC))) {
        abort();
    }
    return n;
}

int recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout)
{
    size_t size = 0;
    int n;

    for (unsigned i = 0; i < count; i++) {
        size = lessen(&messages[i].msg_hdr); /* they are all alike */
    }
    n = (int)syscall(SYS_recvmmsg, fd, messages, count, flags, timeout);
    for (unsigned i = 0; i < count; i++) {
        restore(&messages[i].msg_hdr, size);
        if (size > ROOM && (int)i < n && messages[i].msg_hdr.msg_flags & MSG_TRUNC) {
            abort();
        }
    }
    return n;
}
