// SPDX-License-Identifier: MIT
#include "wait.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <time.h>

#include "timespan.h"

uint64_t wait_now_nsec(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t wait_now(void)
{
    return wait_now_nsec() / 1000;
}

uint64_t wait_deadline(uint64_t timeout_usec)
{
    uint64_t deadline;

    return __builtin_add_overflow(wait_now(), timeout_usec, &deadline) ? TIMESPAN_INFINITY
                                                                       : deadline;
}

int wait_for(int fd, short events, uint64_t deadline)
{
    struct pollfd event = {.fd = fd, .events = events};
    uint64_t now = wait_now();
    uint64_t msec;
    int n;

    if (now >= deadline) {
        return -ETIMEDOUT; /* also where there is always something to do */
    }
    msec = (deadline - now + 999) / 1000;
    n = poll(&event, 1, deadline == TIMESPAN_INFINITY || msec > INT_MAX ? -1 : (int)msec);
    return n > 0 ? 0 : n == 0 ? -ETIMEDOUT : -errno;
}
