// SPDX-License-Identifier: MIT
#pragma once

/*
 * How this process ends. On a stop the workers send out what has been read, and all is closed. On a
 * restart they stop as they are, and what they hold goes to the next process (handover.h); if that
 * does not work out, it becomes a stop, which loses nobody's answers.
 *
 * A reload that finds another program in the place of this one does the same within the process. If
 * that does not work out, all goes on as it was. Only once the program has been executed there is
 * no way back; so it is run before, to see whether it starts (rehearsal.h).
 */

#include <stdbool.h>
#include <stddef.h>
#include <systemd/sd-event.h>

#include "activation.h"
#include "rehearsal.h"
#include "workers.h"

enum departure_phase {
    DEPARTURE_NONE,
    DEPARTURE_DRAINS,   /* for a stop */
    DEPARTURE_RESTARTS, /* the workers yield */
    DEPARTURE_EXECUTES, /* the workers yield */
};

struct departure {
    sd_event *event;
    struct workers *workers;
    const struct activated *sockets;
    size_t n_sockets;
    char **argv; /* of this program */
    enum departure_phase phase;
    bool stop_asked;             /* while the workers yield for a reload */
    struct rehearsal *rehearsal; /* of the program that a reload has found, or NULL */
    /* Called if a reload comes to nothing after it has begun; the log has said why. */
    void (*reload_failed)(struct departure *departure);
};

void departure_deinit(struct departure *departure);

/* Begins a stop. */
void departure_stop(struct departure *departure);

/* Begins to hand over, if there is a next process. */
void departure_restart(struct departure *departure);

/* Begins it if there is another program to execute in place. Returns 1 if so, 0 if there is none,
 * or a negative errno that the log has explained. */
int departure_reload(struct departure *departure);

/* To be called when all workers have stopped. Returns 1 if it is time to exit, 0 if they go on, or
 * a negative errno that the log has explained. */
int departure_advance(struct departure *departure);

/* Whether a reload has begun, and whether the program it has found starts is not known yet. */
static inline bool departure_rehearses(const struct departure *departure)
{
    return departure->rehearsal != NULL;
}

static inline bool departure_is_final(const struct departure *departure)
{
    return departure->phase != DEPARTURE_NONE;
}
