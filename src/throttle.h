// SPDX-License-Identifier: MIT
#pragma once

/*
 * A bound on how much is written of what clients bring about: at most THROTTLE_BURST decisions of
 * one kind, that is of each verdict on each uid in each role, in THROTTLE_WINDOW_USEC. The others
 * are counted, and how many they were is reported when that time is over. Refusals have a budget of
 * their own: nobody can hide them behind what was admitted.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "activation.h"

enum {
    THROTTLE_BURST = 100,
    THROTTLE_WINDOW_USEC = 30 * 1000 * 1000,
    THROTTLE_RETRY_USEC = 1000 * 1000,
    THROTTLE_WINDOWS = 512, /* kinds that are told apart at once */
    THROTTLE_RANGES = 2,
    THROTTLE_VERDICTS = 4, /* roles and verdicts */
};

/* For a uid, one that is not known. */
#define THROTTLE_UNKNOWN ((uid_t)-1)

/* What decisions have to have in common to be counted together. */
struct throttle_kind {
    enum role role;
    bool allow;
    uid_t uid;
};

/* Is told that LEFT_OUT decisions were left out. Returns whether it could take that; if not, it is
 * told again after THROTTLE_RETRY_USEC. */
typedef bool (*throttle_report)(void *context, const struct throttle_kind *kind, uint64_t left_out);

/* Decisions of one kind, since the first of them that passed. */
struct throttle_window {
    bool used;
    struct throttle_kind kind;
    unsigned passed;
    uint64_t left_out;
    uint64_t until; /* CLOCK_MONOTONIC in microseconds */
};

struct throttle {
    throttle_report report;
    void *context;
    struct throttle_window windows[THROTTLE_RANGES][THROTTLE_WINDOWS];
    struct throttle_window shared[THROTTLE_RANGES][THROTTLE_VERDICTS]; /* for who finds no window */
    uint64_t flush_at;
};

/* The memory of THROTTLE is all zero. */
void throttle_init(struct throttle *throttle, throttle_report report, void *context);

/* Whether a decision of KIND is to be written; if not, it is counted. NOW is CLOCK_MONOTONIC in
 * microseconds, here and below. */
bool throttle_pass(struct throttle *throttle, uint64_t now, const struct throttle_kind *kind);

/* Counts COUNT that somebody else has left out; they are reported together with those from here. */
void throttle_leave_out(struct throttle *throttle, uint64_t now, const struct throttle_kind *kind,
                        uint64_t count);

/* Reports what was left out where the time is over; FINAL: everywhere. Returns how many could not
 * be reported and, FINAL, never will. */
uint64_t throttle_flush(struct throttle *throttle, uint64_t now, bool final);

/* When throttle_flush() has to be called, CLOCK_MONOTONIC; UINT64_MAX if nothing was left out. */
static inline uint64_t throttle_deadline(const struct throttle *throttle)
{
    return throttle->flush_at;
}
