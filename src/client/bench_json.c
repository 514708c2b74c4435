// SPDX-License-Identifier: MIT
#include "bench.h"

#include <sys/socket.h>

static json_t *round_to_json(const struct bench_round *round)
{
    return json_pack("{s:f, s:I, s:I, s:I}", "messages_per_second", round->per_second, "p50_ns",
                     (json_int_t)round->p50, "p99_ns", (json_int_t)round->p99, "p99.9_ns",
                     (json_int_t)round->p999);
}

static json_t *latency_to_json(const struct histogram *latency)
{
    static const struct {
        const char *name;
        double percent;
    } percentiles[] = {{"p50", 50}, {"p90", 90}, {"p99", 99}, {"p99.9", 99.9}, {"p99.99", 99.99}};
    json_t *object;

    if (latency->count == 0) {
        return json_null();
    }
    object = json_pack("{s:I, s:f, s:f}", "min", (json_int_t)latency->min, "mean",
                       histogram_mean(latency), "stddev", histogram_deviation(latency));
    for (size_t i = 0; i < sizeof(percentiles) / sizeof(percentiles[0]); i++) {
        json_object_set_new(
            object, percentiles[i].name,
            json_integer((json_int_t)histogram_percentile(latency, percentiles[i].percent)));
    }
    json_object_set_new(object, "max", json_integer((json_int_t)latency->max));
    return object;
}

static json_t *result_to_json(const struct bench_result *result, const struct bench_result *first)
{
    const struct target *like = result->target ? result->target : first->target;
    json_t *rounds = json_array();

    for (unsigned i = 0; i < result->rounds; i++) {
        json_array_append_new(rounds, round_to_json(&result->each[i]));
    }
    return json_pack(
        "{s:o, s:b, s:s?, s:I, s:I, s:I, s:f, s:{s:f, s:f, s:f}, s:f, s:f, s:o, s:o, s:o?}",
        "socket", report_string(bench_result_name(result)), "bare_loop", result->target == NULL,
        "type", like && like->type != 0 ? target_type_name(like->type) : NULL, "messages",
        (json_int_t)result->messages, "echoed", (json_int_t)result->echoed, "unsent",
        (json_int_t)result->unsent, "seconds", result->seconds, "messages_per_second", "median",
        result->per_second, "min", result->per_second_min, "max", result->per_second_max,
        "bytes_per_second", result->per_second * (double)result->point.size, "ratio",
        bench_ratio(result, first), "latency_ns", latency_to_json(result->latency), "rounds",
        rounds, "error", result->error[0] != '\0' ? report_string(result->error) : NULL);
}

static json_t *point_to_json(const struct bench_run *run, size_t i)
{
    const struct bench_point *point = &run->points[i];
    json_t *results = json_array();

    for (size_t j = 0; j <= run->n_targets; j++) {
        json_array_append_new(
            results, result_to_json(bench_result_at(run, i, j), bench_result_at(run, i, 0)));
    }
    return json_pack("{s:I, s:i, s:i, s:o, s:b, s:o}", "size", (json_int_t)point->size,
                     "connections", (int)point->connections, "window", (int)point->window, "rate",
                     point->rate > 0 ? json_real(point->rate) : json_null(), "connect",
                     point->connect, "results", results);
}

json_t *bench_report_json(const struct bench_run *run)
{
    json_t *points = json_array();

    for (size_t i = 0; i < run->n_points; i++) {
        json_array_append_new(points, point_to_json(run, i));
    }
    return json_pack("{s:b, s:f, s:o}", "interrupted", run->interrupted, "percentile_error_max",
                     1.0 / HISTOGRAM_STEPS, "points", points);
}
