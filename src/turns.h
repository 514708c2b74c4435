// SPDX-License-Identifier: MIT
#pragma once

/*
 * Users take turns.
 *
 * The kernel hands out events in the order in which they came up, so who has ten thousand busy
 * connections would be served ten thousand times between two times of who has one. So where there
 * are others, and more events than a turn of the loop has room for, a user's events beyond
 * TURNS_PER_USER are postponed to the next turns, in their order. What is postponed is not watched
 * meanwhile, or it would come up in each turn. A user who is alone never waits, and nobody does
 * where all fits into one turn: there is nobody behind who could not be seen.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct watch;

enum {
    TURNS_ROOM = 64,    /* events in a turn, */
    TURNS_PER_USER = 8, /* and of these one user's in a crowd */
};

/* A user with something to be watched in this loop. */
struct guest {
    const void *user; /* first: what the tree compares */
    size_t watches;
    uint64_t turn;       /* the last one in which he was served, */
    unsigned taken;      /* and how often */
    struct watch *first; /* of those that are postponed */
    struct watch **last;
    struct guest *next; /* of those who have any */
};

struct turns {
    unsigned room;     /* TURNS_ROOM */
    unsigned per_user; /* TURNS_PER_USER */
    void *by_user;     /* tsearch(3) */
    size_t guests;
    uint64_t turn;
    bool is_crowded;     /* there is more than this turn has room for; */
    unsigned left;       /* of what is postponed it has room for so much */
    struct guest *first; /* who is next, of those with something postponed */
    struct guest **last;
};

void turns_init(struct turns *turns);

/* USER, a pointer that is only compared, has one more watch; NULL if there is no memory. And one
 * less, which must not be postponed. */
struct guest *turns_join(struct turns *turns, const void *user);
void turns_leave(struct turns *turns, struct guest *guest);

/* Begins another turn, with so many new EVENTS. */
static inline void turns_begin(struct turns *turns, unsigned events)
{
    turns->turn++;
    turns->is_crowded = events >= turns->room;
    turns->left = turns->is_crowded ? turns->room : turns->room - events;
}

/* Whether there is more to be done than a turn has room for. */
static inline bool turns_are_scarce(const struct turns *turns)
{
    return turns->is_crowded || turns->first;
}

/* Whether an event of GUEST's is to be served now; if not, it is to be postponed. */
bool turns_take(struct turns *turns, struct guest *guest);

/* Puts WATCH behind what else its guest has postponed, and takes it out again. */
void turns_postpone(struct turns *turns, struct watch *watch);
void turns_forget(struct turns *turns, struct watch *watch);

/* Takes out the next watch whose time has come in this turn; NULL if there is none. */
struct watch *turns_next(struct turns *turns);
