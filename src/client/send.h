// SPDX-License-Identifier: MIT
#pragma once

/*
 * uds-echo send: what is sent and what has come back, shared by the command, with its messages
 * (cmd_send), and the pipe that a stream is (send_stream).
 */

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "client.h"
#include "session.h"
#include "target.h"

enum { REPLY_KEPT_MAX = 1024 * 1024 }; /* of a stream's goes into JSON */

/* What went one way, so that both ways can be compared without keeping it. */
struct tally {
    uint64_t bytes;
    uint64_t hash; /* FNV-1a */
};

void tally_add(struct tally *tally, const char *data, size_t length);

struct send {
    struct common common;
    struct target target;
    const char *text; /* what to send; NULL: standard input */
    struct session session;
    struct tally sent;
    struct tally received;
    uint64_t messages;
    json_t *replies; /* for --json */
    char *kept;      /* the reply on a stream, for --json */
    size_t kept_length;
};

/* Writes what has come back to standard output, or keeps it for JSON. Returns 0, or -ECANCELED
 * after saying what was wrong. */
int send_write(struct send *send, const char *data, size_t length);

/* On a stream: sends until the end of the input, and writes until the end of the connection.
 * Returns 0 or a negative errno; -ECANCELED if it has been said what was wrong. */
int send_stream(struct send *send);
