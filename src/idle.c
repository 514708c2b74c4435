// SPDX-License-Identifier: MIT
#include "idle.h"

#include <errno.h>
#include <linux/sockios.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>

#include "connection.h"
#include "util.h"

enum {
    STEPS = 8,
    STEP_USEC_MIN = 1000,
};

static int set_timer(const struct idle *idle, uint64_t usec)
{
    const struct timespec step = {
        .tv_sec = (time_t)(usec / 1000000),
        .tv_nsec = (long)(usec % 1000000) * 1000,
    };
    const struct itimerspec timer = {.it_interval = step, .it_value = step};

    return timerfd_settime(idle->timer.fd, 0, &timer, NULL) < 0 ? -errno : 0;
}

/* Nothing is closed here: this turn may still hold events of any connection. */
static void timer_ready(struct loop *loop, struct watch *watch, uint32_t events)
{
    struct idle *idle = CONTAINER_OF(watch, struct idle, timer);
    uint64_t expirations;

    (void)events;
    loop->own_event = true;
    (void)!read(watch->fd, &expirations, sizeof(expirations));
    idle->due = true;
}

int idle_init(struct idle *idle, struct loop *loop, uint64_t timeout_usec)
{
    *idle = (struct idle){.timer = {.ready = timer_ready, .fd = -1}};
    if (timeout_usec == UINT64_MAX) {
        return 0;
    }
    idle->step_usec = timeout_usec / STEPS > STEP_USEC_MIN ? timeout_usec / STEPS : STEP_USEC_MIN;
    idle->timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    return idle->timer.fd < 0 ? -errno : loop_watch(loop, &idle->timer, EPOLLIN);
}

void idle_deinit(struct idle *idle)
{
    fd_close(&idle->timer.fd);
}

/*
 * Whether a client from whom something is kept has read since the last look. The kernel says that
 * there is room only when most of what it holds has been read, which takes a slow reader long.
 */
static bool has_read(struct connection *connection)
{
    int unread = 0;
    uint32_t before = connection->unread;

    if (!connection_waits(connection) || ioctl(connection->watch.fd, SIOCOUTQ, &unread) < 0) {
        return false;
    }
    connection->unread = (uint32_t)unread;
    return connection->unread < before;
}

static void close_idle(struct loop *loop)
{
    struct connection *next;

    loop->tick++;
    for (struct connection *connection = loop->connections; connection; connection = next) {
        next = connection->next;
        if (has_read(connection) || watch_is_postponed(&connection->watch)) {
            connection->used = loop->tick;
        }
        /* One more, because the first step had begun before it was used. */
        if (loop->tick - connection->used > STEPS) {
            counter_add(&loop->counters, COUNTER_IDLE, 1);
            connection_free(loop, connection);
        }
    }
}

void idle_tend(struct idle *idle, struct loop *loop)
{
    if (idle->step_usec == 0) {
        return;
    }
    if (loop->connections && !idle->runs) {
        idle->runs = set_timer(idle, idle->step_usec) == 0;
    }
    if (idle->due) {
        idle->due = false;
        close_idle(loop);
        /* Not as soon as the last has gone: the next may come in a moment. */
        if (!loop->connections) {
            idle->runs = set_timer(idle, 0) < 0;
        }
    }
}

uint64_t idle_get(const struct idle *idle, const struct loop *loop,
                  const struct connection *connection)
{
    return (loop->tick - connection->used) * idle->step_usec;
}

void idle_set(const struct idle *idle, const struct loop *loop, struct connection *connection,
              uint64_t usec)
{
    uint64_t steps = idle->step_usec > 0 ? usec / idle->step_usec : 0;

    connection->used = loop->tick - (uint32_t)(steps < STEPS ? steps : STEPS);
}
