// SPDX-License-Identifier: MIT

/*
 * floor: the least that an echo server takes, as a measure for one that does more. A bare epoll
 * loop, level-triggered: receive once, send that, wait again. It has no limits, no status, no log,
 * no idle exit; a client that does not read blocks it; and an empty seqpacket message is taken for
 * the end.
 *
 *   floor stream|seqpacket|dgram PATH   makes the socket itself
 *   floor                               takes the sockets that systemd passes, and tells it so,
 *                                       both by hand: sd_listen_fds(3), sd_notify(3)
 */

#include <err.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { FIRST_PASSED = 3, EVENTS = 64, BUFFER = 64 * 1024, KIND_SHIFT = 32 };

/* What is to be done with a descriptor that has become readable. */
enum kind { KIND_LISTENER, KIND_DATAGRAM, KIND_CONNECTION };

static char buffer[BUFFER];

static void watch(int epoll_fd, int fd, enum kind kind)
{
    struct epoll_event event = {
        .events = EPOLLIN,
        .data.u64 = (uint64_t)kind << KIND_SHIFT | (uint32_t)fd,
    };

    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
        err(1, "epoll_ctl");
    }
}

static int make_socket(int type, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, type, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    (void)unlink(path);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
        (type != SOCK_DGRAM && listen(fd, SOMAXCONN) < 0)) {
        err(1, "%s", path);
    }
    return fd;
}

static void watch_served(int epoll_fd, int fd)
{
    int type = 0;
    socklen_t size = sizeof(type);

    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0) {
        err(1, "descriptor %d", fd);
    }
    watch(epoll_fd, fd, type == SOCK_DGRAM ? KIND_DATAGRAM : KIND_LISTENER);
}

static void tell_ready(void)
{
    static const char message[] = "READY=1";
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = path ? strlen(path) : 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (length > 0 && length < sizeof(address.sun_path)) {
        memcpy(address.sun_path, path, length);
        if (path[0] == '@') {
            address.sun_path[0] = '\0';
        }
        (void)sendto(fd, message, sizeof(message) - 1, 0, (const struct sockaddr *)&address,
                     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
    }
    close(fd);
}

/* Sends all of it, however long that blocks. Returns whether that worked. */
static bool send_all(int fd, size_t length)
{
    size_t sent = 0;

    while (sent < length) {
        ssize_t n = send(fd, buffer + sent, length - sent, MSG_NOSIGNAL);
        if (n < 0) {
            return false;
        }
        sent += (size_t)n;
    }
    return true;
}

static void serve_connection(int fd)
{
    ssize_t n = recv(fd, buffer, sizeof(buffer), 0);

    if (n <= 0 || !send_all(fd, (size_t)n)) {
        close(fd);
    }
}

static void serve_datagram(int fd)
{
    struct sockaddr_un sender;
    socklen_t size = sizeof(sender);
    ssize_t n = recvfrom(fd, buffer, sizeof(buffer), 0, (struct sockaddr *)&sender, &size);

    if (n >= 0) {
        (void)sendto(fd, buffer, (size_t)n, MSG_NOSIGNAL, (const struct sockaddr *)&sender, size);
    }
}

static void serve(int epoll_fd, uint64_t data)
{
    int fd = (int)(uint32_t)data;
    int connection;

    switch ((enum kind)(data >> KIND_SHIFT)) {
    case KIND_LISTENER:
        connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
        if (connection >= 0) {
            watch(epoll_fd, connection, KIND_CONNECTION);
        }
        break;
    case KIND_DATAGRAM:
        serve_datagram(fd);
        break;
    case KIND_CONNECTION:
        serve_connection(fd);
        break;
    }
}

int main(int argc, char **argv)
{
    struct epoll_event events[EVENTS];
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    const char *passed = getenv("LISTEN_FDS");

    if (argc == 3) {
        int type = strcmp(argv[1], "stream") == 0      ? SOCK_STREAM
                   : strcmp(argv[1], "seqpacket") == 0 ? SOCK_SEQPACKET
                                                       : SOCK_DGRAM;
        watch_served(epoll_fd, make_socket(type, argv[2]));
    } else if (argc == 1 && passed) {
        for (int i = 0; i < strtol(passed, NULL, 10); i++) {
            watch_served(epoll_fd, FIRST_PASSED + i);
        }
        tell_ready();
    } else {
        errx(64, "usage: floor [stream|seqpacket|dgram PATH]");
    }
    for (;;) {
        int n = epoll_wait(epoll_fd, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            serve(epoll_fd, events[i].data.u64);
        }
    }
}
