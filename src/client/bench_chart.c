// SPDX-License-Identifier: MIT

/*
 * The latencies of the last point as bars of characters, for each socket over the same logarithmic
 * scale, with round numbers on it: as many steps in a power of ten as there is room for.
 */

#include "bench.h"

#include <math.h>
#include <string.h>

#include "bench_words.h"

enum { ROWS_MAX = 20, LABEL = 7, PERCENT = 7, BAR_MAX = 100, BAR_MIN = 4 };

/* Steps of a power of ten. */
struct scale {
    unsigned n;
    double steps[12];
};

static const struct scale scales[] = {
    {12, {1, 1.2, 1.5, 1.8, 2.2, 2.7, 3.3, 3.9, 4.7, 5.6, 6.8, 8.2}},
    {6, {1, 1.5, 2, 3, 5, 7}},
    {3, {1, 2, 5}},
    {1, {1}},
};

/* The I-th edge of SCALE, in nanoseconds. */
static double edge_at(const struct scale *scale, unsigned i)
{
    unsigned power = i / scale->n;

    return pow(10, power) * scale->steps[i % scale->n];
}

/* Row I is from edge FIRST + I to the next one; the first and the last hold all that is beyond. */
struct chart {
    const struct scale *scale;
    unsigned first;
    unsigned rows;
};

/* All but what is among the thousandth at either end at every socket. */
static struct chart choose_chart(const struct bench_run *run, size_t point)
{
    double low = INFINITY;
    double high = 0;
    struct chart chart = {0};

    for (size_t i = 0; i <= run->n_targets; i++) {
        const struct histogram *latency = bench_result_at(run, point, i)->latency;
        if (latency->count > 0) {
            low = fmin(low, (double)histogram_percentile(latency, 0.1));
            high = fmax(high, (double)histogram_percentile(latency, 99.9));
        }
    }
    for (size_t i = 0; i < sizeof(scales) / sizeof(scales[0]); i++) {
        unsigned end = 0;
        chart = (struct chart){.scale = &scales[i]};
        while (edge_at(chart.scale, chart.first + 1) <= low) {
            chart.first++;
        }
        for (end = chart.first + 1; edge_at(chart.scale, end) <= high; end++) {
        }
        chart.rows = end - chart.first + 1;
        if (chart.rows <= ROWS_MAX) {
            break;
        }
    }
    return chart;
}

static uint64_t count_row(const struct chart *chart, const struct histogram *latency, unsigned row)
{
    double from = row == 0 ? 0 : edge_at(chart->scale, chart->first + row);
    double to = edge_at(chart->scale, chart->first + row + 1);

    return histogram_count_between(latency, (uint64_t)from,
                                   row + 1 == chart->rows ? UINT64_MAX : (uint64_t)to);
}

/* A bar of SHARE (0 to 1) of WIDTH characters; where anything is, something is seen. */
static void print_bar(const struct terminal *terminal, double share, unsigned width)
{
    static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    unsigned parts = terminal->utf8 ? 8 : 1;
    unsigned length = (unsigned)lround(share * width * parts);

    length = length == 0 && share > 0 ? 1 : length;
    for (unsigned i = 0; i < length / parts; i++) {
        (void)fputs(terminal->utf8 ? "█" : "#", stdout);
    }
    (void)fputs(eighths[length % parts], stdout);
}

/* "< 10.0 µs", "  10.0 µs" for from there to the next line's, "≥ 12.0 µs". */
static void print_label(const struct chart *chart, unsigned row, const struct terminal *terminal)
{
    bool is_first = row == 0;
    bool is_last = row + 1 == chart->rows;
    unsigned edge = chart->first + row + (is_first ? 1 : 0);
    char label[OUTPUT_TEXT_MAX];

    output_time(terminal, edge_at(chart->scale, edge) / 1000, label);
    printf("%s%*s%s",
           is_first         ? " <"
           : !is_last       ? "  "
           : terminal->utf8 ? " ≥"
                            : ">=",
           (int)(1 + LABEL - words_width(label)), "", label);
}

static void print_row(const struct chart *chart, const struct histogram *latency, unsigned row,
                      uint64_t most, const struct terminal *terminal)
{
    uint64_t count = count_row(chart, latency, row);
    unsigned room = terminal->width - LABEL - PERCENT - 6;
    double percent = (double)count * 100 / (double)latency->count;

    print_label(chart, row, terminal);
    if (count > 0 && percent < 0.05) {
        printf("  <0.1 %%");
    } else {
        printf("%6.1f %%", percent);
    }
    if (count > 0) {
        printf(" ");
        print_bar(terminal, (double)count / (double)most, room < BAR_MAX ? room : BAR_MAX);
    }
    printf("\n");
}

static void print_socket(const struct chart *chart, const struct bench_result *result,
                         const struct terminal *terminal)
{
    unsigned width = words_width(bench_result_name(result));
    uint64_t most = 1;

    if (result->latency->count == 0) {
        return;
    }
    for (unsigned i = 0; i < chart->rows; i++) {
        uint64_t count = count_row(chart, result->latency, i);
        most = count > most ? count : most;
    }
    printf("\n%s", colour_strong(terminal));
    words_print_fitted(terminal, bench_result_name(result),
                       width < terminal->width ? width : terminal->width);
    printf("%s\n", colour_end(terminal));
    for (unsigned i = 0; i < chart->rows; i++) {
        print_row(chart, result->latency, i, most, terminal);
    }
}

void bench_chart(const struct bench_run *run, const struct terminal *terminal)
{
    size_t point = run->n_points;
    struct chart chart;
    char text[256] = "Latency at ";
    size_t used = strlen(text);
    size_t n;

    /* The last one that was reached. */
    while (point > 0 && bench_result_at(run, point - 1, 0)->latency->count == 0) {
        point--;
    }
    if (point-- == 0 || terminal->width < LABEL + PERCENT + 6 + BAR_MIN) {
        return;
    }
    chart = choose_chart(run, point);
    words_describe_point(&run->points[point], text + used, sizeof(text) - used);
    printf("\n");
    n = strlen(text);
    snprintf(text + n, sizeof(text) - n, "; each line is from its time to the next one's");
    words_print_wrapped(terminal, text);
    for (size_t i = 0; i <= run->n_targets; i++) {
        print_socket(&chart, bench_result_at(run, point, i), terminal);
    }
}
