// SPDX-License-Identifier: MIT
#include "bench_payload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ALIGNMENT = 64, /* a cache line, so that no message is dearer to copy than another */
    PIECES = 64,    /* different messages; more would take more of the cache */
    ROOM = PIECES * ALIGNMENT,
    CHECK_BYTE = 0x5a,
};

int payload_init(struct payload *payload, size_t size)
{
    uint64_t random = 0x9e3779b97f4a7c15;
    size_t whole = (size + ROOM + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;

    *payload = (struct payload){.bytes = aligned_alloc(ALIGNMENT, whole), .size = size};
    if (!payload->bytes) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < whole; i++) {
        random ^= random << 13; /* xorshift64, Marsaglia 2003 */
        random ^= random >> 7;
        random ^= random << 17;
        payload->bytes[i] = (unsigned char)random;
    }
    return 0;
}

void payload_deinit(struct payload *payload)
{
    free(payload->bytes);
    payload->bytes = NULL;
}

static unsigned char *piece_of(const struct payload *payload, unsigned connection, uint64_t message)
{
    return payload->bytes + ((uint64_t)connection * 7 + message) % PIECES * ALIGNMENT;
}

static unsigned char check_byte(const unsigned char *header)
{
    unsigned char check = CHECK_BYTE;

    for (size_t i = 0; i < PAYLOAD_HEADER - 1; i++) {
        check ^= header[i];
    }
    return check;
}

/* Four bytes of the message's number, three of the connection's, and the check byte. */
static void write_header(unsigned char *header, unsigned connection, uint64_t message)
{
    for (size_t i = 0; i < 4; i++) {
        header[i] = (unsigned char)(message >> (8 * i));
    }
    for (size_t i = 0; i < 3; i++) {
        header[4 + i] = (unsigned char)(connection >> (8 * i));
    }
    header[PAYLOAD_HEADER - 1] = check_byte(header);
}

bool payload_identify(const unsigned char header[static PAYLOAD_HEADER], unsigned *connection,
                      uint64_t *message)
{
    *message = 0;
    *connection = 0;
    for (size_t i = 0; i < 4; i++) {
        *message |= (uint64_t)header[i] << (8 * i);
    }
    for (size_t i = 0; i < 3; i++) {
        *connection |= (unsigned)header[4 + i] << (8 * i);
    }
    return header[PAYLOAD_HEADER - 1] == check_byte(header);
}

const void *payload_lend(struct payload *payload, struct payload_loan *loan, unsigned connection,
                         uint64_t message, size_t position)
{
    loan->header = piece_of(payload, connection, message);
    memcpy(loan->under, loan->header, PAYLOAD_HEADER);
    write_header(loan->header, connection, message);
    return loan->header + position;
}

void payload_return(const struct payload_loan *loan)
{
    memcpy(loan->header, loan->under, PAYLOAD_HEADER);
}

static void describe_byte(char *error, size_t position, unsigned char is, unsigned char expected)
{
    snprintf(error, PAYLOAD_ERROR_MAX, "byte %zu is 0x%02x, not 0x%02x", position + 1, is,
             expected);
}

/* The header is complete, and not the expected one. */
static void describe_header(char *error, const unsigned char *header, const unsigned char *expected,
                            unsigned connection, uint64_t message)
{
    uint64_t other;
    unsigned other_connection;
    size_t i = 0;

    if (!payload_identify(header, &other_connection, &other)) {
        while (header[i] == expected[i]) {
            i++;
        }
        describe_byte(error, i, header[i], expected[i]);
    } else if (other_connection == connection) {
        snprintf(error, PAYLOAD_ERROR_MAX, "message %llu came where %llu should have",
                 (unsigned long long)other, (unsigned long long)message);
    } else {
        snprintf(error, PAYLOAD_ERROR_MAX,
                 "message %llu of connection %u came where %llu of this one should have",
                 (unsigned long long)other, other_connection, (unsigned long long)message);
    }
}

bool payload_check(const struct payload *payload, unsigned connection, uint64_t message,
                   size_t position, const void *data, size_t length,
                   unsigned char header[static PAYLOAD_HEADER],
                   char error[static PAYLOAD_ERROR_MAX])
{
    const unsigned char *is = data;
    const unsigned char *piece = piece_of(payload, connection, message);
    unsigned char expected[PAYLOAD_HEADER];

    if (position < PAYLOAD_HEADER) {
        size_t rest = PAYLOAD_HEADER - position;
        size_t n = length < rest ? length : rest;
        memcpy(header + position, is, n);
        position += n;
        is += n;
        length -= n;
        if (position < PAYLOAD_HEADER) {
            return true;
        }
        write_header(expected, connection, message);
        if (memcmp(header, expected, PAYLOAD_HEADER) != 0) {
            describe_header(error, header, expected, connection, message);
            return false;
        }
    }
    if (memcmp(is, piece + position, length) == 0) {
        return true;
    }
    for (; *is == piece[position]; is++) {
        position++;
    }
    describe_byte(error, position, *is, piece[position]);
    return false;
}
