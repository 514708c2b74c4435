// SPDX-License-Identifier: MIT

/*
 * A benchmark as a page (HTML): the picture, and a table of all figures. It refers to no other
 * file, and is well-formed XML, too.
 */

#include <inttypes.h>

#include "picture.h"
#include "picture_text.h"
#include "util.h"

static const double percents[] = {50, 90, 99, 99.9, 99.99};

static void write_head(FILE *file)
{
    picture_print(
        file, "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n"
              "<meta charset=\"utf-8\"/>\n"
              "<meta name=\"viewport\" content=\"width=device-width\"/>\n"
              "<meta name=\"color-scheme\" content=\"light dark\"/>\n"
              "<title>uds-echo bench</title>\n<style>\n"
              "body{font:14px/1.5 system-ui,\"Segoe UI\",\"DejaVu Sans\",Helvetica,Arial,"
              "sans-serif;margin:24px auto;max-width:1500px;padding:0 16px;background:#fff;"
              "color:#222}\n"
              "svg{display:block;max-width:100%%;height:auto}\n"
              "h2{font-size:17px;margin:28px 0 8px}\n"
              ".table{overflow-x:auto}\n"
              "table{border-collapse:collapse;font-size:12.5px;"
              "font-variant-numeric:tabular-nums;white-space:nowrap}\n"
              "th,td{padding:3px 8px;text-align:right;border-bottom:1px solid #ddd}\n"
              "thead th{border-bottom:1px solid #777}\n"
              "th.name{text-align:left;font-weight:400}\n"
              "thead th.name{font-weight:600}\n"
              "th.load{text-align:left;padding-top:14px}\n"
              "td.failed{color:#b00020;text-align:left;white-space:normal}\n"
              "p.small{font-size:12.5px;color:#555}\n"
              "@media (prefers-color-scheme:dark){body{background:#16181c;color:#ddd}"
              "th,td{border-color:#33373d}td.failed{color:#ff8a80}p.small{color:#aaa}}\n"
              "</style>\n</head>\n<body>\n");
}

static void write_count(FILE *file, double count)
{
    char text[OUTPUT_TEXT_MAX];

    picture_print(file, "<td>%s</td>", output_count(count, text));
}

static void write_time(FILE *file, double nsec)
{
    char text[OUTPUT_TEXT_MAX];

    picture_print(file, "<td>%s</td>", picture_time(nsec, text));
}

/* How many columns a result has between the name and the end. */
enum { FIGURES = 4 + 2 + 4 + ELEMENTS(percents) };

static void write_column_heads(FILE *file)
{
    picture_print(file, "<thead><tr><th class=\"name\">Socket</th><th>Messages</th>"
                        "<th>Messages/s</th><th>Slowest round</th><th>Fastest round</th>"
                        "<th>Data/s</th><th>Seconds</th><th>min</th>");
    for (size_t i = 0; i < ELEMENTS(percents); i++) {
        picture_print(file, "<th>p%g</th>", percents[i]);
    }
    picture_print(file, "<th>max</th><th>Mean</th><th>Deviation</th></tr></thead>\n");
}

static void write_figures(FILE *file, const struct bench_result *result)
{
    const struct histogram *latency = result->latency;
    char text[OUTPUT_TEXT_MAX];

    picture_print(file, "<td>%" PRIu64 "</td>", result->messages);
    write_count(file, result->per_second);
    write_count(file, result->per_second_min);
    write_count(file, result->per_second_max);
    picture_print(file, "<td>%s</td><td>%.2f</td>",
                  output_size(result->per_second * (double)result->point.size, text),
                  result->seconds);
    write_time(file, (double)latency->min);
    for (size_t i = 0; i < ELEMENTS(percents); i++) {
        write_time(file, (double)histogram_percentile(latency, percents[i]));
    }
    write_time(file, (double)latency->max);
    write_time(file, histogram_mean(latency));
    write_time(file, histogram_deviation(latency));
}

static void write_result(FILE *file, const struct bench_result *result)
{
    picture_print(file, "<tr><th class=\"name\" scope=\"row\">");
    picture_escape(file, bench_result_name(result), 0);
    if (result->target && result->target->type != 0) {
        picture_print(file, " (%s)", target_type_name(result->target->type));
    }
    picture_print(file, "</th>");
    if (picture_is_measured(result)) {
        write_figures(file, result);
    } else {
        picture_print(file, "<td colspan=\"%d\">not measured</td>", (int)FIGURES);
    }
    picture_print(file, "</tr>\n");
    if (result->error[0] != '\0') {
        picture_print(file, "<tr><td class=\"failed\" colspan=\"%d\">Failed: ", (int)FIGURES + 1);
        picture_escape(file, result->error, 0);
        picture_print(file, "</td></tr>\n");
    }
}

static void write_table(FILE *file, const struct bench_run *run)
{
    char load[PICTURE_LOAD_MAX];
    char size[OUTPUT_TEXT_MAX];

    picture_print(file, "<h2>All figures</h2>\n<div class=\"table\"><table>\n");
    write_column_heads(file);
    for (size_t point = 0; point < run->n_points; point++) {
        picture_print(file,
                      "<tbody><tr><th class=\"load\" colspan=\"%d\">%s a message, %s</th></tr>\n",
                      (int)FIGURES + 1, output_size((double)run->points[point].size, size),
                      picture_load(&run->points[point], load));
        for (size_t target = 0; target <= run->n_targets; target++) {
            write_result(file, bench_result_at(run, point, target));
        }
        picture_print(file, "</tbody>\n");
    }
    picture_print(file, "</table></div>\n");
}

int bench_write_html(const struct bench_run *run, FILE *file)
{
    write_head(file);
    picture_draw(run, file);
    write_table(file, run);
    picture_print(file,
                  "<p class=\"small\">Times are from sending a message, or with a rate from when "
                  "it should have been sent, to having received the whole echo. Percentiles come "
                  "from a histogram and are at most 0.8 %% too high; min and max are exact. "
                  "Messages/s is the median of the rounds. (bare loop) is the client with a socket "
                  "pair that echoes by itself: what that takes is the client's own cost.</p>\n"
                  "<p class=\"small\">uds-echo bench, ");
    picture_machine(file);
    picture_print(file, ".%s</p>\n</body>\n</html>\n", run->interrupted ? " Interrupted." : "");
    return picture_finish(file);
}
