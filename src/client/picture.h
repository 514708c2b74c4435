// SPDX-License-Identifier: MIT
#pragma once

/*
 * The parts of a picture of a benchmark: bench_picture lays them out, picture_panel draws one. All
 * lengths are in units of the picture, from its upper left corner.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "bench.h"
#include "picture_scale.h"

enum {
    PICTURE_COLOURS = 7, /* sockets beyond them get these again */
    PICTURE_NINES_MAX = 4,
};

/* A rectangle between two axes. */
struct panel {
    FILE *file;
    const struct bench_run *run;
    double left;
    double top;
    double width;
    double height;
    struct scale y;
};

/* The name of the class (in CSS) of a target, and of the bare loop, which comes behind all. */
const char *picture_class(const struct bench_run *run, size_t target, char text[static 8]);

/* Whether something was measured. */
bool picture_is_measured(const struct bench_result *result);

/* How far a curve of LATENCY is drawn (scale_nines()): as far as ten messages are beyond it. */
double picture_last_nine(const struct histogram *latency);

/* Percentiles of the latency of each target at POINT. PANEL's scale is set. */
void picture_draw_latency(const struct panel *panel, size_t point);

/* The throughput of each target, with the bare loop's as a line, at N_POINTS POINTS, which differ
 * in size. PANEL's scale is set. */
void picture_draw_throughput(const struct panel *panel, const size_t *points, size_t n_points);

/* A mark that tells targets apart without their colours, with its centre at X, Y. */
void picture_draw_mark(FILE *file, const struct bench_run *run, size_t target, double x, double y);

/* Writes the picture as an element svg, without what stands before it in a file of its own. */
void picture_draw(const struct bench_run *run, FILE *file);
