// SPDX-License-Identifier: MIT
#include "bench_options.h"

#include <stdlib.h>
#include <string.h>

#include "bench_cpu.h"
#include "bench_payload.h"
#include "timespan.h"
#include "util.h"

enum {
    CONNECTIONS_MAX = 100000,
    WINDOW_MAX = 16384,
    ROUNDS_MAX = 1000,
    THREADS_MAX = 256,
    SIZE_MAX_BYTES = 256 << 20,
};
#define RATE_MAX 10000000

#define SHORTS COMMON_SHORT "s:c:d:r:"
/* Options without a letter. */
enum {
    OPTION_WINDOW = 256,
    OPTION_THREADS,
    OPTION_RATE,
    OPTION_BUSY_POLL,
    OPTION_CPU,
    OPTION_CONNECT,
    OPTION_SVG,
    OPTION_HTML
};

static const struct bench_options defaults = {
    .sizes = {{64, 1024, 16384, 65536}, 4},
    .connections = {{1, 16}, 2},
    .windows = {{1}, 1},
    .duration_usec = 2000000,
    .rounds = 5,
    .threads = 1,
};

/* "A,B,…", each read by READ. Returns whether it is such a list. */
static bool read_list(const char *text, bool (*read)(const char *, uint64_t, uint64_t, uint64_t *),
                      uint64_t min, uint64_t max, struct bench_list *ret)
{
    CLEANUP(free_pointer) char *copy = strdup(text);
    char *rest = copy;
    char *word;

    *ret = (struct bench_list){.n = 0};
    while (copy && (word = strsep(&rest, ","))) {
        if (ret->n == BENCH_LIST_MAX || !read(word, min, max, &ret->values[ret->n])) {
            return false;
        }
        ret->n++;
    }
    return ret->n > 0;
}

static int wrong_value(const char *option, const char *expected)
{
    return usage_error("bench", "--%s=%s: %s", option, optarg, expected);
}

/* Returns -1 to go on, or an exit status. */
static int take_list(struct bench_options *options, int option)
{
    switch (option) {
    case 's':
        return read_list(optarg, read_size, PAYLOAD_HEADER, SIZE_MAX_BYTES, &options->sizes)
                   ? -1
                   : wrong_value("sizes", "not sizes from 8 to 256M such as 64,1K,16K");
    case 'c':
        return read_list(optarg, read_number, 1, CONNECTIONS_MAX, &options->connections)
                   ? -1
                   : wrong_value("connections", "not numbers from 1 to 100000 such as 1,16");
    default:
        return read_list(optarg, read_number, 1, WINDOW_MAX, &options->windows)
                   ? -1
                   : wrong_value("window", "not numbers from 1 to 16384 such as 1,8");
    }
}

static int take_option(struct bench_options *options, int option, char **argv)
{
    uint64_t cpu;

    switch (option) {
    case 's':
    case 'c':
    case OPTION_WINDOW:
        return take_list(options, option);
    case 'd':
        return timespan_parse(optarg, &options->duration_usec) == 0 && options->duration_usec > 0 &&
                       options->duration_usec < UINT32_MAX * 1000ULL
                   ? -1
                   : wrong_value("duration", "not a time span such as 500ms or 2s");
    case 'r':
        return read_number(optarg, 1, ROUNDS_MAX, &options->rounds)
                   ? -1
                   : wrong_value("rounds", "not a number from 1 to 1000");
    case OPTION_THREADS:
        return read_number(optarg, 1, THREADS_MAX, &options->threads)
                   ? -1
                   : wrong_value("threads", "not a number from 1 to 256");
    case OPTION_RATE:
        return read_number(optarg, 1, RATE_MAX, &options->rate)
                   ? -1
                   : wrong_value("rate", "not a number of messages a second, to 10000000");
    case OPTION_BUSY_POLL:
        options->busy_poll = true;
        return -1;
    case OPTION_CPU:
        return read_number(optarg, 0, BENCH_CPU_MAX, &cpu) && bench_cpu_choose(cpu)
                   ? -1
                   : wrong_value("cpu", "not the number of a processor that this may run on");
    case OPTION_CONNECT:
        options->connect = true;
        return -1;
    case OPTION_SVG:
        options->svg = optarg;
        return -1;
    case OPTION_HTML:
        options->html = optarg;
        return -1;
    default:
        return common_take(&options->common, "bench", option, SHORTS, argv);
    }
}

int bench_options_take(struct bench_options *options, int argc, char **argv)
{
    static const struct option long_options[] = {
        {"sizes", required_argument, NULL, 's'},
        {"connections", required_argument, NULL, 'c'},
        {"window", required_argument, NULL, OPTION_WINDOW},
        {"duration", required_argument, NULL, 'd'},
        {"rounds", required_argument, NULL, 'r'},
        {"threads", required_argument, NULL, OPTION_THREADS},
        {"busy-poll", no_argument, NULL, OPTION_BUSY_POLL},
        {"cpu", required_argument, NULL, OPTION_CPU},
        {"connect", no_argument, NULL, OPTION_CONNECT},
        {"rate", required_argument, NULL, OPTION_RATE},
        {"svg", required_argument, NULL, OPTION_SVG},
        {"html", required_argument, NULL, OPTION_HTML},
        COMMON_OPTIONS,
        {NULL, 0, NULL, 0},
    };
    int option;
    int r = -1;

    *options = defaults;
    options->common = common_defaults;
    optind = 1;
    opterr = 0;
    while (r < 0 && (option = getopt_long(argc, argv, SHORTS, long_options, NULL)) !=
                        -1) { // NOLINT(concurrency-mt-unsafe)
        r = take_option(options, option, argv);
    }
    if (r < 0 && options->connect &&
        (options->rate > 0 || options->windows.n > 1 || options->windows.values[0] > 1)) {
        return usage_error("bench", "--connect has one message a connection, as fast as they come "
                                    "back: no --window= and no --rate=");
    }
    if (r < 0 && options->duration_usec < options->rounds) {
        return usage_error("bench", "--duration= is too short for %llu rounds",
                           (unsigned long long)options->rounds);
    }
    return r;
}

size_t bench_options_points(const struct bench_options *options, struct bench_point *points)
{
    size_t n = 0;

    for (size_t i = 0; i < options->sizes.n; i++) {
        for (size_t j = 0; j < options->connections.n; j++) {
            for (size_t k = 0; k < options->windows.n; k++) {
                points[n++] = (struct bench_point){
                    .size = options->sizes.values[i],
                    .connections = (unsigned)options->connections.values[j],
                    .window = (unsigned)options->windows.values[k],
                    .rate = (double)options->rate,
                    .connect = options->connect,
                };
            }
        }
    }
    return n;
}
