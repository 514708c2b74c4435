// SPDX-License-Identifier: MIT
#include "bench_measure.h"

#include <stdlib.h>
#include <string.h>

#include "bench_engine.h"
#include "bench_progress.h"
#include "client.h"
#include "util.h"

static int compare_doubles(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;

    return (left > right) - (left < right);
}

/* Of the N values, which are sorted. */
static double median(double *values, size_t n)
{
    qsort(values, n, sizeof(*values), compare_doubles);
    return n == 0 ? 0 : (values[(n - 1) / 2] + values[n / 2]) / 2;
}

double bench_ratio(const struct bench_result *result, const struct bench_result *first)
{
    unsigned n = result->rounds < first->rounds ? result->rounds : first->rounds;
    CLEANUP(free_pointer) double *ratios = calloc(n + 1, sizeof(*ratios));
    size_t used = 0;

    for (unsigned i = 0; ratios && i < n; i++) {
        if (first->each[i].per_second > 0) {
            ratios[used++] = result->each[i].per_second / first->each[i].per_second;
        }
    }
    return ratios ? median(ratios, used) : 0;
}

static void summarize(struct bench_result *result)
{
    CLEANUP(free_pointer) double *rates = calloc(result->rounds + 1, sizeof(*rates));

    if (!rates) {
        return;
    }
    for (unsigned i = 0; i < result->rounds; i++) {
        rates[i] = result->each[i].per_second;
    }
    result->per_second = median(rates, result->rounds);
    result->per_second_min = rates[0];
    result->per_second_max = rates[result->rounds > 0 ? result->rounds - 1 : 0];
}

/* A round that was cut short counts only where there is no whole one. */
static void take_round(struct bench_result *result, const struct engine_found *found)
{
    if (found->seconds <= 0 || found->latency.count == 0 ||
        (found->interrupted && result->rounds > 0)) {
        return;
    }
    histogram_add(result->latency, &found->latency);
    result->messages += found->latency.count;
    result->echoed += found->echoed;
    result->unsent += found->unsent;
    result->seconds += found->seconds;
    result->each[result->rounds++] = (struct bench_round){
        .per_second = (double)found->within / found->seconds,
        .p50 = histogram_percentile(&found->latency, 50),
        .p99 = histogram_percentile(&found->latency, 99),
        .p999 = histogram_percentile(&found->latency, 99.9),
    };
    summarize(result);
}

static int run_init(struct bench_run *run, const struct bench_plan *plan)
{
    size_t n = plan->n_points * (plan->n_targets + 1);

    *run = (struct bench_run){
        .targets = plan->targets,
        .n_targets = plan->n_targets,
        .points = plan->points,
        .n_points = plan->n_points,
        .results = calloc(n, sizeof(*run->results)),
    };
    for (size_t i = 0; i < n && run->results; i++) {
        struct bench_result *result = &run->results[i];
        size_t target = i % (plan->n_targets + 1);
        result->target = target < plan->n_targets ? &plan->targets[target] : NULL;
        result->point = plan->points[i / (plan->n_targets + 1)];
        result->latency = malloc(sizeof(*result->latency));
        result->each = calloc(plan->rounds, sizeof(*result->each));
        if (!result->latency || !result->each) {
            return STATUS_WRONG;
        }
        histogram_init(result->latency);
    }
    return run->results ? STATUS_OK : STATUS_WRONG;
}

void bench_run_deinit(struct bench_run *run)
{
    for (size_t i = 0; run->results && i < run->n_points * (run->n_targets + 1); i++) {
        free(run->results[i].latency);
        free(run->results[i].each);
    }
    free(run->results);
    run->results = NULL;
}

/* Every socket once, the bare loop last. */
static int measure_round(const struct bench_plan *plan, struct engine_options *options,
                         size_t point, struct progress *progress, struct bench_run *run)
{
    CLEANUP(free_pointer) struct engine_found *found = malloc(sizeof(*found));
    int status = found ? STATUS_OK : STATUS_WRONG;

    for (size_t i = 0; i <= plan->n_targets && status == STATUS_OK && !run->interrupted; i++) {
        struct bench_result *result = &run->results[point * (plan->n_targets + 1) + i];
        options->bare_type = plan->targets[0].type;
        status = engine_run(i < plan->n_targets ? &plan->targets[i] : NULL, options, found);
        memcpy(result->error, found->error, sizeof(result->error));
        if (status == STATUS_OK) {
            take_round(result, found);
            run->interrupted = found->interrupted;
        }
        progress_step(progress);
    }
    return status;
}

int bench_measure(const struct bench_plan *plan, const struct terminal *terminal,
                  struct bench_run *run)
{
    uint64_t duration = plan->duration_usec / plan->rounds;
    struct progress progress;
    int status = run_init(run, plan);

    if (status != STATUS_OK) {
        bench_run_deinit(run);
        return status;
    }
    progress_init(&progress, terminal, plan->n_points * plan->rounds * (plan->n_targets + 1),
                  duration + engine_warm_up_usec(duration));
    for (size_t i = 0; i < plan->n_points; i++) {
        struct engine_options options = {
            .point = plan->points[i],
            .duration_usec = duration,
            .timeout_usec = plan->timeout_usec,
            .threads = plan->threads,
            .busy_poll = plan->busy_poll,
            .stop = plan->stop,
            .tick = progress.shown ? progress_tick : NULL,
            .context = &progress,
        };
        for (unsigned j = 0; j < plan->rounds && status == STATUS_OK && !run->interrupted; j++) {
            status = measure_round(plan, &options, i, &progress, run);
        }
    }
    progress_clear(&progress);
    return status;
}
