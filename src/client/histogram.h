// SPDX-License-Identifier: MIT
#pragma once

/*
 * A histogram of times with a bounded relative error: each power of two is divided into
 * HISTOGRAM_STEPS buckets of the same width, so that a value read from it is at most
 * 1/HISTOGRAM_STEPS (0.8 %) above the value that was recorded. It never grows.
 */

#include <stddef.h>
#include <stdint.h>

enum {
    HISTOGRAM_STEPS_LOG2 = 7,
    HISTOGRAM_STEPS = 1 << HISTOGRAM_STEPS_LOG2,
    HISTOGRAM_POWERS = 64 - HISTOGRAM_STEPS_LOG2 + 1,
    HISTOGRAM_BUCKETS = HISTOGRAM_POWERS * HISTOGRAM_STEPS,
};

struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t count;
    uint64_t min; /* exact, as are the others here; UINT64_MAX if it is empty */
    uint64_t max;
    double sum;
    double sum_of_squares;
};

void histogram_init(struct histogram *histogram);
void histogram_record(struct histogram *histogram, uint64_t value);
void histogram_add(struct histogram *to, const struct histogram *from);

/* The value that PERCENT (0 to 100) of the recorded ones do not exceed; 0 if it is empty. */
uint64_t histogram_percentile(const struct histogram *histogram, double percent);
double histogram_mean(const struct histogram *histogram);
double histogram_deviation(const struct histogram *histogram);

/* How many recorded values are in buckets that lie within [FROM, TO). */
uint64_t histogram_count_between(const struct histogram *histogram, uint64_t from, uint64_t to);
