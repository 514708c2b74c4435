// SPDX-License-Identifier: MIT
#include "handover_channel.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util.h"

union control {
    char room[CMSG_SPACE(HANDOVER_BATCH * sizeof(int))];
    struct cmsghdr align;
};

int handover_channel_new(int pair[static 2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0 ? -errno
                                                                                           : 0;
}

int handover_channel_send(int fd, const struct handover_label *label, const int *descriptors,
                          size_t n)
{
    struct handover_label copy = *label;
    struct iovec data = {.iov_base = &copy, .iov_len = sizeof(copy)};
    union control control = {.room = {0}};
    struct msghdr message = {
        .msg_iov = &data,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = CMSG_SPACE(n * sizeof(int)),
    };
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);

    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(n * sizeof(int));
    memcpy(CMSG_DATA(rights), descriptors, n * sizeof(int));
    return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

bool handover_channel_carries(int fd)
{
    const struct handover_label label = {0};
    int pair[2];
    int r = handover_channel_new(pair);

    if (r < 0) {
        return false;
    }
    r = handover_channel_send(pair[0], &label, &fd, 1);
    fd_close(&pair[0]);
    fd_close(&pair[1]);
    return r == 0;
}

/* Takes the descriptors out of MESSAGE. Returns how many there are. */
static size_t take_out(struct msghdr *message, int descriptors[static HANDOVER_BATCH])
{
    const struct cmsghdr *rights = CMSG_FIRSTHDR(message);
    size_t n;

    if (!rights || rights->cmsg_level != SOL_SOCKET || rights->cmsg_type != SCM_RIGHTS) {
        return 0;
    }
    n = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(descriptors, CMSG_DATA(rights), n * sizeof(int));
    return n;
}

int handover_channel_receive(int fd, struct handover_label *label,
                             int descriptors[static HANDOVER_BATCH])
{
    struct iovec data = {.iov_base = label, .iov_len = sizeof(*label)};
    union control control = {.room = {0}};
    struct msghdr message = {
        .msg_iov = &data,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof(control),
    };
    ssize_t length;
    size_t n;

    do {
        length = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (length < 0 && errno == EINTR);
    if (length <= 0) {
        return length == 0 || errno == EAGAIN ? -ENODATA : -errno;
    }
    n = take_out(&message, descriptors);
    if (length == sizeof(*label) && n > 0 && !(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
        return (int)n;
    }
    for (size_t i = 0; i < n; i++) {
        close(descriptors[i]);
    }
    return message.msg_flags & MSG_CTRUNC ? -EMFILE : -EBADMSG;
}

int handover_channel_empty(int fd)
{
    char first;
    ssize_t n;

    /* Without room for them the kernel closes the descriptors (recv(2)); no message is empty. */
    do {
        n = recv(fd, &first, sizeof(first), MSG_DONTWAIT);
    } while (n > 0 || (n < 0 && errno == EINTR));
    return n == 0 || errno == EAGAIN ? 0 : -errno;
}
