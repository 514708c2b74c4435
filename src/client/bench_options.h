// SPDX-License-Identifier: MIT
#pragma once

/* The command line of uds-echo bench. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench.h"
#include "client.h"

enum { BENCH_LIST_MAX = 16 };

struct bench_list {
    uint64_t values[BENCH_LIST_MAX];
    size_t n;
};

struct bench_options {
    struct common common;
    struct bench_list sizes;
    struct bench_list connections;
    struct bench_list windows;
    uint64_t duration_usec;
    uint64_t rounds;
    uint64_t threads;
    uint64_t rate; /* 0: none */
    bool busy_poll;
    bool connect;    /* anew for each message */
    const char *svg; /* a file's path, or NULL */
    const char *html;
};

/*
 * Reads the options; OPTIND is then the first socket's. Returns -1 to go on, or an exit status
 * (one line has said what is wrong, or help was shown).
 */
int bench_options_take(struct bench_options *options, int argc, char **argv);

/* The cross product of sizes, connections and windows into POINTS. Returns how many these are. */
enum { BENCH_POINTS_MAX = BENCH_LIST_MAX * BENCH_LIST_MAX * BENCH_LIST_MAX };
size_t bench_options_points(const struct bench_options *options, struct bench_point *points);
