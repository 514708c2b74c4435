// SPDX-License-Identifier: MIT
#pragma once

/*
 * Whose datagrams are answered directly while a socket's send buffer is crowded.
 *
 * The kernel charges all replies that are not read yet to the socket that has sent them, and when
 * SO_SNDBUF is full nobody is answered any more (debt.h). Up to half of it nothing has to be known
 * of who reads. Beyond that, a user is answered directly only on credit: each reply is charged to
 * him, until what all have unread comes down to where it was at least before these, and half of
 * them more: then he evidently reads, and is charged nothing. A user whose credit is spent is
 * answered by way of the debts, which look at each address by itself and send little that may stay
 * unread. Then he is tried: he gets credit again, while no other whose credit is spent does, so
 * that what grows is his doing. If that shows that he reads he is trusted as before; if not, he
 * gets half as much after twice as long, but one reply at least. So a user who reads nothing takes
 * a bounded part of the buffer, and one who reads is not slowed down for long. (Who reads the half
 * of what he is sent passes for one who reads: with what he leaves he can fill the buffer in the
 * end.)
 *
 * Users whom the kernel does not name are one. Where there are more users than there is room for,
 * the others are answered by way of the debts.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    TRUST_USERS = 64,
    TRUST_SHARE = 64,              /* a user's credit is so much of the send buffer, */
    TRUST_CREDITS = 3,             /* and so many of these are all that he is given, */
    TRUST_SHARE_OF_ALL = 4,        /* as all users are so much; */
    TRUST_SURE_SHARE = 256,        /* less than this shows nothing */
    TRUST_TRIAL_USEC = 20 * 1000,  /* who has sent too little by then is tried again later, */
    TRUST_AGAIN_USEC = 50 * 1000,  /* as who does not read is after this, */
    TRUST_DOUBTS = 11,             /* so often ever later */
    TRUST_WINDOW = 64,             /* looks, */
    TRUST_WINDOW_USEC = 20 * 1000, /* if they do not take longer than this */
};

enum trust_state {
    TRUST_GIVEN,
    TRUST_SPENT,
    TRUST_TRIED,
};

struct trusted {
    uid_t uid;
    bool used;
    enum trust_state state;
    bool exhausted;      /* he could not be answered for want of credit */
    size_t charged;      /* bytes of the send buffer that nothing shows to be read; */
    size_t charged_once; /* those of credits before this one */
    size_t base;         /* bytes that all had unread before these */
    size_t left;         /* and when his trial was put off */
    unsigned doubts;     /* how often he has not seemed to read, when he was tried */
    uint64_t until;      /* when he is tried at the earliest, or how long; CLOCK_MONOTONIC, usec */
};

struct trust {
    struct trusted users[TRUST_USERS];
    struct trusted *tried; /* or NULL */
    size_t charged;        /* to all users */
    size_t unread;         /* bytes, when trust_look() was called last */
    uint64_t now;
    size_t low[2];  /* of these, in this window of looks and in the last one */
    unsigned looks; /* in this one, */
    uint64_t since; /* which began then */
};

/* Nobody is charged anything. */
void trust_reset(struct trust *trust);

/* Notes that UNREAD bytes of a buffer of CAPACITY are in use. To be called often while it is
 * crowded. */
void trust_look(struct trust *trust, size_t unread, size_t capacity, uint64_t now);

/* What was unread at least, of late: by who does not read, for the most part. */
static inline size_t trust_floor(const struct trust *trust)
{
    return trust->low[0] < trust->low[1] ? trust->low[0] : trust->low[1];
}

/* Whether UID may have BYTES more of the buffer, which are charged to him then. */
bool trust_take(struct trust *trust, uid_t uid, size_t bytes, size_t capacity);
