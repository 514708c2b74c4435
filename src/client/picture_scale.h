// SPDX-License-Identifier: MIT
#pragma once

/* Axes of a picture: from values to where they are drawn, and which values are labelled. */

#include <stdbool.h>
#include <stddef.h>

enum { SCALE_TICKS_MAX = 24 };

struct scale {
    double from; /* values at START and at END */
    double to;
    double start; /* in units of the picture */
    double end;
    bool logarithmic;
    double ticks[SCALE_TICKS_MAX];
    size_t n_ticks;
};

/* A logarithmic scale for values from FROM to TO (above 0), widened to round ones. */
void scale_init_logarithmic(struct scale *scale, double from, double to);

/* A linear scale for values from 0 to TO, widened to a round one. */
void scale_init_linear(struct scale *scale, double to);

/* Where VALUE is; what lies outside is moved to the edge. */
double scale_at(const struct scale *scale, double value);

/*
 * How far to the right a percentile is, so that each further nine takes the same room: 0 for 0, 1
 * for 90, 2 for 99, 4 for 99.99. And back.
 */
double scale_nines(double percent);
double scale_percent(double nines);
