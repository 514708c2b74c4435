// SPDX-License-Identifier: MIT
#include "loop.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

#include "config.h"
#include "util.h"

enum { EVENTS_PER_TURN = 128, TRIM_AFTER_USEC = 10 * 1000 };

/*
 * The largest SO_SNDBUF that can be set: net.core.wmem_max, which the kernel doubles (socket(7)).
 * Asked of a socket, because /proc/sys is out of a sandboxed service's sight.
 */
static size_t find_send_buffer_max(void)
{
    CLEANUP(fd_close) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const int all = INT_MAX / 2;
    int got = 0;
    socklen_t size = sizeof(got);

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &all, sizeof(all)) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &got, &size) < 0 || got < 0) {
        return 0;
    }
    return (size_t)got;
}

/*
 * The size of the largest message that a client can send here, which its own SO_SNDBUF bounds; some
 * more, so that messages are served even if an administrator raises the limit a little afterwards.
 */
static size_t message_max(const struct loop *loop)
{
    enum { AT_LEAST = 16 * 1024 * 1024 };

    return loop->send_buffer_max > AT_LEAST ? loop->send_buffer_max : AT_LEAST;
}

int loop_init(struct loop *loop, struct common *common, size_t index)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    *loop = (struct loop){
        .epoll_fd = -1,
        .common = common,
        .index = index,
        .farewells_max = farewells_share(common->n),
    };
    loop->send_buffer_max = find_send_buffer_max();
    loop->slot_size = (message_max(loop) + page - 1) / page * page;
    loop->slots = mmap(NULL, LOOP_SLOTS * loop->slot_size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (loop->slots == MAP_FAILED) {
        loop->slots = NULL;
        return -errno;
    }
    /* A huge page for each slot would be resident for every small message. */
    (void)madvise(loop->slots, LOOP_SLOTS * loop->slot_size, MADV_NOHUGEPAGE);
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    return loop->epoll_fd < 0 ? -errno : 0;
}

void loop_deinit(struct loop *loop)
{
    fd_close(&loop->epoll_fd);
    if (loop->slots) {
        munmap(loop->slots, LOOP_SLOTS * loop->slot_size);
        loop->slots = NULL;
    }
}

static int control(struct loop *loop, int operation, struct watch *watch, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};

    return epoll_ctl(loop->epoll_fd, operation, watch->fd, &event) < 0 ? -errno : 0;
}

int loop_watch(struct loop *loop, struct watch *watch, uint32_t events)
{
    return control(loop, EPOLL_CTL_ADD, watch, events);
}

int loop_rewatch(struct loop *loop, struct watch *watch, uint32_t events)
{
    return control(loop, EPOLL_CTL_MOD, watch, events);
}

void loop_unwatch(struct loop *loop, struct watch *watch)
{
    (void)control(loop, EPOLL_CTL_DEL, watch, 0);
}

/* Gives the pages of large messages back to the kernel. */
static void loop_trim(struct loop *loop)
{
    (void)madvise(loop->slots + LOOP_SLOT_KEPT, LOOP_SLOTS * loop->slot_size - LOOP_SLOT_KEPT,
                  MADV_DONTNEED);
    loop->slots_grown = false;
}

/* epoll_wait(2) knows milliseconds; Linux 5.11 has a finer call, which a sandbox may refuse. */
static int wait_some_time(const struct loop *loop, struct epoll_event *events, uint64_t usec)
{
    uint64_t msec = usec / 1000 + (usec % 1000 != 0);

#if HAVE_EPOLL_PWAIT2
    if (usec > 0 && usec < 1000000) {
        struct timespec timeout = {.tv_nsec = (long)usec * 1000};
        int n = epoll_pwait2(loop->epoll_fd, events, EVENTS_PER_TURN, &timeout, NULL);
        if (n >= 0 || (errno != ENOSYS && errno != EPERM)) {
            return n;
        }
    }
#endif
    return epoll_wait(loop->epoll_fd, events, EVENTS_PER_TURN,
                      usec == UINT64_MAX ? -1 : (int)(msec > INT_MAX ? INT_MAX : msec));
}

static int wait_for_events(const struct loop *loop, struct epoll_event *events, uint64_t usec)
{
    struct member *member = loop_member(loop);
    int n;

    /* For those who have something to give away. */
    atomic_store_explicit(&member->waits, true, memory_order_relaxed);
    n = wait_some_time(loop, events, usec);
    atomic_store_explicit(&member->waits, false, memory_order_relaxed);
    return n;
}

int loop_turn(struct loop *loop, uint64_t timeout_usec)
{
    struct epoll_event events[EVENTS_PER_TURN];
    int n;

    /* Pages go back only after a while with nothing to do: large messages in a row keep theirs. */
    if (loop->slots_grown && timeout_usec > TRIM_AFTER_USEC) {
        n = wait_for_events(loop, events, TRIM_AFTER_USEC);
        if (n == 0) {
            loop_trim(loop);
            n = wait_for_events(loop, events,
                                timeout_usec == UINT64_MAX ? timeout_usec
                                                           : timeout_usec - TRIM_AFTER_USEC);
        }
    } else {
        n = wait_for_events(loop, events, timeout_usec);
    }
    if (n < 0) {
        assert(errno == EINTR);
        return 1; /* by no means the end of a quiet time */
    }
    for (int i = 0; i < n; i++) {
        struct watch *watch = events[i].data.ptr;
        watch->ready(loop, watch, events[i].events);
    }
    return n;
}

void loop_close(struct loop *loop, int fd)
{
    close(fd);
    loop->descriptor_freed = true;
    common_freed(loop->common, loop->index);
}

uint64_t loop_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}
