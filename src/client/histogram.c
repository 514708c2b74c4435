// SPDX-License-Identifier: MIT
#include "histogram.h"

#include <math.h>
#include <string.h>

void histogram_init(struct histogram *histogram)
{
    memset(histogram, 0, sizeof(*histogram));
    histogram->min = UINT64_MAX;
}

/* Values below HISTOGRAM_STEPS have a bucket each. */
static size_t bucket_of(uint64_t value)
{
    unsigned top = value < HISTOGRAM_STEPS ? 0 : 63 - (unsigned)__builtin_clzll(value);
    unsigned shift = top < HISTOGRAM_STEPS_LOG2 ? 0 : top - HISTOGRAM_STEPS_LOG2;

    return shift == 0 && value < HISTOGRAM_STEPS
               ? (size_t)value
               : ((size_t)shift + 1) * HISTOGRAM_STEPS + (size_t)(value >> shift) - HISTOGRAM_STEPS;
}

static uint64_t bucket_first(size_t bucket)
{
    size_t power = bucket / HISTOGRAM_STEPS;

    return power == 0 ? bucket
                      : (uint64_t)(HISTOGRAM_STEPS + bucket % HISTOGRAM_STEPS) << (power - 1);
}

static uint64_t bucket_last(size_t bucket)
{
    return bucket + 1 < HISTOGRAM_BUCKETS ? bucket_first(bucket + 1) - 1 : UINT64_MAX;
}

void histogram_record(struct histogram *histogram, uint64_t value)
{
    histogram->counts[bucket_of(value)]++;
    histogram->count++;
    histogram->min = value < histogram->min ? value : histogram->min;
    histogram->max = value > histogram->max ? value : histogram->max;
    histogram->sum += (double)value;
    histogram->sum_of_squares += (double)value * (double)value;
}

void histogram_add(struct histogram *to, const struct histogram *from)
{
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        to->counts[i] += from->counts[i];
    }
    to->count += from->count;
    to->min = from->min < to->min ? from->min : to->min;
    to->max = from->max > to->max ? from->max : to->max;
    to->sum += from->sum;
    to->sum_of_squares += from->sum_of_squares;
}

uint64_t histogram_percentile(const struct histogram *histogram, double percent)
{
    uint64_t wanted = (uint64_t)ceil((double)histogram->count * percent / 100);
    uint64_t seen = 0;

    if (histogram->count == 0) {
        return 0;
    }
    wanted = wanted < 1 ? 1 : wanted > histogram->count ? histogram->count : wanted;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->counts[i];
        if (seen >= wanted) {
            uint64_t last = bucket_last(i);
            last = last > histogram->max ? histogram->max : last;
            return last < histogram->min ? histogram->min : last;
        }
    }
    return histogram->max;
}

double histogram_mean(const struct histogram *histogram)
{
    return histogram->count > 0 ? histogram->sum / (double)histogram->count : 0;
}

double histogram_deviation(const struct histogram *histogram)
{
    double mean = histogram_mean(histogram);
    double variance = histogram->count > 0
                          ? histogram->sum_of_squares / (double)histogram->count - mean * mean
                          : 0;

    return variance > 0 ? sqrt(variance) : 0;
}

uint64_t histogram_count_between(const struct histogram *histogram, uint64_t from, uint64_t to)
{
    uint64_t count = 0;

    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t first = bucket_first(i);
        if (first >= from && first < to) {
            count += histogram->counts[i];
        }
    }
    return count;
}
