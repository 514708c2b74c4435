// SPDX-License-Identifier: MIT
#include "options.h"

#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CLIENTS = 100, PATIENCE_SECONDS = 60 };

static void print_help(void)
{
    printf("swarm CONDUCT SOCKET [OPTION...]\n"
           "\n"
           "  --type=TYPE        stream (the default), seqpacket or dgram\n"
           "  --clients=N        so many at once (%d)\n"
           "  --connections=N    so many in all, one after the other in each place (no end)\n"
           "  --seconds=N        ends after that (no end)\n"
           "  --messages=N       of each client\n"
           "  --sizes=SIZE,...   of messages, mixed; largest: as large as can be sent\n"
           "  --window=N         messages under way at once, and between two pauses\n"
           "  --pause=MSEC       after each window\n"
           "  --rate=N           new connections a second, where there was one before (no limit)\n"
           "  --send-buffer=N    SO_SNDBUF of each\n"
           "  --connected        datagram clients connect their sockets\n"
           "  --patience=N       seconds for what is still owed at the end (%d)\n"
           "  --uid=N, --gid=N   who they are\n"
           "\n"
           "CONDUCT is one of ",
           CLIENTS, PATIENCE_SECONDS);
    conduct_print_names();
}

static uint64_t parse_number(const char *option, const char *text)
{
    char *end;
    uint64_t value;

    errno = 0;
    value = strtoull(text, &end, 10);
    if (errno != 0 || *text < '0' || *text > '9' || *end != '\0') {
        errx(EXIT_USAGE, "--%s=%s: not a number", option, text);
    }
    return value;
}

static int parse_type(const char *text)
{
    if (strcmp(text, "stream") == 0) {
        return SOCK_STREAM;
    }
    if (strcmp(text, "seqpacket") == 0) {
        return SOCK_SEQPACKET;
    }
    if (strcmp(text, "dgram") == 0) {
        return SOCK_DGRAM;
    }
    errx(EXIT_USAGE, "--type=%s: neither stream, seqpacket nor dgram", text);
}

/* The two words that come first. */
static void parse_words(struct options *options, int argc, char **argv)
{
    const struct conduct *conduct = argc > 1 ? conduct_find(argv[1]) : NULL;

    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        print_help();
        exit(0);
    }
    if (!conduct || argc < 3) {
        errx(EXIT_USAGE, "which conduct, and which socket? see --help");
    }
    options->conduct = *conduct;
    options->socket = argv[2];
}

void options_parse(struct options *options, int argc, char **argv)
{
    enum { TYPE = 256, SIZES, CONNECTED, NUMBERS };
    struct {
        const char *name;
        uint64_t *value;
    } numbers[] = {
        {"clients", &options->clients},
        {"connections", &options->connections},
        {"seconds", &options->seconds},
        {"messages", &options->conduct.messages},
        {"window", &options->conduct.window},
        {"pause", &options->conduct.pause_msec},
        {"rate", &options->rate},
        {"send-buffer", &options->send_buffer},
        {"patience", &options->patience},
        {"uid", &options->uid},
        {"gid", &options->gid},
    };
    enum { N_NUMBERS = sizeof(numbers) / sizeof(numbers[0]), N_OTHERS = 3 };
    struct option known[N_OTHERS + N_NUMBERS + 1] = {
        {"type", required_argument, NULL, TYPE},
        {"sizes", required_argument, NULL, SIZES},
        {"connected", no_argument, NULL, CONNECTED},
    };
    int option;

    *options = (struct options){
        .type = SOCK_STREAM,
        .clients = CLIENTS,
        .connections = UINT64_MAX,
        .seconds = UINT64_MAX,
        .patience = PATIENCE_SECONDS,
        .uid = geteuid(),
        .gid = getegid(),
    };
    parse_words(options, argc, argv);
    for (int i = 0; i < N_NUMBERS; i++) {
        known[N_OTHERS + i] =
            (struct option){numbers[i].name, required_argument, NULL, NUMBERS + i};
    }
    optind = 3;
    while ((option = getopt_long(argc, argv, "", known, NULL)) >= 0) {
        if (option == TYPE) {
            options->type = parse_type(optarg);
        } else if (option == SIZES) {
            if (!conduct_set_sizes(&options->conduct, optarg)) {
                errx(EXIT_USAGE, "--sizes=%s: not sizes with commas between", optarg);
            }
        } else if (option == CONNECTED) {
            options->connects = true;
        } else if (option >= NUMBERS) {
            *numbers[option - NUMBERS].value = parse_number(numbers[option - NUMBERS].name, optarg);
        } else {
            exit(EXIT_USAGE);
        }
    }
    if (optind < argc) {
        errx(EXIT_USAGE, "%s: one word too many, see --help", argv[optind]);
    }
    if (options->clients == 0 || (options->conduct.window == 0 && options->conduct.messages > 0)) {
        errx(EXIT_USAGE, "--clients=0 and --window=0 would do nothing");
    }
}
