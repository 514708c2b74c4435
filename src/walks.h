// SPDX-License-Identifier: MIT
#pragma once

/*
 * Who may have how many paths followed in a turn.
 *
 * The way back to a sender whose address is a path takes a call for each directory on it
 * (sender.h), and a client may choose fifty of them, for nothing. So in one turn a user has a few
 * steps, but one path at least; his other replies are owed, and wait for the next turns.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum {
    WALKS_STEPS = 32, /* of one user, */
    WALKS_USERS = 8,  /* and so many users */
};

struct walks {
    struct {
        uid_t uid;
        unsigned steps;
    } users[WALKS_USERS];
    size_t n;
};

/* Begins a turn. */
static inline void walks_begin(struct walks *walks)
{
    walks->n = 0;
}

/* Whether UID may have a path of STEPS followed, which is counted then. */
static inline bool walks_take(struct walks *walks, uid_t uid, unsigned steps)
{
    size_t i = 0;

    while (i < walks->n && walks->users[i].uid != uid) {
        i++;
    }
    if (i == WALKS_USERS) {
        return false;
    }
    if (i == walks->n) {
        walks->users[i].uid = uid;
        walks->users[i].steps = 0;
        walks->n++;
    }
    if (walks->users[i].steps >= WALKS_STEPS) {
        return false;
    }
    walks->users[i].steps += steps;
    return true;
}
