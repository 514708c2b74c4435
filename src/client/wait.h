// SPDX-License-Identifier: MIT
#pragma once

/* Time, and waiting for one descriptor. */

#include <stdint.h>

/* CLOCK_MONOTONIC in microseconds, and in nanoseconds. */
uint64_t wait_now(void);
uint64_t wait_now_nsec(void);

/* The time that lies TIMEOUT_USEC from now; TIMESPAN_INFINITY stays what it is. */
uint64_t wait_deadline(uint64_t timeout_usec);

/*
 * Waits for EVENTS (poll(2)) on FD until DEADLINE. Returns 0, -ETIMEDOUT, or another negative
 * errno: -EINTR if a signal came.
 */
int wait_for(int fd, short events, uint64_t deadline);
