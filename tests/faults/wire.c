// SPDX-License-Identifier: MIT
#include "wire.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PASSED = 4,       /* descriptors at once */
    BOOKKEEPING = 32, /* of SO_SNDBUF the kernel does not give (unix_dgram_sendmsg()) */
};

/* So that an empty message, which has credentials then, is told from the end, which has none. */
static bool is_marked(const struct swarm *swarm)
{
    if (swarm->type != SOCK_SEQPACKET) {
        return false;
    }
    for (unsigned i = 0; i < swarm->conduct.n_sizes; i++) {
        if (swarm->conduct.sizes[i] == 0) {
            return true;
        }
    }
    return false;
}

static int prepare(const struct swarm *swarm, int fd)
{
    const int on = 1;

    if (swarm->send_buffer > 0 &&
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &swarm->send_buffer, sizeof(int)) < 0) {
        return -errno;
    }
    if (is_marked(swarm) && setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0) {
        return -errno;
    }
    return 0;
}

static int open_prepared(const struct swarm *swarm)
{
    int fd = socket(AF_UNIX, swarm->type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int r;

    if (fd < 0) {
        return -errno;
    }
    r = prepare(swarm, fd);
    if (r < 0) {
        close(fd);
        return r;
    }
    return fd;
}

/*
 * An abstract address that nobody else has had. One that the kernel chooses (unix(7), autobind) is
 * one of 2^20 at random, so it may have been that of a client who left with answers on their way,
 * and these would come to this one.
 */
static int bind_to_own(int fd, uint32_t sender)
{
    struct sockaddr_un own = {.sun_family = AF_UNIX};
    int length = snprintf(own.sun_path + 1, sizeof(own.sun_path) - 1, "swarm/%ld/%u",
                          (long)getpid(), (unsigned)sender);
    socklen_t size = (socklen_t)offsetof(struct sockaddr_un, sun_path) + 1 + (socklen_t)length;

    return bind(fd, (const struct sockaddr *)&own, size) < 0 ? -errno : 0;
}

static int find_place(const struct swarm *swarm, int fd, uint32_t sender)
{
    const struct sockaddr *service = (const struct sockaddr *)&swarm->service;

    if (swarm->type == SOCK_DGRAM) {
        int r = bind_to_own(fd, sender);
        if (r < 0 || !swarm->connects) {
            return r;
        }
    }
    return connect(fd, service, swarm->service_length) < 0 ? -errno : 0;
}

int wire_open(const struct swarm *swarm, uint32_t sender)
{
    int fd = open_prepared(swarm);
    int r;

    if (fd < 0) {
        return fd;
    }
    r = find_place(swarm, fd, sender);
    if (r < 0) {
        close(fd);
        return r;
    }
    return fd;
}

ssize_t wire_find_largest(const struct swarm *swarm)
{
    int fd = open_prepared(swarm);
    socklen_t length = sizeof(int);
    int size;
    int r;

    if (fd < 0) {
        return fd;
    }
    r = getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, &length) < 0 ? -errno : 0;
    close(fd);
    return r < 0 ? r : size - BOOKKEEPING;
}

static ssize_t send_passing(struct swarm *swarm, int fd, struct msghdr *message)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(PASSED * sizeof(int))];
    } control = {.header = {.cmsg_len = CMSG_LEN(PASSED * sizeof(int)),
                            .cmsg_level = SOL_SOCKET,
                            .cmsg_type = SCM_RIGHTS}};
    struct msghdr passing = *message;
    ssize_t n;

    for (int i = 0; i < PASSED; i++) {
        memcpy(CMSG_DATA(&control.header) + (size_t)i * sizeof(int), &swarm->null_fd, sizeof(int));
    }
    passing.msg_control = &control;
    passing.msg_controllen = sizeof(control.room);
    n = sendmsg(fd, &passing, MSG_NOSIGNAL);
    if (n >= 0) {
        swarm->tally.descriptors_passed += PASSED;
        return n;
    }
    /* EPERM: the service takes none (Linux 6.16). ETOOMANYREFS: too many are under way. */
    if (errno != EPERM && errno != ETOOMANYREFS) {
        return -errno;
    }
    swarm->tally.descriptors_refused += PASSED;
    n = sendmsg(fd, message, MSG_NOSIGNAL);
    return n < 0 ? -errno : n;
}

ssize_t wire_send(struct swarm *swarm, int fd, size_t length)
{
    bool names_service = swarm->type == SOCK_DGRAM && !swarm->connects;
    struct iovec data = {.iov_base = swarm->buffer, .iov_len = length};
    struct msghdr message = {
        .msg_name = names_service ? &swarm->service : NULL,
        .msg_namelen = names_service ? swarm->service_length : 0,
        .msg_iov = &data,
        .msg_iovlen = 1,
    };
    ssize_t n;

    if (swarm->conduct.passes) {
        return send_passing(swarm, fd, &message);
    }
    n = sendmsg(fd, &message, MSG_NOSIGNAL);
    return n < 0 ? -errno : n;
}

static ssize_t receive(const struct swarm *swarm, int fd)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(struct ucred))];
    } control;
    struct iovec data = {.iov_base = swarm->buffer, .iov_len = swarm->buffer_size};
    struct msghdr message = {
        .msg_iov = &data,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof(control),
    };
    ssize_t n = recvmsg(fd, &message, 0);

    if (n < 0) {
        return -errno;
    }
    if (n == 0 && swarm->type != SOCK_DGRAM && message.msg_controllen == 0) {
        return -ENODATA;
    }
    return n;
}

/*
 * The kernel looks for a message first and then whether that was the end (unix_dgram_recvmsg() in
 * Linux 6.18), so a last message that comes in between, with the end behind it, is passed over. But
 * nothing comes after the end: another look finds what there is.
 */
ssize_t wire_receive(const struct swarm *swarm, int fd)
{
    ssize_t n = receive(swarm, fd);

    return n == -ENODATA ? receive(swarm, fd) : n;
}
