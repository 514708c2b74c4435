// SPDX-License-Identifier: MIT

/* uds-echo bench: latency and throughput of sockets, side by side. See uds-echo(1). */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench.h"
#include "bench_measure.h"
#include "bench_options.h"
#include "client.h"
#include "interrupt.h"
#include "output.h"
#include "util.h"

/* Ctrl-C ends the run and not the program, once; and there are as many descriptors as may be. */
static void prepare_process(void)
{
    struct rlimit limit;

    interrupt_catch(SIGINT);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* A picture that was asked for. */
struct picture {
    const char *path; /* or NULL */
    int (*write)(const struct bench_run *run, FILE *file);
    FILE *file;
};

/*
 * Opens a picture's file before the run, so that it is not in vain, and leaves what the file holds
 * until there is something better. Returns whether that worked, or no picture is wanted.
 */
static bool picture_open(struct picture *picture)
{
    picture->file = picture->path ? fopen(picture->path, "ae") : NULL;
    if (picture->path && !picture->file) {
        complain("%s: %s", picture->path, strerror(errno));
        return false;
    }
    return true;
}

static bool picture_write(struct picture *picture, const struct bench_run *run)
{
    int r;

    if (!picture->file) {
        return true;
    }
    (void)!ftruncate(fileno(picture->file), 0); /* it may be a pipe */
    r = picture->write(run, picture->file);
    if (fclose(picture->file) != 0 && r == 0) {
        r = -errno;
    }
    picture->file = NULL;
    if (r < 0) {
        complain("%s: %s", picture->path, strerror(-r));
    }
    return r == 0;
}

static void picture_close(struct picture *picture)
{
    if (picture->file) {
        (void)fclose(picture->file);
        picture->file = NULL;
    }
}

static void explain_failure(const struct bench_run *run)
{
    for (size_t i = 0; run->results && i < run->n_points * (run->n_targets + 1); i++) {
        const struct bench_result *result = &run->results[i];
        if (result->error[0] != '\0') {
            complain("%s: %s", bench_result_name(result), result->error);
            return;
        }
    }
    complain("%s", strerror(ENOMEM));
}

/* Runs the plan and shows what it has found. */
static int measure_and_show(const struct bench_plan *plan, bool json,
                            struct picture pictures[static 2])
{
    struct terminal terminal;
    struct bench_run run;
    int status;

    terminal_look(&terminal);
    status = bench_measure(plan, &terminal, &run);
    if (status != STATUS_OK) {
        explain_failure(&run);
    }
    if (json && run.results) {
        (void)output_json(bench_report_json(&run)); /* output_finish() complains */
    } else if (status == STATUS_OK) {
        bench_report(&run, &terminal);
        bench_chart(&run, &terminal);
    }
    for (size_t i = 0; i < 2 && status == STATUS_OK; i++) {
        status = picture_write(&pictures[i], &run) ? STATUS_OK : STATUS_WRONG;
    }
    bench_run_deinit(&run);
    return status;
}

static int take_targets(const struct common *common, int argc, char **argv, struct target *targets)
{
    int status = 0;

    if (argc == 0) {
        return take_target(common, "bench", NULL, targets);
    }
    for (int i = 0; i < argc && status == 0; i++) {
        status = take_target(common, "bench", argv[i], &targets[i]);
    }
    return status;
}

static int run_bench(const struct bench_options *options, struct target *targets, size_t n_targets,
                     struct bench_point *points)
{
    const struct bench_plan plan = {
        .targets = targets,
        .n_targets = n_targets,
        .points = points,
        .n_points = bench_options_points(options, points),
        .duration_usec = options->duration_usec,
        .timeout_usec = options->common.timeout_usec,
        .rounds = (unsigned)options->rounds,
        .threads = (unsigned)options->threads,
        .busy_poll = options->busy_poll,
        .stop = &interrupt_flag,
    };
    struct picture pictures[2] = {
        {.path = options->svg, .write = bench_write_svg},
        {.path = options->html, .write = bench_write_html},
    };
    int status = STATUS_USAGE;

    prepare_process();
    if (picture_open(&pictures[0]) && picture_open(&pictures[1])) {
        status = measure_and_show(&plan, options->common.json, pictures);
    }
    picture_close(&pictures[0]);
    picture_close(&pictures[1]);
    return status;
}

int cmd_bench(int argc, char **argv)
{
    struct bench_options options;
    int status = bench_options_take(&options, argc, argv);
    size_t n_targets = argc > optind ? (size_t)(argc - optind) : 1;
    CLEANUP(free_pointer) struct target *targets = NULL;
    CLEANUP(free_pointer) struct bench_point *points = NULL;

    if (status >= 0) {
        return status;
    }
    targets = calloc(n_targets, sizeof(*targets));
    points = calloc(BENCH_POINTS_MAX, sizeof(*points));
    if (!targets || !points) {
        complain("%s", strerror(ENOMEM));
        return STATUS_WRONG;
    }
    status = take_targets(&options.common, argc - optind, argv + optind, targets);
    return status != 0 ? status : run_bench(&options, targets, n_targets, points);
}
