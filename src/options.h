// SPDX-License-Identifier: MIT
#pragma once

/* The command line of uds-echod. */

#include <stdint.h>

#include "busy_poll.h"
#include "quota.h"

struct options {
    struct quota_limits limits; /* 0: as the descriptors allow */
    uint32_t workers;           /* 0: as many as fit the cores */
    uint64_t exit_idle_usec;    /* TIMESPAN_INFINITY: never */
    uint64_t idle_usec;         /* when a connection is closed; TIMESPAN_INFINITY: never */
    struct busy_poll_option busy_poll;
    const char *policy;       /* the file that says who may come in, or NULL */
    const char *check_policy; /* the file to check instead of serving, or NULL */
    char **argv;              /* the command line */
    int log_level;            /* LOG_EMERG … LOG_DEBUG */
};

enum options_verdict {
    OPTIONS_RUN,     /* serve */
    OPTIONS_DONE,    /* --help or --version was asked for and has been answered */
    OPTIONS_INVALID, /* something is wrong: one line has said what */
};

/* Reads ARGV into OPTIONS, which holds the defaults where ARGV says nothing. */
enum options_verdict options_parse(int argc, char **argv, struct options *options);
