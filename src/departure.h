// SPDX-License-Identifier: MIT
#pragma once

/*
 * How this process ends. On a stop the workers send out what has been read, and all is closed. On a
 * restart they stop as they are, and what they hold goes to the next process (handover.h); if that
 * does not work out, it becomes a stop, which loses nobody's answers.
 *
 * A reload that finds another program in the place of this one does the same within the process. If
 * that does not work out, all goes on as it was. Only once the program has been executed there is
 * no way back.
 */

#include <stdbool.h>
#include <stddef.h>

#include "activation.h"
#include "workers.h"

enum departure_phase {
    DEPARTURE_NONE,
    DEPARTURE_DRAINS,   /* for a stop */
    DEPARTURE_RESTARTS, /* the workers yield */
    DEPARTURE_EXECUTES, /* the workers yield */
};

struct departure {
    struct workers *workers;
    const struct activated *sockets;
    size_t n_sockets;
    char **argv; /* of this program */
    enum departure_phase phase;
    bool stop_asked; /* while the workers yield for a reload */
    /* Called if a reload comes to nothing after it has begun; the log has said why. */
    void (*reload_failed)(struct departure *departure);
};

/* Begins a stop. */
void departure_stop(struct departure *departure);

/* Begins to hand over, if there is a next process. */
void departure_restart(struct departure *departure);

/* Begins it if there is another program to execute in place. Returns whether it has. */
bool departure_reload(struct departure *departure);

/* To be called when all workers have stopped. Returns 1 if it is time to exit, 0 if they go on, or
 * a negative errno that the log has explained. */
int departure_advance(struct departure *departure);

static inline bool departure_is_final(const struct departure *departure)
{
    return departure->phase != DEPARTURE_NONE;
}
