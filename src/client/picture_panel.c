// SPDX-License-Identifier: MIT

/* The two kinds of panels: latency by percentile, and throughput by size. */

#include <inttypes.h>
#include <math.h>

#include "picture.h"
#include "picture_text.h"
#include "util.h"

enum {
    STEPS_A_NINE = 24, /* of a curve */
    NAME_MAX_SHOWN = 120,
    SIZES_LABELLED_MAX = 10,
    WHISKER_WIDTH_MIN = 6, /* of the bar */
    LOOP_TEXT_WIDTH = 80,
};

const char *picture_class(const struct bench_run *run, size_t target, char text[static 8])
{
    if (target == run->n_targets) {
        snprintf(text, 8, "loop");
    } else {
        snprintf(text, 8, "s%zu", target % PICTURE_COLOURS);
    }
    return text;
}

bool picture_is_measured(const struct bench_result *result)
{
    return result->latency && result->latency->count > 0;
}

void picture_draw_mark(FILE *file, const struct bench_run *run, size_t target, double x, double y)
{
    static const char *const shapes[] = {
        "m-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z",    /* circle */
        "m-3.5 -3.5h7v7h-7z",                     /* square */
        "m0 -4.5l4.5 8h-9z",                      /* triangle */
        "m0 -5l4.5 5l-4.5 5l-4.5 -5z",            /* diamond */
        "m0 4.5l4.5 -8h-9z",                      /* triangle, upside down */
        "m-1.5 -4.5h3v3h3v3h-3v3h-3v-3h-3v-3h3z", /* plus */
        "m-4.5 -2h9v4h-9z",                       /* bar */
    };
    /* Another shape when the colours begin again. */
    size_t shape = (target + target / PICTURE_COLOURS) % ELEMENTS(shapes);
    char class[8];

    picture_print(file, "<path class=\"mark %s\" d=\"M%.1f %.1f%s\"/>\n",
                  picture_class(run, target, class), x, y,
                  target == run->n_targets ? "m-2.5 -2.5h5v5h-5z" : shapes[shape]);
}

/* --- Axes. ----------------------------------------------------------------------------------- */

static void draw_horizontal(const struct panel *panel, double value, const char *label)
{
    double y = scale_at(&panel->y, value);

    picture_print(panel->file, "<path class=\"grid\" d=\"M%.1f %.1fh%.1f\"/>\n", panel->left, y,
                  panel->width);
    picture_print(panel->file, "<text class=\"end\" x=\"%.1f\" y=\"%.1f\">%s</text>\n",
                  panel->left - 8, y + 4, label);
}

static void draw_titles(const struct panel *panel, const char *x, const char *y)
{
    double middle = panel->top + panel->height / 2;

    picture_print(panel->file, "<text class=\"axis middle\" x=\"%.1f\" y=\"%.1f\">%s</text>\n",
                  panel->left + panel->width / 2, panel->top + panel->height + 38, x);
    picture_print(panel->file,
                  "<text class=\"axis middle\" transform=\"translate(%.1f %.1f) "
                  "rotate(-90)\">%s</text>\n",
                  panel->left - 62, middle, y);
}

static void draw_frame(const struct panel *panel)
{
    picture_print(panel->file, "<path class=\"frame\" d=\"M%.1f %.1fv%.1fh%.1f\"/>\n", panel->left,
                  panel->top, panel->height, panel->width);
}

static void draw_nothing(const struct panel *panel)
{
    picture_print(panel->file,
                  "<text class=\"axis middle\" x=\"%.1f\" y=\"%.1f\">Nothing was measured "
                  "here.</text>\n",
                  panel->left + panel->width / 2, panel->top + panel->height / 2);
}

/* --- Latency. -------------------------------------------------------------------------------- */

static double nines_at(const struct panel *panel, double nines)
{
    return panel->left + nines / PICTURE_NINES_MAX * panel->width;
}

static void draw_percentiles(const struct panel *panel)
{
    static const char *const labels[] = {"0", "50", "90", "99", "99.9", "99.99"};
    static const double percents[] = {0, 50, 90, 99, 99.9, 99.99};

    for (size_t i = 0; i < ELEMENTS(labels); i++) {
        double x = nines_at(panel, scale_nines(percents[i]));
        picture_print(panel->file,
                      "<path class=\"grid\" d=\"M%.1f %.1fv%.1f\"/>\n"
                      "<text class=\"middle\" x=\"%.1f\" y=\"%.1f\">%s</text>\n",
                      x, panel->top, panel->height, x, panel->top + panel->height + 18, labels[i]);
    }
}

double picture_last_nine(const struct histogram *latency)
{
    double nines = log10((double)latency->count) - 1;

    return fmin(fmax(nines, 0), PICTURE_NINES_MAX);
}

static void draw_curve(const struct panel *panel, const struct bench_result *result, size_t target)
{
    const struct histogram *latency = result->latency;
    double last = picture_last_nine(latency);
    int steps = (int)ceil(last * STEPS_A_NINE);
    char class[8];

    picture_print(panel->file, "<g><title>");
    picture_escape(panel->file, bench_result_name(result), NAME_MAX_SHOWN);
    picture_print(panel->file, "</title><path class=\"curve %s\" d=\"",
                  picture_class(panel->run, target, class));
    for (int i = 0; i <= steps; i++) {
        double nines = steps > 0 ? last * i / steps : 0;
        uint64_t value =
            i == 0 ? latency->min : histogram_percentile(latency, scale_percent(nines));
        picture_print(panel->file, "%c%.1f %.1f", i == 0 ? 'M' : 'L', nines_at(panel, nines),
                      scale_at(&panel->y, (double)value));
    }
    picture_print(panel->file, "\"/>\n");
    for (int nine = 0; nine <= PICTURE_NINES_MAX; nine++) {
        double nines = nine == 0 ? scale_nines(50) : nine;
        if (nines <= last) {
            picture_draw_mark(
                panel->file, panel->run, target, nines_at(panel, nines),
                scale_at(&panel->y, (double)histogram_percentile(latency, scale_percent(nines))));
        }
    }
    if (steps == 0) {
        picture_draw_mark(panel->file, panel->run, target, panel->left,
                          scale_at(&panel->y, (double)latency->min));
    }
    picture_print(panel->file, "</g>\n");
}

void picture_draw_latency(const struct panel *panel, size_t point)
{
    char label[OUTPUT_TEXT_MAX];
    bool measured = false;

    draw_percentiles(panel);
    for (size_t i = 0; i < panel->y.n_ticks; i++) {
        draw_horizontal(panel, panel->y.ticks[i], picture_tick_time(panel->y.ticks[i], label));
    }
    draw_titles(panel, "Percentile of the messages", "Round trip (log scale)");
    /* The bare loop is drawn first, so that it hides nobody. */
    for (size_t i = 0; i <= panel->run->n_targets; i++) {
        size_t target = (i + panel->run->n_targets) % (panel->run->n_targets + 1);
        const struct bench_result *result = bench_result_at(panel->run, point, target);
        if (picture_is_measured(result)) {
            draw_curve(panel, result, target);
            measured = true;
        }
    }
    draw_frame(panel);
    if (!measured) {
        draw_nothing(panel);
    }
}

/* --- Throughput. ----------------------------------------------------------------------------- */

static void draw_whisker(const struct panel *panel, const struct bench_result *result, double x,
                         double width)
{
    double top = scale_at(&panel->y, result->per_second_max);
    double bottom = scale_at(&panel->y, result->per_second_min);
    double half = fmin(width / 4, 5);

    if (width >= WHISKER_WIDTH_MIN && result->rounds > 1 &&
        result->per_second_max > result->per_second_min) {
        picture_print(panel->file,
                      "<path class=\"whisker\" d=\"M%.1f %.1fh%.1fM%.1f %.1fV%.1fM%.1f "
                      "%.1fh%.1f\"/>\n",
                      x - half, top, 2 * half, x, top, bottom, x - half, bottom, 2 * half);
    }
}

/* A bar whose left edge is at X. */
static void draw_bar(const struct panel *panel, size_t point, size_t target, double x, double width)
{
    const struct bench_result *result = bench_result_at(panel->run, point, target);
    double y = scale_at(&panel->y, result->per_second);
    char size[OUTPUT_TEXT_MAX];
    char median[OUTPUT_TEXT_MAX];
    char min[OUTPUT_TEXT_MAX];
    char max[OUTPUT_TEXT_MAX];
    char class[8];

    picture_print(panel->file, "<g><title>");
    picture_escape(panel->file, bench_result_name(result), NAME_MAX_SHOWN);
    picture_print(
        panel->file, ", %s: %s/s (%s/s to %s/s)</title>",
        output_size((double)result->point.size, size), output_count(result->per_second, median),
        output_count(result->per_second_min, min), output_count(result->per_second_max, max));
    picture_print(panel->file,
                  "<rect class=\"bar %s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>",
                  picture_class(panel->run, target, class), x, y, width * 0.88,
                  fmax(panel->top + panel->height - y, 0));
    draw_whisker(panel, result, x + width * 0.44, width);
    picture_print(panel->file, "</g>\n");
}

/* The bare loop is no competitor: a line, or what it is where that is off the scale. */
static void draw_loop(const struct panel *panel, const struct bench_result *result, double left,
                      double width)
{
    double y = scale_at(&panel->y, result->per_second);
    char text[OUTPUT_TEXT_MAX];

    output_count(result->per_second, text);
    if (result->per_second > panel->y.to) {
        picture_print(panel->file,
                      "<g><title>%s: %s/s</title><text class=\"small middle\" x=\"%.1f\" "
                      "y=\"%.1f\">",
                      bench_result_name(result), text, left + width / 2, panel->top + 11);
        if (width >= LOOP_TEXT_WIDTH) {
            picture_print(panel->file, "loop %s ", text);
        }
        picture_print(panel->file, "↑</text></g>\n");
        return;
    }
    picture_print(panel->file,
                  "<g><title>%s: %s/s</title><path class=\"level\" d=\"M%.1f %.1fh%.1f\"/></g>\n",
                  bench_result_name(result), text, left, y, width);
}

/* The bars of one size, and the bare loop, around MIDDLE. Returns whether there are any. */
static bool draw_group(const struct panel *panel, size_t point, double middle, double room)
{
    const struct bench_run *run = panel->run;
    const struct bench_result *loop = bench_result_at(run, point, run->n_targets);
    double width = fmin(room * 0.84 / (double)(run->n_targets > 0 ? run->n_targets : 1), 44);
    double left = middle - width * ((double)run->n_targets - 0.12) / 2;
    bool measured = false;

    for (size_t target = 0; target < run->n_targets; target++) {
        if (picture_is_measured(bench_result_at(run, point, target))) {
            draw_bar(panel, point, target, left + width * (double)target, width);
            measured = true;
        }
    }
    if (picture_is_measured(loop)) {
        draw_loop(panel, loop, middle - room * 0.46, room * 0.92);
        measured = true;
    }
    return measured;
}

void picture_draw_throughput(const struct panel *panel, const size_t *points, size_t n_points)
{
    double room = panel->width / (double)n_points;
    size_t each = (n_points + SIZES_LABELLED_MAX - 1) / SIZES_LABELLED_MAX;
    bool measured = false;
    char label[OUTPUT_TEXT_MAX];

    for (size_t i = 0; i < panel->y.n_ticks; i++) {
        draw_horizontal(panel, panel->y.ticks[i], picture_tick_count(panel->y.ticks[i], label));
    }
    for (size_t i = 0; i < n_points; i++) {
        double middle = panel->left + room * ((double)i + 0.5);
        if (i % each == 0) {
            output_size((double)panel->run->points[points[i]].size, label);
            picture_print(panel->file, "<text class=\"middle\" x=\"%.1f\" y=\"%.1f\">%s</text>\n",
                          middle, panel->top + panel->height + 18, label);
        }
        measured |= draw_group(panel, points[i], middle, room);
    }
    draw_titles(panel, "Message size", "Messages per second");
    draw_frame(panel);
    if (!measured) {
        draw_nothing(panel);
    }
}
