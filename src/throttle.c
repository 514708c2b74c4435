// SPDX-License-Identifier: MIT
#include "throttle.h"

#include <stddef.h>

/*
 * One user may have many uids: those from here on are handed out by the range (subuid(5)), and
 * containers take them. They have windows of their own, so that they cannot use up those of others.
 */
enum { UIDS_OF_RANGES = 65536 };

enum { PROBES = 8 };

void throttle_init(struct throttle *throttle, throttle_report report, void *context)
{
    throttle->report = report;
    throttle->context = context;
    throttle->flush_at = UINT64_MAX;
}

static bool is_same(const struct throttle_kind *a, const struct throttle_kind *b)
{
    return a->uid == b->uid && a->allow == b->allow && a->role == b->role;
}

/* The window of those decisions: its own, one that nobody needs any more, or a shared one. */
static struct throttle_window *find_window(struct throttle *throttle, uint64_t now,
                                           const struct throttle_kind *kind)
{
    const struct throttle_window fresh = {.used = true, .kind = *kind};
    unsigned range = kind->uid >= UIDS_OF_RANGES && kind->uid != THROTTLE_UNKNOWN;
    unsigned verdict = (kind->role == ROLE_WHOAMI ? 2U : 0U) + kind->allow;
    uint64_t start =
        ((uint64_t)kind->uid * THROTTLE_VERDICTS + verdict) * 0x9e3779b97f4a7c15U >> 32;
    struct throttle_window *vacant = NULL;

    for (size_t i = 0; i < PROBES; i++) {
        struct throttle_window *window = &throttle->windows[range][(start + i) % THROTTLE_WINDOWS];
        if (window->used && is_same(&window->kind, kind)) {
            return window;
        }
        if (!vacant && (!window->used || (window->until <= now && window->left_out == 0))) {
            vacant = window;
        }
    }
    if (vacant) {
        *vacant = fresh;
        return vacant;
    }
    vacant = &throttle->shared[range][verdict];
    if (!vacant->used) {
        *vacant = fresh;
        vacant->kind.uid = THROTTLE_UNKNOWN;
    }
    return vacant;
}

/* Reports how many were left out. Returns whether that is done. */
static bool close_window(const struct throttle *throttle, struct throttle_window *window)
{
    if (window->left_out > 0 &&
        !throttle->report(throttle->context, &window->kind, window->left_out)) {
        return false;
    }
    window->left_out = 0;
    return true;
}

static void flush_by(struct throttle *throttle, uint64_t when)
{
    throttle->flush_at = when < throttle->flush_at ? when : throttle->flush_at;
}

bool throttle_pass(struct throttle *throttle, uint64_t now, const struct throttle_kind *kind)
{
    struct throttle_window *window = find_window(throttle, now, kind);

    if (window->until <= now && close_window(throttle, window)) {
        window->until = now + THROTTLE_WINDOW_USEC;
        window->passed = 0;
    }
    if (window->passed >= THROTTLE_BURST) {
        window->left_out++;
        flush_by(throttle, window->until);
        return false;
    }
    window->passed++;
    return true;
}

void throttle_leave_out(struct throttle *throttle, uint64_t now, const struct throttle_kind *kind,
                        uint64_t count)
{
    struct throttle_window *window = find_window(throttle, now, kind);

    window->left_out += count;
    flush_by(throttle, window->until);
}

/* Flushes one window. Returns how many decisions had to be forgotten. */
static uint64_t flush_window(struct throttle *throttle, uint64_t now, bool final,
                             struct throttle_window *window)
{
    if ((window->until <= now || final) && !close_window(throttle, window)) {
        if (final) {
            return window->left_out;
        }
        window->until = now + THROTTLE_RETRY_USEC;
    }
    if (window->left_out > 0) {
        flush_by(throttle, window->until);
    }
    return 0;
}

uint64_t throttle_flush(struct throttle *throttle, uint64_t now, bool final)
{
    uint64_t forgotten = 0;

    throttle->flush_at = UINT64_MAX;
    for (size_t range = 0; range < THROTTLE_RANGES; range++) {
        for (size_t i = 0; i < THROTTLE_WINDOWS; i++) {
            forgotten += flush_window(throttle, now, final, &throttle->windows[range][i]);
        }
        for (size_t i = 0; i < THROTTLE_VERDICTS; i++) {
            forgotten += flush_window(throttle, now, final, &throttle->shared[range][i]);
        }
    }
    return forgotten;
}
