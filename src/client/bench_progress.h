// SPDX-License-Identifier: MIT
#pragma once

/*
 * A bar on standard error, if that is a terminal, with the time that is left. A run consists of
 * steps that take about as long as each other.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "output.h"

struct progress {
    bool shown;
    bool utf8;
    unsigned width;
    size_t steps;
    size_t done;
    uint64_t step_nsec;  /* how long one should take */
    uint64_t begun;      /* the first one */
    uint64_t step_begun; /* the one that runs */
};

void progress_init(struct progress *progress, const struct terminal *terminal, size_t steps,
                   uint64_t step_usec);

/* Draws it anew. CONTEXT is the progress. */
void progress_tick(void *context);

/* One step is done. */
void progress_step(struct progress *progress);

/* Takes the bar off the terminal. */
void progress_clear(const struct progress *progress);
