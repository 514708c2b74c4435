// SPDX-License-Identifier: MIT
#include "bench_loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util.h"

enum { BUFFER_MIN = 64 * 1024, EVENTS = 64 };

/* Receives once and sends that back. Returns false if nothing more will come. */
static bool echo(const struct bare_loop *loop, int fd)
{
    ssize_t n = recv(fd, loop->buffer, loop->size, MSG_DONTWAIT);
    ssize_t sent = 0;

    if (n <= 0) {
        return n < 0 && (errno == EAGAIN || errno == EINTR);
    }
    while (sent < n) {
        ssize_t s = send(fd, loop->buffer + sent, (size_t)(n - sent), MSG_NOSIGNAL);
        if (s < 0 && errno != EINTR) {
            return false;
        }
        sent += s > 0 ? s : 0;
    }
    return true;
}

static void *loop_run(void *context)
{
    struct bare_loop *loop = context;
    struct epoll_event events[EVENTS];

    /* As the client does with a single connection. */
    while (loop->poll && loop->n_fds == 1 && echo(loop, loop->fds[0]) &&
           !atomic_load_explicit(&loop->stopping, memory_order_relaxed)) {
    }
    for (;;) {
        int n = epoll_wait(loop->epoll_fd, events, EVENTS, loop->poll ? 0 : -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd == loop->stop_fd) {
                return NULL;
            }
            if (!echo(loop, events[i].data.fd)) {
                (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, events[i].data.fd, NULL);
            }
        }
    }
}

static int watch(const struct bare_loop *loop, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/* One more pair: theirs into FD. */
static int add_pair(struct bare_loop *loop, int type, int *fd)
{
    int ends[2];
    int size = (int)loop->size * 2;
    int r;

    if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) < 0) {
        return -errno;
    }
    if (type != SOCK_STREAM && loop->size > BUFFER_MIN) {
        (void)setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    }
    r = watch(loop, ends[0]);
    if (r < 0) {
        close(ends[0]);
        close(ends[1]);
        return r;
    }
    loop->fds[loop->n_fds++] = ends[0];
    *fd = ends[1];
    return 0;
}

int bare_loop_start(struct bare_loop *loop, int type, size_t n, size_t size, bool poll, int *fds)
{
    size_t i = 0;
    int r = 0;

    *loop = (struct bare_loop){
        .epoll_fd = epoll_create1(EPOLL_CLOEXEC),
        .stop_fd = eventfd(0, EFD_CLOEXEC),
        .fds = calloc(n, sizeof(int)),
        .size = size > BUFFER_MIN ? size : BUFFER_MIN,
        .poll = poll,
    };
    loop->buffer = malloc(loop->size);
    if (!loop->fds || !loop->buffer) {
        r = -ENOMEM;
    } else if (loop->epoll_fd < 0 || loop->stop_fd < 0) {
        r = -errno;
    } else {
        r = watch(loop, loop->stop_fd);
    }
    for (; i < n && r == 0; i += r == 0) {
        r = add_pair(loop, type, &fds[i]);
    }
    if (r == 0) {
        r = -pthread_create(&loop->thread, NULL, loop_run, loop);
        loop->running = r == 0;
    }
    if (r < 0) {
        while (i-- > 0) {
            fd_close(&fds[i]);
        }
        bare_loop_stop(loop);
    }
    return r;
}

void bare_loop_stop(struct bare_loop *loop)
{
    const uint64_t one = 1;

    if (loop->running) {
        atomic_store(&loop->stopping, true);
        (void)!write(loop->stop_fd, &one, sizeof(one));
        pthread_join(loop->thread, NULL);
        loop->running = false;
    }
    for (size_t i = 0; loop->fds && i < loop->n_fds; i++) {
        fd_close(&loop->fds[i]);
    }
    fd_close(&loop->epoll_fd);
    fd_close(&loop->stop_fd);
    free(loop->fds);
    free(loop->buffer);
    *loop = (struct bare_loop){.epoll_fd = -1, .stop_fd = -1};
}
