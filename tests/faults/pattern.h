// SPDX-License-Identifier: MIT
#pragma once

/*
 * What clients send: bytes that depend on who sends them and on their position. Eight bytes are a
 * scrambled number, that of the sender and that of the eight bytes; it can be unscrambled, so that
 * of bytes that are not the expected ones it is known which they are: some are missing before them,
 * they have come again, they are another client's, or they are nobody's.
 */

#include <stddef.h>
#include <stdint.h>

enum {
    PATTERN_SENDER_BITS = 28,
    PATTERN_KNOWN = 15, /* so many bytes of a sender are enough to find out whose they are */
};

enum pattern_verdict {
    PATTERN_RIGHT,
    PATTERN_LOST,     /* what should have come before is missing */
    PATTERN_REPEATED, /* it has come already */
    PATTERN_SWAPPED,  /* it is another sender's */
    PATTERN_CHANGED,
};

struct pattern_finding {
    enum pattern_verdict verdict;
    size_t at;      /* the first byte that is not what it should be */
    uint64_t bytes; /* how many are lost; or how many are here that are not right */
};

/* SENDER is less than 1 << PATTERN_SENDER_BITS. */
void pattern_fill(unsigned char *data, size_t length, uint32_t sender, uint64_t position);

struct pattern_finding pattern_check(const unsigned char *data, size_t length, uint32_t sender,
                                     uint64_t position);

/* A number that looks random and depends on both. */
uint64_t pattern_random(uint32_t sender, uint64_t number);
