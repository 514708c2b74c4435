// SPDX-License-Identifier: MIT
#include "loop.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

#include "config.h"
#include "dispatch.h"
#include "util.h"

enum {
    TRIM_AFTER_USEC = 10 * 1000,
    LOOKS_PER_ROUND = 8, /* at the hot socket, between two looks at all of them */
    BYTES_PER_ROUND = 16 * 1024,
    PREEMPTED_NSEC = 100 * 1000, /* a round takes some microseconds */
    REFUSED_NSEC = 10 * 1000 * 1000,
    SEND_BUFFER_USUAL = 212992, /* net.core.wmem_default, if it cannot be asked for */
};

static size_t get_send_buffer(int fd)
{
    int got = 0;
    socklen_t size = sizeof(got);

    return getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &got, &size) < 0 || got < 0 ? 0 : (size_t)got;
}

/*
 * SO_SNDBUF of a Unix socket: what it is by itself, and the largest that can be set, which is
 * net.core.wmem_max, which the kernel doubles (socket(7)). Asked of a socket, because /proc/sys is
 * out of a sandboxed service's sight.
 */
static void find_send_buffers(struct loop *loop)
{
    CLEANUP(fd_close) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const int all = INT_MAX / 2;

    loop->send_buffer = SEND_BUFFER_USUAL;
    if (fd >= 0) {
        loop->send_buffer = get_send_buffer(fd);
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &all, sizeof(all));
        loop->send_buffer_max = get_send_buffer(fd);
    }
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

static int open_pipe(struct loop *loop)
{
    return pipe2(loop->pipe, O_CLOEXEC | O_NONBLOCK);
}

static void close_pipe(struct loop *loop)
{
    fd_close(&loop->pipe[0]);
    fd_close(&loop->pipe[1]);
}

void loop_renew_pipe(struct loop *loop)
{
    close_pipe(loop);
    (void)open_pipe(loop);
}

int loop_init(struct loop *loop, struct common *common, size_t index,
              struct busy_poll_option busy_poll)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    *loop = (struct loop){
        .epoll_fd = -1,
        .common = common,
        .index = index,
        .farewells_max = farewells_share(common->n),
        .pipe = {-1, -1},
        .busy_poll = busy_poll_new(busy_poll),
    };
    loop->first_end = &loop->first;
    turns_init(&loop->turns);
    find_send_buffers(loop);
    loop->slot_size = (message_max(loop) + page - 1) / page * page;
    loop->slots = mmap(NULL, LOOP_SLOTS * loop->slot_size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (loop->slots == MAP_FAILED) {
        loop->slots = NULL;
        return -errno;
    }
    /* A huge page for each slot would be resident for every small message. */
    (void)madvise(loop->slots, LOOP_SLOTS * loop->slot_size, MADV_NOHUGEPAGE);
    if (open_pipe(loop) < 0) {
        return -errno;
    }
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    return loop->epoll_fd < 0 ? -errno : 0;
}

void loop_deinit(struct loop *loop)
{
    fd_close(&loop->epoll_fd);
    close_pipe(loop);
    if (loop->slots) {
        munmap(loop->slots, LOOP_SLOTS * loop->slot_size);
        loop->slots = NULL;
    }
}

int loop_control(struct loop *loop, int operation, struct watch *watch, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};

    return epoll_ctl(loop->epoll_fd, operation, watch->fd, &event) < 0 ? -errno : 0;
}

int loop_watch(struct loop *loop, struct watch *watch, uint32_t events)
{
    int r = loop_control(loop, EPOLL_CTL_ADD, watch, events);

    watch->interest = events;
    if (r == 0 && watch->goes_first) {
        watch->next = NULL;
        watch->link = loop->first_end;
        *watch->link = watch;
        loop->first_end = &watch->next;
    }
    return r;
}

int loop_rewatch(struct loop *loop, struct watch *watch, uint32_t events)
{
    watch->interest = events;
    return watch_is_postponed(watch) ? 0 : loop_control(loop, EPOLL_CTL_MOD, watch, events);
}

void loop_unwatch(struct loop *loop, struct watch *watch)
{
    if (loop->hot == watch) {
        loop->hot = NULL;
    }
    if (watch_is_postponed(watch)) {
        turns_forget(&loop->turns, watch);
    } else if (watch->link) {
        *watch->link = watch->next;
        if (watch->next) {
            watch->next->link = watch->link;
        } else {
            loop->first_end = watch->link;
        }
        watch->link = NULL;
    }
    (void)loop_control(loop, EPOLL_CTL_DEL, watch, 0);
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
    int room = (int)loop->turns.room;
    uint64_t msec = usec / 1000 + (usec % 1000 != 0);

#if HAVE_EPOLL_PWAIT2
    if (usec > 0 && usec < 1000000) {
        struct timespec timeout = {.tv_nsec = (long)usec * 1000};
        int n = epoll_pwait2(loop->epoll_fd, events, room, &timeout, NULL);
        if (n >= 0 || (errno != ENOSYS && errno != EPERM)) {
            return n;
        }
    }
#endif
    return epoll_wait(loop->epoll_fd, events, room,
                      usec == UINT64_MAX ? -1 : (int)(msec > INT_MAX ? INT_MAX : msec));
}

static int wait_for_events(const struct loop *loop, struct epoll_event *events, uint64_t usec)
{
    struct member *member = loop_member(loop);
    int n;

    if (usec == 0) {
        return wait_some_time(loop, events, usec);
    }
    /* For those who have something to give away. */
    atomic_store_explicit(&member->waits, true, memory_order_relaxed);
    n = wait_some_time(loop, events, usec);
    atomic_store_explicit(&member->waits, false, memory_order_relaxed);
    return n;
}

/* Waits for events asleep. Returns as epoll_wait(2), but for a signal. */
static int sleep_for_events(struct loop *loop, struct epoll_event *events, uint64_t timeout_usec)
{
    int n = 0;

    /* Pages go back only after a while with nothing to do: large messages in a row keep theirs. */
    if (loop->slots_grown && timeout_usec > TRIM_AFTER_USEC) {
        n = wait_for_events(loop, events, TRIM_AFTER_USEC);
        if (n != 0) {
            return n;
        }
        loop_trim(loop);
        timeout_usec -= timeout_usec == UINT64_MAX ? 0 : TRIM_AFTER_USEC;
    }
    return wait_for_events(loop, events, timeout_usec);
}

/* Looks at the hot socket alone, for a few times. Returns how often there was something. */
static int look_at_hot(struct loop *loop)
{
    uint64_t enough = counter_get(&loop->counters, COUNTER_BYTES) + BYTES_PER_ROUND;
    int served = 0;

    for (int i = 0;
         i < LOOKS_PER_ROUND && loop->hot && counter_get(&loop->counters, COUNTER_BYTES) < enough;
         i++) {
        served += loop->hot->look(loop, loop->hot);
    }
    return served;
}

/*
 * Looks for what comes next, at all sockets again and again, and between that at the hot one, if
 * one alone is busy, which is the shorter way. Returns how many events there were, 0 if nothing has
 * come in time.
 */
static int look_for_events(struct loop *loop, struct epoll_event *events, uint64_t timeout_usec)
{
    uint64_t span = loop->busy_poll.span_nsec / 1000 < timeout_usec ? loop->busy_poll.span_nsec
                                                                    : timeout_usec * 1000;
    uint64_t begun = loop_now_nsec();
    uint64_t until = begun + span;

    for (;;) {
        int served = look_at_hot(loop);
        int n = wait_for_events(loop, events, 0);
        uint64_t now;

        if (n > 0) {
            served += loop_dispatch(loop, events, n);
        }
        if (served > 0) {
            busy_poll_hit(&loop->busy_poll);
            return served;
        }
        now = loop_now_nsec();
        if (now >= until || now - begun > PREEMPTED_NSEC) {
            busy_poll_missed(&loop->busy_poll);
            return 0;
        }
        begun = now;
    }
}

/* A wait failed: by a signal, or because the kernel or a sandbox would not have it now, which must
 * not make a loop of many turns a second. */
static void wait_was_refused(void)
{
    const struct timespec pause = {.tv_nsec = REFUSED_NSEC};

    if (errno != EINTR) {
        (void)nanosleep(&pause, NULL);
    }
}

int loop_turn(struct loop *loop, uint64_t timeout_usec)
{
    struct epoll_event events[TURNS_ROOM];
    uint64_t begun;
    int n;

    if (loop->turns.first) {
        timeout_usec = 0;
    }
    begun = loop->quiet && timeout_usec > 0 ? loop_now_nsec() : 0;
    if (begun > 0 && busy_poll_is_worth(&loop->busy_poll)) {
        uint64_t looked = begun;
        n = look_for_events(loop, events, timeout_usec);
        if (n > 0) {
            return n;
        }
        begun = loop_now_nsec();
        if (timeout_usec != UINT64_MAX) {
            looked = (begun - looked) / 1000;
            timeout_usec -= looked < timeout_usec ? looked : timeout_usec;
        }
    }
    n = sleep_for_events(loop, events, timeout_usec);
    if (n < 0) {
        wait_was_refused();
        return 1; /* by no means the end of a quiet time */
    }
    if (begun > 0) {
        busy_poll_slept(&loop->busy_poll, loop_now_nsec() - begun);
    }
    return loop_dispatch(loop, events, n);
}

void loop_close(struct loop *loop, int fd)
{
    close(fd);
    loop->descriptor_freed = true;
    common_freed(loop->common, loop->index);
}

uint64_t loop_now_nsec(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t loop_now(void)
{
    return loop_now_nsec() / 1000;
}
