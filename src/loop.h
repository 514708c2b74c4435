// SPDX-License-Identifier: MIT
#pragma once

/*
 * What the sockets of one worker share: its epoll set, the memory that messages pass through, its
 * counters, the list of its connections. A loop belongs to one thread and knows nothing of what
 * watches it: an event goes to the function that the watched socket brought along.
 *
 * Events are level-triggered: a socket is read once for each event, so a busy one cannot starve the
 * others, and what it still holds comes back in the next turn. Nor can a user with many (turns.h).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "busy_poll.h"
#include "common.h"
#include "counters.h"
#include "farewell.h"
#include "turns.h"

struct loop;

/* A descriptor in the epoll set; a part of the object that owns it. */
struct watch {
    void (*ready)(struct loop *loop, struct watch *watch, uint32_t events);
    /* Serves what may be there without an event that says so. Returns whether anything was. NULL if
     * it cannot be had so. */
    bool (*look)(struct loop *loop, struct watch *watch);
    int fd;
    bool goes_first;     /* it is not one connection: it need not wait for its turn among many */
    struct guest *guest; /* whose it is (turns.h); NULL if it is nobody's, and never postponed */

    uint32_t interest;  /* the events that it is watched for, */
    uint32_t postponed; /* and those that have come and are to be served later: it is not watched */
    struct watch *next; /* of those of its guest that are postponed, or of those that go first; */
    struct watch **link; /* what points at this one, NULL if nothing does */
    uint64_t turn;       /* the one in which it was served last */
};

static inline bool watch_is_postponed(const struct watch *watch)
{
    return watch->guest && watch->link;
}

struct connection;
struct gate;

struct loop {
    int epoll_fd;
    struct common *common; /* what it shares with others, among which it is member INDEX */
    size_t index;

    /*
     * Memory that messages pass through on their way from a receive to the send that follows it:
     * SLOTS times SLOT_SIZE bytes of address space, each slot large enough for the largest message
     * that this host's kernel takes. Pages exist only where messages were, and go back after large
     * ones.
     */
    char *slots;
    size_t slot_size;
    size_t send_buffer_max; /* the largest SO_SNDBUF to be had here, as the kernel counts it, */
    size_t send_buffer;     /* and that of a new Unix socket */
    bool slots_grown;       /* a message was larger than LOOP_SLOT_KEPT */
    int pipe[2];            /* for transfer_splice(); empty between two messages, or -1 */

    struct turns turns;
    struct watch *first; /* of those that go first, in the order in which they came */
    struct watch **first_end;
    struct busy_poll busy_poll;
    bool quiet;        /* the last turn had little to do: looking again may pay */
    struct watch *hot; /* where something is most likely to come next, or NULL */

    uint32_t tick; /* coarse time, for those who want to know when something was used (idle.h) */
    struct connection *connections;
    size_t stalled;         /* connections that wait for their user to have less unread, */
    uint64_t stalls;        /* and how many there have been */
    uint64_t stalled_until; /* when to look whether he has, CLOCK_MONOTONIC in microseconds */
    struct farewells farewells;
    unsigned farewells_max; /* of those, this loop's share */
    bool descriptor_freed;  /* a connection was closed since accepting paused */
    bool accept_failed; /* no descriptor or memory for another connection: accepting must pause */
    uint64_t refusing_nsec; /* what refusing connections has taken since somebody looked */
    bool draining;          /* nothing new is taken on */
    bool own_event;         /* of this turn's events one was nobody's: a command, a timer */

    struct gate *gate; /* NULL if every role is echo; the worker's */
    struct counters counters;
};

enum {
    LOOP_SLOTS = 16,            /* the longest batch of datagrams */
    LOOP_SLOT_KEPT = 64 * 1024, /* bytes of a slot that may stay resident */
};

/* Returns 0 or a negative errno; loop_deinit() is right after either, and safe to call twice. */
int loop_init(struct loop *loop, struct common *common, size_t index,
              struct busy_poll_option busy_poll);
void loop_deinit(struct loop *loop);

static inline char *loop_slot(const struct loop *loop, size_t index)
{
    return loop->slots + index * loop->slot_size;
}

/*
 * Adds, changes and removes a watch. EVENTS are epoll_ctl(2)'s. Adding and changing return a
 * negative errno if the kernel has no memory for it (or its limit of watches is reached, epoll(7)).
 */
int loop_watch(struct loop *loop, struct watch *watch, uint32_t events);
int loop_rewatch(struct loop *loop, struct watch *watch, uint32_t events);
void loop_unwatch(struct loop *loop, struct watch *watch);

/* epoll_ctl(2) for WATCH, for the loop's own files. Returns 0 or a negative errno. */
int loop_control(struct loop *loop, int operation, struct watch *watch, uint32_t events);

/* What comes next will probably come there: WATCH can look, and may be forgotten at any time. */
static inline void loop_expect(struct loop *loop, struct watch *watch)
{
    loop->hot = watch;
}

/*
 * Waits for events until TIMEOUT_USEC have passed (UINT64_MAX: for ever) and dispatches them.
 * Returns how many there were; 0 if the time has passed.
 */
int loop_turn(struct loop *loop, uint64_t timeout_usec);

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t loop_now_nsec(void);

/* Replaces the pipe, which holds what is nobody else's to see. There may be none afterwards. */
void loop_renew_pipe(struct loop *loop);

/* Closes a descriptor of a client; accepting may go on if it paused for want of one. */
void loop_close(struct loop *loop, int fd);

/* This loop as the others see it. */
static inline struct member *loop_member(const struct loop *loop)
{
    return &loop->common->members[loop->index];
}

/* CLOCK_MONOTONIC in microseconds. */
uint64_t loop_now(void);
