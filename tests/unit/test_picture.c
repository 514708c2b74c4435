// SPDX-License-Identifier: MIT

/*
 * Pictures and pages of made-up benchmarks. Python reads them as XML. With a directory as its
 * argument this leaves some of them there, to be looked at.
 */

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "picture_scale.h"
#include "picture_text.h"
#include "unit.h"
#include "util.h"

enum { MESSAGES = 20000 };

typedef int write_function(const struct bench_run *run, FILE *file);

/* --- Made-up runs. --------------------------------------------------------------------------- */

static double random_share(uint64_t *state)
{
    *state = *state * 6364136223846793005U + 1442695040888963407U;
    return ((double)(*state >> 11) + 0.5) / (double)(1ULL << 53);
}

/* Times around MEDIAN nanoseconds, with a long tail. */
static struct histogram *make_latency(double median, unsigned messages, uint64_t seed)
{
    struct histogram *latency = malloc(sizeof(*latency));

    assert_non_null(latency);
    histogram_init(latency);
    for (unsigned i = 0; i < messages; i++) {
        double share = random_share(&seed);
        double tail = random_share(&seed) < 0.004 ? 8 / sqrt(random_share(&seed)) : 1;
        histogram_record(latency, (uint64_t)(median * (0.7 + 0.3 * pow(1 - share, -0.3)) * tail));
    }
    return latency;
}

static void make_result(struct bench_result *result, const struct bench_point *point, size_t target,
                        unsigned messages)
{
    double median = (1500 + 4200 * (double)target) * (1 + (double)point->size / 24000) *
                    sqrt(point->connections);

    *result = (struct bench_result){
        .point = *point,
        .latency = make_latency(median, messages, 7 + target * 13 + point->size),
        .messages = messages,
        .seconds = 2,
        .per_second = 1e9 / median * point->connections,
        .rounds = 5,
    };
    result->per_second_min = result->per_second * 0.91;
    result->per_second_max = result->per_second * 1.04;
}

/* A run over all NAMES and POINTS; MESSAGES 0: with nothing measured. */
static struct bench_run *make_run(const char *const *names, size_t n_names,
                                  const struct bench_point *points, size_t n_points,
                                  unsigned messages)
{
    struct target *targets = calloc(n_names + 1, sizeof(*targets));
    struct bench_run *run = malloc(sizeof(*run));

    assert_true(targets && run);
    *run = (struct bench_run){
        .targets = targets,
        .n_targets = n_names,
        .points = points,
        .n_points = n_points,
        .results = calloc(n_points * (n_names + 1) + 1, sizeof(struct bench_result)),
    };
    assert_non_null(run->results);
    for (size_t i = 0; i < n_names; i++) {
        targets[i] = (struct target){.text = names[i], .type = i % 2 ? SOCK_DGRAM : SOCK_STREAM};
    }
    for (size_t i = 0; i < n_points; i++) {
        for (size_t target = 0; target <= n_names; target++) {
            struct bench_result *result = &run->results[i * (n_names + 1) + target];
            /* The bare loop, behind all, is the fastest. */
            make_result(result, &points[i], (target + 1) % (n_names + 1), messages);
            result->target = target < n_names ? &targets[target] : NULL;
        }
    }
    return run;
}

static void free_run(struct bench_run *run)
{
    for (size_t i = 0; i < run->n_points * (run->n_targets + 1); i++) {
        free(run->results[i].latency);
    }
    free(run->results);
    free((void *)(uintptr_t)run->targets);
    free(run);
}

static const char *const usual_names[] = {
    "/run/uds-echo/stream.sock",
    "/run/uds-echo/seqpacket.sock",
    "/run/uds-echo/dgram.sock",
    "tcp:127.0.0.1:7007",
};

static const struct bench_point usual_points[] = {
    {64, 1, 1, 0, false},     {1024, 1, 1, 0, false},   {16384, 1, 1, 0, false},
    {65536, 1, 1, 0, false},  {64, 16, 1, 0, false},    {1024, 16, 1, 0, false},
    {16384, 16, 1, 0, false}, {65536, 16, 1, 0, false},
};

static struct bench_run *make_usual_run(void)
{
    return make_run(usual_names, ELEMENTS(usual_names), usual_points, ELEMENTS(usual_points),
                    MESSAGES);
}

/* --- Looking at them. ------------------------------------------------------------------------ */

/* What WRITE makes of RUN, which Python has read as XML. For free(3). */
static char *write_xml(write_function *write, const struct bench_run *run)
{
    FILE *python = popen("python3 -c 'import sys, xml.etree.ElementTree as tree; "
                         "tree.fromstring(sys.stdin.buffer.read())'",
                         "w");
    char *text = NULL;
    size_t length = 0;
    FILE *file = open_memstream(&text, &length);

    assert_true(python && file);
    assert_int_equal(write(run, file), 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(fwrite(text, 1, length, python), length);
    assert_int_equal(pclose(python), 0);
    assert_int_equal(strlen(text), length);
    /* Numbers are numbers. */
    assert_null(strstr(text, "\"nan"));
    assert_null(strstr(text, "-nan"));
    assert_null(strstr(text, "inf"));
    return text;
}

static size_t count(const char *text, const char *word)
{
    size_t n = 0;

    for (; (text = strstr(text, word)); text++) {
        n++;
    }
    return n;
}

static void check(const struct bench_run *run)
{
    free(write_xml(bench_write_svg, run));
    free(write_xml(bench_write_html, run));
}

static void test_a_picture_has_a_curve_and_bars_for_every_socket(void **state)
{
    struct bench_run *run = make_usual_run();
    CLEANUP(free_pointer) char *svg = write_xml(bench_write_svg, run);

    (void)state;
    for (size_t i = 0; i < ELEMENTS(usual_names); i++) {
        assert_non_null(strstr(svg, usual_names[i]));
    }
    assert_non_null(strstr(svg, "(bare loop)"));
    /* Two loads; in the legend every socket has a line, too. */
    assert_int_equal(count(svg, "class=\"curve "), 5 * 2 + 5);
    assert_int_equal(count(svg, "class=\"bar "), 4 * 8);
    assert_int_equal(count(svg, "class=\"whisker"), 4 * 8);
    /* The bare loop is a line where it is on the scale, and a word where it is not. */
    assert_int_equal(count(svg, "class=\"level") + count(svg, "↑"), 8);
    free_run(run);
}

static void test_a_page_has_all_figures_and_refers_to_nothing_elsewhere(void **state)
{
    struct bench_run *run = make_usual_run();
    CLEANUP(free_pointer) char *html = write_xml(bench_write_html, run);

    (void)state;
    assert_int_equal(count(html, "scope=\"row\""), 5 * 8);
    assert_non_null(strstr(html, "<svg"));
    assert_non_null(strstr(html, "prefers-color-scheme:dark"));
    assert_null(strstr(html, "<script"));
    assert_null(strstr(html, "href="));
    assert_null(strstr(html, "src="));
    assert_null(strstr(html, "url("));
    assert_null(strstr(html, "@import"));
    free_run(run);
}

static void test_names_may_hold_any_bytes(void **state)
{
    static const char *const names[] = {
        "@\x01\x1b[31m]]>&<script>alert(1)</script>\"'--><!--",
        "/tmp/\xff\xfe\xc3(\xe2\x82 \xed\xa0\x80\xf4\x90\x80\x80\xc0\xaf\xef\xbf\xbf",
        "/tmp/한국어/\xe2\x80\xae/☃\xc2\x85",
        "",
        "/a/very/long/name/that/does/not/fit/into/the/legend/of/a/picture/because/it/goes/on.sock",
    };
    struct bench_run *run = make_run(names, ELEMENTS(names), usual_points, 3, 1000);
    CLEANUP(free_pointer) char *html = NULL;

    (void)state;
    snprintf(run->results[1].error, sizeof(run->results[1].error),
             "byte 3 was <\x02>, not \"&\xff\"");
    check(run);
    html = write_xml(bench_write_html, run);
    assert_non_null(strstr(html, "@\\x01\\x1b[31m]]&gt;&amp;&lt;script&gt;"));
    assert_non_null(strstr(html, "/tmp/\\xff\\xfe\\xc3("));
    assert_non_null(strstr(html, "/tmp/한국어/\\xe2\\x80\\xae/☃\\xc2\\x85"));
    assert_non_null(strstr(html, "byte 3 was &lt;\\x02&gt;, not &quot;&amp;\\xff&quot;"));
    assert_non_null(strstr(html, "(failed)"));
    assert_null(strstr(html, "Every reply was checked"));
    assert_null(strstr(html, "<script"));
    free_run(run);
}

static void test_little_or_nothing_may_have_been_measured(void **state)
{
    static const unsigned messages[] = {0, 1, 1000};
    struct bench_run *run;

    (void)state;
    for (size_t i = 0; i < ELEMENTS(messages); i++) {
        for (size_t n_names = 0; n_names <= 2; n_names += 2) {
            for (size_t n_points = 0; n_points <= 1; n_points++) {
                run = make_run(usual_names, n_names, usual_points, n_points, messages[i]);
                run->interrupted = true;
                check(run);
                free_run(run);
            }
        }
    }
    /* What has not even begun. */
    run = make_usual_run();
    for (size_t i = 0; i < 40; i += 3) {
        free(run->results[i].latency);
        run->results[i] = (struct bench_result){.target = run->results[i].target};
    }
    check(run);
    free_run(run);
}

static struct bench_run *make_large_run(void)
{
    static const char *const names[] = {"/a", "/b", "/c", "/d", "/e", "/f",
                                        "/g", "/h", "/i", "/j", "/k", "/l"};
    static struct bench_point points[60];

    for (size_t i = 0; i < ELEMENTS(points); i++) {
        points[i] = (struct bench_point){.size = (size_t)16 << i % 12,
                                         .connections = 1U << i / 12,
                                         .window = 4,
                                         .rate = i / 12 == 2 ? 20000 : 0};
    }
    return make_run(names, ELEMENTS(names), points, ELEMENTS(points), 200);
}

static void test_there_may_be_many_sockets_loads_and_sizes(void **state)
{
    struct bench_run *run = make_large_run();

    (void)state;
    check(run);
    free_run(run);
}

static void test_a_full_disk_is_an_error(void **state)
{
    struct bench_run *run = make_usual_run();
    FILE *full = fopen("/dev/full", "w");

    (void)state;
    assert_non_null(full);
    assert_true(bench_write_svg(run, full) < 0);
    assert_true(bench_write_html(run, full) < 0);
    (void)fclose(full);
    free_run(run);
}

/* --- Axes. ----------------------------------------------------------------------------------- */

static void check_ticks(const struct scale *scale, double from, double to)
{
    assert_true(scale->n_ticks >= 2);
    assert_true(scale->from <= from * 1.000001);
    assert_true(scale->to >= to * 0.999999);
    for (size_t i = 0; i < scale->n_ticks; i++) {
        assert_true(scale->ticks[i] >= scale->from * 0.999999);
        assert_true(scale->ticks[i] <= scale->to * 1.000001);
        assert_true(i == 0 || scale->ticks[i] > scale->ticks[i - 1]);
    }
}

static void test_scales_hold_all_values_and_have_round_labels(void **state)
{
    struct scale scale;
    char text[OUTPUT_TEXT_MAX];

    (void)state;
    for (double from = 1; from < 1e12; from *= 1.7) {
        for (double ratio = 1; ratio < 1e9; ratio *= 1.9) {
            scale_init_logarithmic(&scale, from, from * ratio);
            check_ticks(&scale, from, from * ratio);
        }
        scale_init_linear(&scale, from);
        check_ticks(&scale, 0, from);
    }
    scale_init_linear(&scale, 0);
    check_ticks(&scale, 0, 0);

    scale_init_logarithmic(&scale, 3200, 410000);
    scale.start = 100;
    assert_string_equal(picture_tick_time(scale.from, text), "2 µs");
    assert_string_equal(picture_tick_time(scale.to, text), "500 µs");
    assert_true(fabs(scale_at(&scale, scale.to)) < 1e-6);
    assert_true(fabs(scale_at(&scale, 1) - 100) < 1e-6); /* moved to the edge */

    assert_true(fabs(scale_nines(99.9) - 3) < 1e-6);
    assert_true(fabs(scale_percent(scale_nines(50)) - 50) < 1e-6);
}

/* --- To be looked at. ------------------------------------------------------------------------ */

static int leave(const char *directory, const char *name, write_function *write,
                 const struct bench_run *run)
{
    char path[4096];
    FILE *file;
    int r;

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    file = fopen(path, "w");
    if (!file) {
        return EXIT_FAILURE;
    }
    r = write(run, file);
    return fclose(file) == 0 && r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_picture_has_a_curve_and_bars_for_every_socket),
        cmocka_unit_test(test_a_page_has_all_figures_and_refers_to_nothing_elsewhere),
        cmocka_unit_test(test_names_may_hold_any_bytes),
        cmocka_unit_test(test_little_or_nothing_may_have_been_measured),
        cmocka_unit_test(test_there_may_be_many_sockets_loads_and_sizes),
        cmocka_unit_test(test_a_full_disk_is_an_error),
        cmocka_unit_test(test_scales_hold_all_values_and_have_round_labels),
    };

    if (argc > 1) {
        struct bench_run *usual = make_usual_run();
        struct bench_run *large = make_large_run();
        struct bench_run *small = make_run(usual_names, 1, usual_points, 1, 300);
        int status = leave(argv[1], "usual.svg", bench_write_svg, usual) |
                     leave(argv[1], "usual.html", bench_write_html, usual) |
                     leave(argv[1], "large.svg", bench_write_svg, large) |
                     leave(argv[1], "small.svg", bench_write_svg, small);
        free_run(usual);
        free_run(large);
        free_run(small);
        return status;
    }
    return cmocka_run_group_tests_name("picture", tests, NULL, NULL);
}
