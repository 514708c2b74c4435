// SPDX-License-Identifier: MIT
#pragma once

/*
 * A client that is sent away with a last word. The word must reach it whatever the client does: one
 * that is just about to send would get EPIPE from a closed socket and might never look for an
 * answer. So it may go on sending, which nobody reads, until it has shut down its writing side or
 * closed; but not for longer than FAREWELL_USEC, and of those who are many the first have to go.
 */

#include <stddef.h>
#include <stdint.h>

struct loop;
struct visitor;
struct farewell;

enum {
    FAREWELLS_MAX = 64, /* of all loops, but each has */
    FAREWELLS_MIN = 4,
    FAREWELL_USEC = 1000 * 1000,
    FAREWELL_REST_USEC = 5 * 1000 * 1000, /* for a word that is too long to be sent at once */
};

/* How many of FAREWELLS_MAX each of N loops may have. */
static inline unsigned farewells_share(size_t n)
{
    return n < FAREWELLS_MAX / FAREWELLS_MIN ? (unsigned)(FAREWELLS_MAX / n) : FAREWELLS_MIN;
}

/* Those of one loop, oldest first. */
struct farewells {
    struct farewell *first;
    struct farewell *last;
    unsigned count;
};

/*
 * Takes the visitor over, who gives its place on its user's account to others, and sends TEXT of
 * LENGTH bytes as the last thing; 0 bytes: everything has been said. Returns 0, or a negative errno
 * if it could not be sent.
 */
int farewell_begin(struct loop *loop, const struct visitor *visitor, const char *text,
                   size_t length);

/* When farewell_end_due() has to be called, CLOCK_MONOTONIC in microseconds; UINT64_MAX if there
 * are none. */
uint64_t farewell_deadline(const struct farewells *farewells);

/*
 * Ends those whose time is over at NOW, the oldest of too many, and, if the loop is draining, those
 * to whom everything has been said. Not to be called within a turn of the loop, which may hold
 * events of theirs.
 */
void farewell_end_due(struct loop *loop, uint64_t now);
void farewell_end_all(struct loop *loop);

/*
 * For another process, which is to go on: calls TAKE for each, with what is left of the text; and
 * forgets all, closing their descriptors and nothing else.
 */
void farewell_each(const struct farewells *farewells,
                   void (*take)(void *context, int fd, int type, const char *rest, size_t length),
                   void *context);
void farewell_forget_all(struct loop *loop);
