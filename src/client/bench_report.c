// SPDX-License-Identifier: MIT

/* The table of a benchmark: as many columns as the terminal has room for, the telling ones first.
 */

#include "bench.h"

#include <stdlib.h>
#include <string.h>

#include "bench_words.h"

enum {
    GAP = 2,
    NAME_MIN = 16,
    WIDTH_MIN = NAME_MIN + 21, /* with messages/s and p50; a narrower terminal breaks the lines */
};

typedef void (*cell_function)(const struct bench_result *result, const struct bench_result *first,
                              const struct terminal *terminal, char text[static OUTPUT_TEXT_MAX]);

static void cell_rate(const struct bench_result *result, const struct bench_result *first,
                      const struct terminal *terminal, char text[static OUTPUT_TEXT_MAX])
{
    (void)first;
    (void)terminal;
    output_count(result->per_second, text);
}

static void cell_spread(const struct bench_result *result, const struct bench_result *first,
                        const struct terminal *terminal, char text[static OUTPUT_TEXT_MAX])
{
    char min[OUTPUT_TEXT_MAX];
    char max[OUTPUT_TEXT_MAX];

    (void)first;
    output_count(result->per_second_min, min);
    output_count(result->per_second_max, max);
    snprintf(text, OUTPUT_TEXT_MAX, "%.10s%s%.10s", min, terminal->utf8 ? "–" : "-", max);
}

static void cell_bytes(const struct bench_result *result, const struct bench_result *first,
                       const struct terminal *terminal, char text[static OUTPUT_TEXT_MAX])
{
    double megabytes = result->per_second * (double)result->point.size / 1e6;

    (void)first;
    (void)terminal;
    snprintf(text, OUTPUT_TEXT_MAX, "%.*f",
             megabytes < 10    ? 2
             : megabytes < 100 ? 1
                               : 0,
             megabytes);
}

static void cell_ratio(const struct bench_result *result, const struct bench_result *first,
                       const struct terminal *terminal, char text[static OUTPUT_TEXT_MAX])
{
    snprintf(text, OUTPUT_TEXT_MAX, "%.2f%s", bench_ratio(result, first),
             terminal->utf8 ? "×" : "x");
}

static void write_percentile(const struct bench_result *result, const struct terminal *terminal,
                             double percent, char text[static OUTPUT_TEXT_MAX])
{
    output_time(terminal, (double)histogram_percentile(result->latency, percent) / 1000, text);
}

static void cell_p50(const struct bench_result *result, const struct bench_result *first,
                     const struct terminal *terminal, char text[static OUTPUT_TEXT_MAX])
{
    (void)first;
    write_percentile(result, terminal, 50, text);
}

static void cell_p99(const struct bench_result *result, const struct bench_result *first,
                     const struct terminal *terminal, char text[static OUTPUT_TEXT_MAX])
{
    (void)first;
    write_percentile(result, terminal, 99, text);
}

static void cell_p999(const struct bench_result *result, const struct bench_result *first,
                      const struct terminal *terminal, char text[static OUTPUT_TEXT_MAX])
{
    (void)first;
    write_percentile(result, terminal, 99.9, text);
}

static void cell_max(const struct bench_result *result, const struct bench_result *first,
                     const struct terminal *terminal, char text[static OUTPUT_TEXT_MAX])
{
    (void)first;
    write_percentile(result, terminal, 100, text);
}

/* From left to right; RANK says which stay in a narrow terminal. */
static const struct column {
    const char *title;
    unsigned width;
    unsigned rank;
    cell_function cell;
} columns[] = {
    {"messages/s", 10, 0, cell_rate}, {"min-max", 15, 7, cell_spread}, {"MB/s", 6, 5, cell_bytes},
    {"p50", 7, 1, cell_p50},          {"p99", 7, 2, cell_p99},         {"p99.9", 7, 4, cell_p999},
    {"max", 7, 6, cell_max},          {"ratio", 6, 3, cell_ratio},
};
enum { COLUMNS = sizeof(columns) / sizeof(columns[0]) };

/* What fits into a terminal. */
struct layout {
    unsigned name; /* columns of the sockets' names */
    bool shown[COLUMNS];
};

static struct layout lay_out(const struct bench_run *run, const struct terminal *terminal)
{
    struct layout layout = {.name = (unsigned)strlen("(bare loop)")};
    unsigned reserved;
    unsigned left;

    for (size_t i = 0; i < run->n_targets; i++) {
        unsigned width = words_width(run->targets[i].text);
        layout.name = width > layout.name ? width : layout.name;
    }
    left = terminal->width > WIDTH_MIN ? terminal->width : WIDTH_MIN;
    reserved = layout.name < NAME_MIN ? layout.name : NAME_MIN;
    reserved = reserved < left ? reserved : left;
    left -= reserved;
    for (unsigned rank = 0; rank < COLUMNS; rank++) {
        for (size_t i = 0; i < COLUMNS; i++) {
            if (columns[i].rank == rank && columns[i].width + GAP <= left) {
                layout.shown[i] = true;
                left -= columns[i].width + GAP;
            }
        }
    }
    /* What is over is for the names. */
    left += reserved;
    layout.name = layout.name > left ? left : layout.name;
    return layout;
}

static void print_cell(const char *text, unsigned width)
{
    unsigned used = words_width(text);

    printf("%*s%s", (int)(GAP + (width > used ? width - used : 0)), "", text);
}

static void print_titles(const struct layout *layout, const struct terminal *terminal)
{
    printf("%s", colour_faint(terminal));
    words_print_fitted(terminal, "socket", layout->name);
    for (size_t i = 0; i < COLUMNS; i++) {
        if (layout->shown[i]) {
            print_cell(columns[i].title, columns[i].width);
        }
    }
    printf("%s\n", colour_end(terminal));
}

static void print_result(const struct bench_result *result, const struct bench_result *first,
                         const struct layout *layout, const struct terminal *terminal)
{
    char text[OUTPUT_TEXT_MAX];

    words_print_fitted(terminal, bench_result_name(result), layout->name);
    for (size_t i = 0; i < COLUMNS; i++) {
        if (layout->shown[i]) {
            snprintf(text, sizeof(text), "-");
            if (result->rounds > 0) {
                columns[i].cell(result, first, terminal, text);
            }
            print_cell(text, columns[i].width);
        }
    }
    printf("\n");
}

static void print_unsent(const struct bench_result *result, const struct terminal *terminal)
{
    char text[512];

    if (result->unsent > 0) {
        snprintf(text, sizeof(text),
                 "%.200s did not keep up with the rate: %llu messages that were due were not sent.",
                 bench_result_name(result), (unsigned long long)result->unsent);
        words_print_wrapped(terminal, text);
    }
}

static void print_point(const struct bench_run *run, size_t i, const struct layout *layout,
                        const struct terminal *terminal)
{
    char text[256];

    words_describe_point(&run->points[i], text, sizeof(text));
    printf("%s", colour_strong(terminal));
    words_print_wrapped(terminal, text);
    printf("%s", colour_end(terminal));
    print_titles(layout, terminal);
    for (size_t j = 0; j <= run->n_targets; j++) {
        print_result(bench_result_at(run, i, j), bench_result_at(run, i, 0), layout, terminal);
    }
    for (size_t j = 0; j <= run->n_targets; j++) {
        print_unsent(bench_result_at(run, i, j), terminal);
    }
    printf("\n");
}

static bool is_measured(const struct bench_run *run, size_t point)
{
    for (size_t i = 0; i <= run->n_targets; i++) {
        if (bench_result_at(run, point, i)->rounds > 0) {
            return true;
        }
    }
    return false;
}

void bench_report(const struct bench_run *run, const struct terminal *terminal)
{
    struct layout layout = lay_out(run, terminal);
    bool any = false;

    for (size_t i = 0; i < run->n_points; i++) {
        if (is_measured(run, i)) {
            print_point(run, i, &layout, terminal);
            any = true;
        }
    }
    if (run->interrupted) {
        words_print_wrapped(terminal, any ? "Interrupted: this is what there was until then."
                                          : "Interrupted before anything was measured.");
    }
    if (any) {
        words_print_wrapped(
            terminal, "Every reply was checked byte by byte. messages/s is the median of the "
                      "rounds, the ratio that of the rounds' ratios to the first socket; the bare "
                      "loop is this client against a socketpair. Percentiles come from a histogram "
                      "with an error of at most 0.8 %.");
    }
}
