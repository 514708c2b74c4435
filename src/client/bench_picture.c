// SPDX-License-Identifier: MIT

/*
 * A benchmark as a picture (SVG): a row of two panels for each load, that is for each combination
 * of connections, window and rate: on the left the latency by percentile of the smallest messages,
 * on the right the throughput by size. All rows have the same scales. It is legible in black and
 * white, to the colour-blind (colours of Okabe and Ito), and on light and dark backgrounds.
 */

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "picture.h"
#include "picture_text.h"
#include "util.h"

enum {
    WIDTH = 1080,
    MARGIN = 32,
    PANEL_WIDTH = 424,
    PANEL_HEIGHT = 230,
    PANEL_LEFT = 78, /* room for the labels */
    ROW_HEIGHT = 330,
    HEAD_HEIGHT = 84,
    LEGEND_LINE = 22,
    LEGEND_NAME_MAX = 70, /* characters */
    FOOT_HEIGHT = 54,
    ROWS_MAX = 4,
};

/* The width of a character, more or less; no font can be relied on. */
static const double character_width = 7.2;

/* The points of one load, in the order of the run. */
struct row {
    size_t *points;
    size_t n_points;
    size_t smallest; /* the point with the smallest messages */
};

static bool same_load(const struct bench_point *a, const struct bench_point *b)
{
    return a->connections == b->connections && a->window == b->window && !(a->rate < b->rate) &&
           !(a->rate > b->rate);
}

/* Whether no point before POINT has the same load. */
static bool is_new_load(const struct bench_run *run, size_t point)
{
    for (size_t i = 0; i < point; i++) {
        if (same_load(&run->points[i], &run->points[point])) {
            return false;
        }
    }
    return true;
}

static size_t count_loads(const struct bench_run *run)
{
    size_t count = 0;

    for (size_t i = 0; i < run->n_points; i++) {
        count += is_new_load(run, i);
    }
    return count;
}

/* The first point of load INDEX, which there is. */
static size_t first_of_load(const struct bench_run *run, size_t index)
{
    size_t point = 0;

    for (size_t i = 0, count = 0; i < run->n_points && count <= index; i++) {
        if (is_new_load(run, i)) {
            point = i;
            count++;
        }
    }
    return point;
}

/* --- Scales, the same for all rows. ----------------------------------------------------------- */

/* Widens FROM and TO to what is drawn of the latencies at POINT. */
static void widen(const struct bench_run *run, size_t point, double *from, double *to)
{
    for (size_t target = 0; target <= run->n_targets; target++) {
        const struct bench_result *result = bench_result_at(run, point, target);
        if (picture_is_measured(result)) {
            double last = scale_percent(picture_last_nine(result->latency));
            *from = fmin(*from, fmax((double)result->latency->min, 1));
            *to = fmax(*to, (double)histogram_percentile(result->latency, last));
        }
    }
}

static void find_latency_scale(const struct bench_run *run, const struct row *rows, size_t n_rows,
                               struct scale *scale)
{
    double from = INFINITY;
    double to = 1;

    for (size_t i = 0; i < n_rows; i++) {
        widen(run, rows[i].smallest, &from, &to);
    }
    if (isinf(from)) { /* nothing was measured */
        from = 1000;
        to = 1000000;
    }
    scale_init_logarithmic(scale, from, fmax(from, to));
}

/* The bare loop may be many times as fast as any socket. It is on the scale only if it is not. */
static void find_throughput_scale(const struct bench_run *run, const struct row *rows,
                                  size_t n_rows, struct scale *scale)
{
    double sockets = 0;
    double loop = 0;

    for (size_t i = 0; i < n_rows; i++) {
        for (size_t j = 0; j < rows[i].n_points; j++) {
            const struct bench_result *of_loop =
                bench_result_at(run, rows[i].points[j], run->n_targets);
            for (size_t target = 0; target < run->n_targets; target++) {
                const struct bench_result *result = bench_result_at(run, rows[i].points[j], target);
                sockets = fmax(sockets, fmax(result->per_second, result->per_second_max));
            }
            loop = fmax(loop, of_loop->per_second);
        }
    }
    scale_init_linear(scale, loop < 1.5 * sockets || !(sockets > 0) ? fmax(loop, sockets)
                                                                    : 1.06 * sockets);
}

/* --- Around the panels. ------------------------------------------------------------------------
 */

/* The sockets' colours, in SHADE 0 for light paper and 1 for dark. */
static void print_colours(FILE *file, size_t shade)
{
    static const char *const colours[PICTURE_COLOURS][2] = {
        {"#0072b2", "#56b4e9"}, {"#d55e00", "#ff8a3d"}, {"#009e73", "#2fd3a5"},
        {"#b0568f", "#e59cc9"}, {"#c98a00", "#f5c04a"}, {"#3a9bd6", "#9ad4f5"},
        {"#222222", "#eeeeee"},
    };

    for (size_t i = 0; i < PICTURE_COLOURS; i++) {
        picture_print(file, ".bench .s%zu{fill:%s}.bench .curve.s%zu{fill:none;stroke:%s}\n", i,
                      colours[i][shade], i, colours[i][shade]);
    }
}

/* Light unless the reader prefers dark. Whatever cannot read the second part shows the first. */
static void draw_style(FILE *file)
{
    picture_print(file,
                  "<style>\n"
                  ".bench text{font:12px system-ui,\"Segoe UI\",\"DejaVu Sans\",Helvetica,Arial,"
                  "sans-serif;fill:#333}\n"
                  ".bench .title{font-size:20px;font-weight:600;fill:#111}\n"
                  ".bench .head{font-size:13px;font-weight:600;fill:#111}\n"
                  ".bench .small{font-size:11px;fill:#555}\n"
                  ".bench .axis{fill:#555}\n"
                  ".bench .middle{text-anchor:middle}\n"
                  ".bench .end{text-anchor:end}\n"
                  ".bench .paper{fill:#fff}\n"
                  ".bench .grid{fill:none;stroke:#e3e3e3}\n"
                  ".bench .frame{fill:none;stroke:#777}\n"
                  ".bench .curve{fill:none;stroke-width:2;stroke-linejoin:round}\n"
                  ".bench .curve.loop{stroke-dasharray:5 4}\n"
                  ".bench .mark{stroke:#fff;stroke-width:.8}\n"
                  ".bench .whisker{fill:none;stroke:#111;stroke-width:1.2}\n"
                  ".bench .level{fill:none;stroke:#777;stroke-width:1.6;stroke-dasharray:5 4}\n"
                  ".bench .loop{fill:#999}.bench .curve.loop{fill:none;stroke:#888}\n");
    print_colours(file, 0);
    picture_print(file, "@media (prefers-color-scheme:dark){\n"
                        ".bench text{fill:#ccc}\n"
                        ".bench .title,.bench .head{fill:#f2f2f2}\n"
                        ".bench .small,.bench .axis{fill:#aaa}\n"
                        ".bench .paper{fill:#16181c}\n"
                        ".bench .grid{stroke:#33373d}\n"
                        ".bench .frame{stroke:#888}\n"
                        ".bench .mark{stroke:#16181c}\n"
                        ".bench .whisker{stroke:#fff}\n"
                        ".bench .level{stroke:#aaa}\n"
                        ".bench .loop{fill:#777}.bench .curve.loop{stroke:#999}\n");
    print_colours(file, 1);
    picture_print(file, "}\n</style>\n");
}

static const char *loop_note(const struct bench_run *run, size_t target)
{
    return target == run->n_targets ? ": the client by itself" : "";
}

static bool has_failed(const struct bench_run *run, size_t target)
{
    for (size_t point = 0; point < run->n_points; point++) {
        if (bench_result_at(run, point, target)->error[0] != '\0') {
            return true;
        }
    }
    return false;
}

static const char *name_of(const struct bench_run *run, size_t target)
{
    return target < run->n_targets ? run->targets[target].text : "(bare loop)";
}

/* Draws the legend, or measures it without a FILE. Returns its height. */
static double draw_legend(const struct bench_run *run, FILE *file)
{
    double x = MARGIN;
    double y = HEAD_HEIGHT + 12;

    for (size_t target = 0; target <= run->n_targets; target++) {
        const char *note = has_failed(run, target) ? " (failed)" : loop_note(run, target);
        double width =
            34 + character_width *
                     (double)(picture_length(name_of(run, target), LEGEND_NAME_MAX) + strlen(note));
        char class[8];
        if (x > MARGIN && x + width > WIDTH - MARGIN) {
            x = MARGIN;
            y += LEGEND_LINE;
        }
        if (file) {
            picture_print(file, "<path class=\"curve %s\" d=\"M%.1f %.1fh20\"/>\n",
                          picture_class(run, target, class), x, y - 4);
            picture_draw_mark(file, run, target, x + 10, y - 4);
            picture_print(file, "<text x=\"%.1f\" y=\"%.1f\">", x + 27, y);
            picture_escape(file, name_of(run, target), LEGEND_NAME_MAX);
            picture_print(file, "%s</text>\n", note);
        }
        x += width + 14;
    }
    return y - HEAD_HEIGHT + LEGEND_LINE;
}

static void draw_head(const struct bench_run *run, FILE *file)
{
    unsigned rounds = run->n_points > 0 ? run->results[0].rounds : 0;
    bool failed = false;

    for (size_t target = 0; target <= run->n_targets; target++) {
        failed |= has_failed(run, target);
    }
    picture_print(file,
                  "<text class=\"title\" x=\"%d\" y=\"42\">Latency and throughput of echo "
                  "sockets</text>\n<text class=\"axis\" x=\"%d\" y=\"64\">%s ",
                  MARGIN, MARGIN,
                  failed ? "Replies were wrong or missing: see what is marked as failed."
                         : "Every reply was checked byte by byte.");
    if (rounds > 1) {
        picture_print(file,
                      "Bars: median of %u rounds; whiskers: from the slowest round to the fastest.",
                      rounds);
    }
    picture_print(file, "%s</text>\n", run->interrupted ? " Interrupted." : "");
}

static void draw_foot(const struct bench_run *run, FILE *file, double height)
{
    size_t loads = count_loads(run);

    picture_print(file, "<text class=\"small\" x=\"%d\" y=\"%.1f\">uds-echo bench, ", MARGIN,
                  height - 22);
    picture_machine(file);
    picture_print(file, ".");
    if (loads > ROWS_MAX) {
        picture_print(file, " Of %zu loads, %d are shown.", loads, ROWS_MAX);
    }
    picture_print(file, "</text>\n");
}

/* --- Rows. ----------------------------------------------------------------------------------- */

static void draw_row_title(const struct panel *panel, const char *what, const char *size,
                           const struct bench_point *point)
{
    char load[PICTURE_LOAD_MAX];

    picture_print(panel->file, "<text class=\"head\" x=\"%.1f\" y=\"%.1f\">%s", panel->left,
                  panel->top - 16, what);
    if (size) {
        picture_print(panel->file, ", %s", size);
    }
    picture_print(panel->file, ": %s</text>\n", picture_load(point, load));
}

static void draw_row(const struct bench_run *run, FILE *file, const struct row *row, double top,
                     const struct scale *latency, const struct scale *throughput)
{
    const struct bench_point *point = &run->points[row->smallest];
    struct panel panel = {
        .file = file,
        .run = run,
        .left = MARGIN + PANEL_LEFT,
        .top = top + 24,
        .width = PANEL_WIDTH,
        .height = PANEL_HEIGHT,
        .y = *latency,
    };
    char size[OUTPUT_TEXT_MAX];

    panel.y.start = panel.top + panel.height;
    panel.y.end = panel.top;
    draw_row_title(&panel, "Latency", output_size((double)point->size, size), point);
    picture_draw_latency(&panel, row->smallest);

    panel.left = WIDTH - MARGIN - PANEL_WIDTH;
    panel.y = *throughput;
    panel.y.start = panel.top + panel.height;
    panel.y.end = panel.top;
    draw_row_title(&panel, "Throughput", NULL, point);
    picture_draw_throughput(&panel, row->points, row->n_points);
}

/* The points that have the load of the point FIRST, into ROW, which has room for all of them. */
static void fill_row(const struct bench_run *run, size_t first, struct row *row)
{
    row->smallest = first;
    for (size_t point = first; point < run->n_points; point++) {
        if (!same_load(&run->points[first], &run->points[point])) {
            continue;
        }
        row->points[row->n_points++] = point;
        if (run->points[point].size < run->points[row->smallest].size) {
            row->smallest = point;
        }
    }
}

/* Draws N_ROWS rows: all loads, or some from the first to the last. */
static void draw_rows(const struct bench_run *run, FILE *file, double top, size_t n_rows)
{
    CLEANUP(free_pointer)
    size_t *points = calloc(run->n_points * ROWS_MAX, sizeof(*points));
    struct row rows[ROWS_MAX] = {0};
    size_t loads = count_loads(run);
    struct scale throughput;
    struct scale latency;

    if (!points) {
        return;
    }
    for (size_t i = 0; i < n_rows; i++) {
        rows[i].points = points + i * run->n_points;
        fill_row(run, first_of_load(run, n_rows > 1 ? i * (loads - 1) / (n_rows - 1) : 0),
                 &rows[i]);
    }
    find_latency_scale(run, rows, n_rows, &latency);
    find_throughput_scale(run, rows, n_rows, &throughput);
    for (size_t i = 0; i < n_rows; i++) {
        draw_row(run, file, &rows[i], top + (double)i * ROW_HEIGHT, &latency, &throughput);
    }
}

void picture_draw(const struct bench_run *run, FILE *file)
{
    size_t loads = count_loads(run);
    size_t n_rows = loads < ROWS_MAX ? loads : ROWS_MAX;
    double top = HEAD_HEIGHT + draw_legend(run, NULL) + 16;
    double height = top + (double)(n_rows > 0 ? n_rows * ROW_HEIGHT : 60) - 16 + FOOT_HEIGHT;

    picture_print(file,
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"bench\" role=\"img\" "
                  "viewBox=\"0 0 %d %.0f\" width=\"%d\" height=\"%.0f\">\n"
                  "<title>Latency and throughput of echo sockets</title>\n",
                  WIDTH, height, WIDTH, height);
    draw_style(file);
    picture_print(file, "<rect class=\"paper\" width=\"100%%\" height=\"100%%\"/>\n");
    draw_head(run, file);
    (void)draw_legend(run, file);
    if (n_rows > 0) {
        draw_rows(run, file, top, n_rows);
    } else {
        picture_print(file, "<text x=\"%d\" y=\"%.1f\">Nothing was measured.</text>\n", MARGIN,
                      top + 12);
    }
    draw_foot(run, file, height);
    picture_print(file, "</svg>\n");
}

int bench_write_svg(const struct bench_run *run, FILE *file)
{
    picture_print(file, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    picture_draw(run, file);
    return picture_finish(file);
}
