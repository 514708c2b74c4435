// SPDX-License-Identifier: MIT
#pragma once

/*
 * What a benchmark is asked for, and what it has found: between the engine that measures
 * (bench_engine), the words and tables (bench_report), and the pictures (bench_picture).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "histogram.h"
#include "output.h"
#include "target.h"

/* One point that is measured at every socket. */
struct bench_point {
    size_t size;          /* bytes a message */
    unsigned connections; /* or sockets of one's own, on datagrams */
    unsigned window;      /* messages in flight on each */
    double rate;          /* messages a second of all together; 0: as fast as they come back */
    bool connect;         /* each message on a new connection, CONNECTIONS of them at a time */
};

/* One round: the sockets take turns, so the same round of each fell into the same time. */
struct bench_round {
    double per_second; /* messages that came back within the round, by its length */
    uint64_t p50;      /* nanoseconds */
    uint64_t p99;
    uint64_t p999;
};

/* What was found at one socket in one point; several rounds together. */
struct bench_result {
    const struct target *target; /* NULL: the bare loop, a socketpair that echoes by itself */
    struct bench_point point;
    struct histogram *latency; /* nanoseconds, from sending (or from when it should have been sent,
                                  with a rate) to having received the whole echo */
    uint64_t messages;     /* in LATENCY: all that were sent (or due, with a rate) in the rounds */
    uint64_t echoed;       /* came back and were right, those of the warm-ups included */
    uint64_t unsent;       /* were due by the rate, and could not be sent before the round's end */
    double seconds;        /* of all rounds */
    double per_second;     /* messages a second: the median of the rounds */
    double per_second_min; /* and the slowest and fastest of them */
    double per_second_max;
    struct bench_round *each;
    unsigned rounds; /* in EACH; 0: not measured */
    char error[256]; /* empty, or why it failed: which message, which byte */
};

/* Everything of one run: RESULTS has n_targets for each of n_points, point by point, and in each
 * the targets in the order in which they were given, the bare loop last. */
struct bench_run {
    const struct target *targets;
    size_t n_targets; /* the bare loop not counted */
    const struct bench_point *points;
    size_t n_points;
    struct bench_result *results; /* [n_points][n_targets + 1] */
    bool interrupted;             /* by Ctrl-C: with what there was until then */
};

static inline const struct bench_result *bench_result_at(const struct bench_run *run, size_t point,
                                                         size_t target)
{
    return &run->results[point * (run->n_targets + 1) + target];
}

/* Messages a second of RESULT by those of FIRST, the median of the rounds; 0 if there is none. */
double bench_ratio(const struct bench_result *result, const struct bench_result *first);

/* The name of a result's socket, for people. */
static inline const char *bench_result_name(const struct bench_result *result)
{
    return result->target ? result->target->text : "(bare loop)";
}

/* bench_report: the table, and bench_chart: the latencies of the last point drawn in characters. */
void bench_report(const struct bench_run *run, const struct terminal *terminal);
void bench_chart(const struct bench_run *run, const struct terminal *terminal);

/* bench_json: the same facts for programs. */
json_t *bench_report_json(const struct bench_run *run);

/* bench_picture: a picture for a report, self-contained. Return 0 or a negative errno. */
int bench_write_svg(const struct bench_run *run, FILE *file);
int bench_write_html(const struct bench_run *run, FILE *file);
