// SPDX-License-Identifier: MIT
#include "pattern.h"

#include <stdbool.h>
#include <string.h>

enum { WORD = sizeof(uint64_t), INDEX_BITS = 64 - PATTERN_SENDER_BITS, PIECE = 4096 };

/* The finalizer of SplitMix64, which loses nothing: each step can be undone. */
static const uint64_t first_factor = 0xbf58476d1ce4e5b9;
static const uint64_t second_factor = 0x94d049bb133111eb;
static const uint64_t first_inverse = 0x96de1b173f119089;
static const uint64_t second_inverse = 0x319642b2d24d8ec3;

_Static_assert(UINT64_C(0xbf58476d1ce4e5b9) * UINT64_C(0x96de1b173f119089) == 1, "is the inverse");
_Static_assert(UINT64_C(0x94d049bb133111eb) * UINT64_C(0x319642b2d24d8ec3) == 1, "is the inverse");

static uint64_t scramble(uint64_t value)
{
    value = (value ^ value >> 30) * first_factor;
    value = (value ^ value >> 27) * second_factor;
    return value ^ value >> 31;
}

static uint64_t unscramble(uint64_t value)
{
    value = (value ^ value >> 31 ^ value >> 62) * second_inverse;
    value = (value ^ value >> 27 ^ value >> 54) * first_inverse;
    return value ^ value >> 30 ^ value >> 60;
}

static uint64_t word_of(uint32_t sender, uint64_t index)
{
    return scramble((uint64_t)sender << INDEX_BITS | index);
}

uint64_t pattern_random(uint32_t sender, uint64_t number)
{
    return scramble(word_of(sender, number) + 1);
}

void pattern_fill(unsigned char *data, size_t length, uint32_t sender, uint64_t position)
{
    uint64_t index = position / WORD;
    size_t skip = position % WORD;

    while (length > 0) {
        uint64_t word = word_of(sender, index++);
        size_t n = WORD - skip < length ? WORD - skip : length;
        memcpy(data, (const unsigned char *)&word + skip, n);
        data += n;
        length -= n;
        skip = 0;
    }
}

/* How many bytes are what SENDER has at POSITION. */
static size_t count_right(const unsigned char *data, size_t length, uint32_t sender,
                          uint64_t position)
{
    unsigned char expected[PIECE];

    for (size_t done = 0; done < length;) {
        size_t n = length - done < PIECE ? length - done : PIECE;
        pattern_fill(expected, n, sender, position + done);
        if (memcmp(data + done, expected, n) != 0) {
            while (data[done] == expected[done % PIECE]) {
                done++;
            }
            return done;
        }
        done += n;
    }
    return length;
}

/* Whose bytes these are, and which; they are those of somebody in all likelihood if what is beside
 * the eight that say so is right, too. */
static bool identify(const unsigned char *data, size_t length, uint32_t *sender, uint64_t *position)
{
    for (size_t skip = 0; skip < WORD && skip + WORD <= length; skip++) {
        uint64_t word;
        uint64_t value;
        memcpy(&word, data + skip, WORD);
        value = unscramble(word);
        *sender = (uint32_t)(value >> INDEX_BITS);
        *position = (value << PATTERN_SENDER_BITS >> PATTERN_SENDER_BITS) * WORD - skip;
        if (length >= PATTERN_KNOWN &&
            count_right(data, PATTERN_KNOWN, *sender, *position) == PATTERN_KNOWN) {
            return true;
        }
    }
    return false;
}

static size_t count_wrong(const unsigned char *data, size_t length, uint32_t sender,
                          uint64_t position)
{
    size_t wrong = 0;

    for (size_t i = 0; i < length; i++) {
        unsigned char expected;
        pattern_fill(&expected, 1, sender, position + i);
        wrong += data[i] != expected;
    }
    return wrong;
}

struct pattern_finding pattern_check(const unsigned char *data, size_t length, uint32_t sender,
                                     uint64_t position)
{
    size_t at = count_right(data, length, sender, position);
    uint64_t expected = position + at;
    uint32_t who;
    uint64_t where;

    if (at == length) {
        return (struct pattern_finding){.verdict = PATTERN_RIGHT, .at = at};
    }
    data += at;
    length -= at;
    if (!identify(data, length, &who, &where)) {
        return (struct pattern_finding){
            .verdict = PATTERN_CHANGED,
            .at = at,
            .bytes = count_wrong(data, length, sender, expected),
        };
    }
    if (who != sender) {
        return (struct pattern_finding){PATTERN_SWAPPED, at, length};
    }
    if (where < expected) {
        uint64_t again = expected - where;
        return (struct pattern_finding){PATTERN_REPEATED, at, again < length ? again : length};
    }
    return (struct pattern_finding){PATTERN_LOST, at, where - expected};
}
