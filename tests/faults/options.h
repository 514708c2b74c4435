// SPDX-License-Identifier: MIT
#pragma once

/* The command line of swarm(). */

#include <stdbool.h>
#include <stdint.h>

#include "conduct.h"

enum { EXIT_USAGE = 64 };

struct options {
    const char *socket;
    int type;
    struct conduct conduct;
    bool connects;        /* datagram clients connect their sockets */
    uint64_t send_buffer; /* SO_SNDBUF, 0: the kernel's default */
    uint64_t clients;     /* at once */
    uint64_t connections; /* in all; UINT64_MAX: no end */
    uint64_t seconds;     /* UINT64_MAX: no end */
    uint64_t rate;        /* new connections a second where there was one before; 0: no limit */
    uint64_t patience;    /* seconds for what is still owed at the end */
    uint64_t uid;
    uint64_t gid;
};

/* Exits if something is wrong with them. */
void options_parse(struct options *options, int argc, char **argv);
