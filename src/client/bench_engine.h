// SPDX-License-Identifier: MIT
#pragma once

/*
 * One round at one socket: opens the connections, takes a greeting off each, starts the threads
 * (bench_lane), and gathers what they have found. Every reply is checked byte by byte.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench.h"

struct engine_options {
    struct bench_point point;
    uint64_t duration_usec; /* of the round, its warm-up not counted */
    uint64_t timeout_usec;
    unsigned threads;
    bool busy_poll;
    int bare_type; /* SOCK_… of the bare loop */
    const atomic_bool *stop;
    void (*tick)(void *context); /* if there is one: called a few times a second */
    void *context;
};

struct engine_found {
    struct histogram latency;
    uint64_t echoed;
    uint64_t within; /* messages that came back within the round */
    uint64_t unsent;
    double seconds;   /* of the round, shorter if it was stopped */
    bool interrupted; /* by STOP */
    char error[256];
};

/* How long the warm-up before a round of DURATION_USEC takes. */
uint64_t engine_warm_up_usec(uint64_t duration_usec);

/*
 * Runs a round at TARGET, whose type is found out if it is not known, or with NULL at the bare
 * loop. Returns STATUS_OK, or another STATUS_… with the reason in FOUND.
 */
int engine_run(struct target *target, const struct engine_options *options,
               struct engine_found *found);
