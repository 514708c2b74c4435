// SPDX-License-Identifier: MIT
#pragma once

/*
 * What the messages of a benchmark consist of, so that a wrong byte, and a message that is lost,
 * doubled or out of its place, are each told from the others: first the numbers of the connection
 * and of the message, with a check byte; then random bytes that depend on both.
 *
 * The random bytes are made once. A message is a piece of them, which piece its numbers say, and
 * only the header is written for each: the client must not be what is measured. Connections,
 * messages and bytes are counted from 1.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PAYLOAD_HEADER = 8, PAYLOAD_ERROR_MAX = 256 };

struct payload {
    unsigned char *bytes;
    size_t size; /* of a message */
};

/* SIZE is at least PAYLOAD_HEADER. Returns 0 or -ENOMEM. */
int payload_init(struct payload *payload, size_t size);
void payload_deinit(struct payload *payload);

/*
 * Bytes of a message from POSITION on, to be sent. payload_lend() writes the header into the random
 * bytes, where it is needed, and payload_return() restores them; nothing may be compared between.
 */
struct payload_loan {
    unsigned char *header; /* where it is written */
    unsigned char under[PAYLOAD_HEADER];
};
const void *payload_lend(struct payload *payload, struct payload_loan *loan, unsigned connection,
                         uint64_t message, size_t position);
void payload_return(const struct payload_loan *loan);

/*
 * Compares LENGTH bytes at DATA with MESSAGE from POSITION on. HEADER keeps what has come of the
 * header between calls. Returns whether they are right, or says in ERROR what is wrong.
 */
bool payload_check(const struct payload *payload, unsigned connection, uint64_t message,
                   size_t position, const void *data, size_t length,
                   unsigned char header[static PAYLOAD_HEADER],
                   char error[static PAYLOAD_ERROR_MAX]);

/* Which message of which connection HEADER begins. Returns false if it is no header. */
bool payload_identify(const unsigned char header[static PAYLOAD_HEADER], unsigned *connection,
                      uint64_t *message);
