// SPDX-License-Identifier: MIT
#include "bench_loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench_cpu.h"
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

static int watch(const struct bare_loop *loop, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/* Room for messages larger than a socket has by itself. */
static void make_room(const struct bare_loop *loop, int type, int fd)
{
    int size = (int)loop->size * 2;

    if (type != SOCK_STREAM && loop->size > BUFFER_MIN) {
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    }
}

/* Anybody can connect to an abstract address, and stay. */
static bool is_own(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid == getpid();
}

static void take_connection(struct bare_loop *loop)
{
    int fd = accept4(loop->listen_fd, NULL, NULL, SOCK_CLOEXEC);

    if (fd < 0) {
        return;
    }
    make_room(loop, loop->address.type, fd);
    if (!is_own(fd) || watch(loop, fd) < 0) {
        close(fd);
        return;
    }
    loop->n_accepted++;
}

static void serve(struct bare_loop *loop, int fd)
{
    if (fd == loop->stop_fd) {
        (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    } else if (fd == loop->listen_fd) {
        take_connection(loop);
    } else if (!echo(loop, fd)) {
        (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        if (loop->listen_fd >= 0) {
            close(fd);
            loop->n_accepted--;
        }
    }
}

static bool is_stopping(const struct bare_loop *loop)
{
    return atomic_load_explicit(&loop->stopping, memory_order_relaxed);
}

static void *loop_run(void *context)
{
    struct bare_loop *loop = context;
    struct epoll_event events[EVENTS];

    /* As the client does with a single connection. */
    while (loop->poll && loop->n_fds == 1 && !is_stopping(loop) && echo(loop, loop->fds[0])) {
    }
    /* What was accepted has come to its end by then, or will in a moment. */
    while (!is_stopping(loop) || loop->n_accepted > 0) {
        int n = epoll_wait(loop->epoll_fd, events, EVENTS, loop->poll ? 0 : -1);
        for (int i = 0; i < n; i++) {
            serve(loop, events[i].data.fd);
        }
    }
    return NULL;
}

/* One more pair: theirs into FD. */
static int add_pair(struct bare_loop *loop, int type, int *fd)
{
    int ends[2];
    int r;

    if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) < 0) {
        return -errno;
    }
    make_room(loop, type, ends[0]);
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

/* Returns 0 or a negative errno; to be undone with bare_loop_stop() in any case. */
static int loop_init(struct bare_loop *loop, size_t n, size_t size, bool poll)
{
    *loop = (struct bare_loop){
        .epoll_fd = epoll_create1(EPOLL_CLOEXEC),
        .stop_fd = eventfd(0, EFD_CLOEXEC),
        .listen_fd = -1,
        .fds = calloc(n, sizeof(int)),
        .size = size > BUFFER_MIN ? size : BUFFER_MIN,
        .poll = poll,
    };
    if (loop->epoll_fd < 0 || loop->stop_fd < 0) {
        return -errno;
    }
    loop->buffer = malloc(loop->size);
    if (!loop->fds || !loop->buffer) {
        return -ENOMEM;
    }
    return watch(loop, loop->stop_fd);
}

static int loop_start(struct bare_loop *loop)
{
    int r = bench_cpu_start(&loop->thread, false, loop_run, loop);

    loop->running = r == 0;
    return r;
}

int bare_loop_start(struct bare_loop *loop, int type, size_t n, size_t size, bool poll, int *fds)
{
    int r = loop_init(loop, n, size, poll);
    size_t i = 0;

    for (; i < n && r == 0; i += r == 0) {
        r = add_pair(loop, type, &fds[i]);
    }
    if (r == 0) {
        r = loop_start(loop);
    }
    if (r < 0) {
        while (i-- > 0) {
            fd_close(&fds[i]);
        }
        bare_loop_stop(loop);
    }
    return r;
}

/* A socket with a name that the kernel chooses, into the loop's address. */
static int listen_anywhere(struct bare_loop *loop, int type)
{
    struct target *target = &loop->address;
    struct sockaddr *address = (struct sockaddr *)&target->address;

    loop->listen_fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    target->text = "(bare loop)";
    target->family = address->sa_family = AF_UNIX;
    target->type = type;
    target->size = sizeof(target->address);
    if (loop->listen_fd < 0 || bind(loop->listen_fd, address, sizeof(sa_family_t)) < 0 ||
        listen(loop->listen_fd, SOMAXCONN) < 0 ||
        getsockname(loop->listen_fd, address, &target->size) < 0) {
        return -errno;
    }
    return watch(loop, loop->listen_fd);
}

int bare_loop_listen(struct bare_loop *loop, int type, size_t size, bool poll)
{
    int r = loop_init(loop, 1, size, poll);

    if (r == 0) {
        r = listen_anywhere(loop, type);
    }
    if (r == 0) {
        r = loop_start(loop);
    }
    if (r < 0) {
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
    fd_close(&loop->listen_fd);
    free(loop->fds);
    free(loop->buffer);
    *loop = (struct bare_loop){.epoll_fd = -1, .stop_fd = -1, .listen_fd = -1};
}
