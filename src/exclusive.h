// SPDX-License-Identifier: MIT
#pragma once

/*
 * Whose turn it is to be sent something while a socket's send buffer is crowded: one user's at a
 * time.
 *
 * How much of the buffer unread replies take is known of all peers together only (debt.h). As long
 * as several users are sent something at once, what one reads may pass for what another does: the
 * processor has only to be away from the first for a while. So when the buffer is crowded, a turn
 * is one user's, and nobody else is sent anything until what is unread has come down to where it
 * was before, or he has had his time. Then the next turn is another's. So there is never more
 * unread after the turn of one who is said to read, whoever it was that read.
 *
 * What a user has not read in his turn is his loss. The more he loses the less he gets, and at
 * last he has ever fewer turns. (Before that it may be some of his addresses that do not read, and
 * the others need not wait for long.) When it is seen later that something of that has been read,
 * it is taken for his whose loss it fits best.
 *
 * Of whom it is not known yet that he reads gets one reply in a turn. Who is known to read gets
 * what he is owed, and is answered directly for a while, as long as no more is unread at any time
 * than a small part of the buffer.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    EXCLUSIVE_USERS = 64, /* of more, some share a place */
    EXCLUSIVE_LOOK_USEC = 50,
    EXCLUSIVE_SLICE_USEC = 2 * 1000,    /* so long is answered directly in a turn */
    EXCLUSIVE_PATIENCE_USEC = 5 * 1000, /* how long a turn lasts at most, */
    EXCLUSIVE_PATIENCE_DOUBLED = 4,     /* so often longer for who has always read, or never */
    EXCLUSIVE_AGAIN_USEC = 50 * 1000,   /* after that he who has not read has the next one, */
    EXCLUSIVE_FAILURES = 16,            /* so often later each time */
    EXCLUSIVE_ALLOWANCE = 2,            /* so much of the limit he may lose in all, */
    EXCLUSIVE_REST = 64,                /* and such a part of it is his if he has; */
    EXCLUSIVE_TOO_MUCH = 8,             /* who loses so much of it waits ever longer */
    EXCLUSIVE_SURE_USEC = 5 * 1000,     /* after this it is clear who has read what he had lost */
    EXCLUSIVE_KNOWN = 3,                /* turns in a row after which it is known that he reads */
};

struct exclusive_user {
    uid_t uid;
    bool used;
    unsigned successes; /* turns in a row in which he has read; */
    unsigned failures;  /* or has not; who has lost too much begins no new row */
    size_t lost;        /* bytes that were unread after those, as far as is known also now; */
    uint64_t last;      /* the number of his last turn */
    uint64_t due;       /* when he may have the next one, CLOCK_MONOTONIC in microseconds */
};

struct exclusive {
    struct exclusive_user users[EXCLUSIVE_USERS];
    size_t unread; /* bytes, when it was looked last, and what has been sent since; */
    uint64_t now;  /* when that was */

    size_t losers;                 /* users who have lost something */
    size_t expected;               /* bytes that are unread if they have not read any of that; */
    struct exclusive_user *reader; /* who seems to have, or NULL; */
    uint64_t reader_since;

    struct exclusive_user *current; /* whose turn it is, or NULL */
    uid_t uid;                      /* his own, if he shares the place */
    uint64_t turn;                  /* its number, or that of the last one; from 1 on */
    size_t base;                    /* bytes that were unread before it */
    size_t limit;                   /* and that may be more at any time, if he is known to read; */
    size_t too_much;                /* bytes to lose in all */
    bool is_direct;                 /* he has been answered directly */
    uint64_t since;
    uint64_t until;
};

enum exclusive_verdict {
    EXCLUSIVE_NOBODY, /* it is nobody's turn */
    EXCLUSIVE_WAITING,
    EXCLUSIVE_READ, /* the turn is over */
    EXCLUSIVE_UNREAD,
};

/* Nothing is known of anybody. */
void exclusive_reset(struct exclusive *exclusive);

/* Notes that UNREAD bytes are in use. */
static inline void exclusive_note(struct exclusive *exclusive, size_t unread, uint64_t now)
{
    exclusive->unread = unread;
    exclusive->now = now;
}

/* The same, and what has become of the turn. */
enum exclusive_verdict exclusive_look(struct exclusive *exclusive, size_t unread, uint64_t now);

/* Whether the turn is over, as far as was noted, and nothing more will come of it. */
static inline bool exclusive_is_over(const struct exclusive *exclusive)
{
    return exclusive->current && exclusive->unread <= exclusive->base &&
           (!exclusive->is_direct || exclusive->now >= exclusive->since + EXCLUSIVE_SLICE_USEC);
}

/* When to look at the turn again. */
uint64_t exclusive_look_at(const struct exclusive *exclusive, uint64_t now);

/* What is known of UID: nothing at all is all zeroes. */
struct exclusive_user exclusive_find(const struct exclusive *exclusive, uid_t uid);

static inline bool exclusive_is_known(const struct exclusive_user *user)
{
    return user->successes >= EXCLUSIVE_KNOWN;
}

/* How many bytes more may be unread in USER's turn at any time, where LIMIT is the most. None if it
 * is not known that he reads: then it is one reply; and the less the more he has lost. */
size_t exclusive_limit(const struct exclusive_user *user, size_t limit);

/* UID's turn begins; what was noted last is from before he was sent anything in it. */
void exclusive_begin(struct exclusive *exclusive, uid_t uid, size_t limit);

/* Whether UID may be sent BYTES directly now; they are noted then. */
bool exclusive_take(struct exclusive *exclusive, uid_t uid, size_t bytes);
