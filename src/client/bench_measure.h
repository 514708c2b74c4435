// SPDX-License-Identifier: MIT
#pragma once

/*
 * A whole run: every point at every socket and at the bare loop, in rounds, one socket after the
 * other in each of them, so that a machine that drifts is fair to all.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench.h"
#include "output.h"

struct bench_plan {
    struct target *targets; /* their types are filled in */
    size_t n_targets;
    const struct bench_point *points;
    size_t n_points;
    uint64_t duration_usec; /* of all rounds of a socket in a point */
    uint64_t timeout_usec;
    unsigned rounds;
    unsigned threads;
    bool busy_poll;
    const atomic_bool *stop; /* ends it with what there is */
};

/*
 * Returns STATUS_OK, or the STATUS_… of the first failure, which ends the run: its result has the
 * reason. RUN refers to the plan's targets and points, and is to be freed in any case.
 */
int bench_measure(const struct bench_plan *plan, const struct terminal *terminal,
                  struct bench_run *run);
void bench_run_deinit(struct bench_run *run);
