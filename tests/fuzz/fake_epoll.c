// SPDX-License-Identifier: MIT

/* The fake kernel's epoll set, options of its sockets, and memory. */

#include <errno.h>
#include <linux/sockios.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "fake_kernel.h"

int __wrap_epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event)
{
    struct fake_socket *socket = fake_socket(fd);

    (void)epoll_fd;
    fake_demand(socket && socket->open, "a watch on what is closed");
    if (operation == EPOLL_CTL_DEL) {
        socket->watch = NULL;
        return 0;
    }
    fake_demand((operation == EPOLL_CTL_ADD) == !socket->watch, "watched twice, or not at all");
    if (fake_fails(FAKE_EPOLL_CTL, socket)) {
        return -1;
    }
    socket->watch = event->data.ptr;
    socket->interest = event->events;
    return 0;
}

/* As unix_poll() in Linux has it. */
static uint32_t events_of(const struct fake_socket *socket)
{
    uint32_t events = 0;

    if (socket->is_stream ? socket->taken < socket->sent
                          : socket->messages_taken < socket->messages_sent) {
        events |= EPOLLIN;
    }
    if (!socket->writes) {
        events |= EPOLLIN | EPOLLRDHUP;
    }
    if (!socket->writes && !socket->reads) {
        events |= EPOLLHUP;
    }
    if (!socket->there && socket->unread > 0) {
        events |= EPOLLERR;
    }
    if (!socket->reads || socket->unread * 4 <= socket->capacity) {
        events |= EPOLLOUT;
    }
    return events & (socket->interest | EPOLLHUP | EPOLLERR);
}

int __wrap_epoll_wait(int epoll_fd, struct epoll_event *events, int max, int timeout);
int __wrap_epoll_wait(int epoll_fd, struct epoll_event *events, int max, int timeout)
{
    int n = 0;

    (void)epoll_fd;
    (void)timeout;
    if (fake_fails(FAKE_EPOLL_WAIT, NULL)) {
        return -1;
    }
    for (int i = 0; i < FAKE_SOCKETS && n < max; i++) {
        struct fake_socket *socket = &fake_kernel.sockets[i];
        uint32_t ready = socket->watch ? events_of(socket) : 0;
        if (ready != 0) {
            events[n].events = ready;
            events[n].data.ptr = socket->watch;
            n++;
        }
    }
    return n;
}

int __real_setsockopt(int fd, int level, int option, const void *value, socklen_t size);
int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t size);
int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t size)
{
    struct fake_socket *socket = fake_socket(fd);

    if (!socket) {
        return __real_setsockopt(fd, level, option, value, size);
    }
    if (fake_fails(FAKE_SETSOCKOPT, socket)) {
        return -1;
    }
    if (option == SO_PASSCRED) {
        socket->marks = *(const int *)value != 0;
    } else if (option == SO_SNDBUF) {
        socket->capacity = 2 * (size_t) * (const int *)value;
    }
    return 0;
}

int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...)
{
    struct fake_socket *socket = fake_socket(fd);
    va_list arguments;

    fake_demand(socket && socket->open && request == SIOCOUTQ, "another ioctl than expected");
    va_start(arguments, request);
    *va_arg(arguments, int *) = (int)socket->unread;
    va_end(arguments);
    return 0;
}

int __wrap_shutdown(int fd, int how);
int __wrap_shutdown(int fd, int how)
{
    struct fake_socket *socket = fake_socket(fd);

    fake_demand(socket && socket->open && how == SHUT_RD, "another shutdown than expected");
    socket->writes = false;
    return 0;
}

static bool has_no_memory(void)
{
    if (!fake_fails(FAKE_MALLOC, NULL)) {
        return false;
    }
    fake_kernel.excuses++;
    return true;
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
    return has_no_memory() ? NULL : __real_malloc(size);
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
    return has_no_memory() ? NULL : __real_calloc(n, size);
}
