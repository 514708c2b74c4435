// SPDX-License-Identifier: MIT
#pragma once

/*
 * A reload: makes way for another version of this program, if there is one (departure.h); else
 * reads the policy again and hands it to the workers, if there is nothing wrong with it. The
 * service manager is told of the beginning and the end, which is when the workers have it
 * (sd_notify(3)). One that is asked for meanwhile is done afterwards.
 */

#include <stdbool.h>
#include <stdint.h>

#include "departure.h"
#include "workers.h"

struct reload {
    struct departure *departure;
    struct workers *workers;
    const char *policy_file; /* or NULL */
    uint64_t policies;       /* how many new ones the workers were given */
    bool waits;              /* the last of these is not in force yet */
    bool again;              /* and another reload was asked for */
};

/* Begins one, as far as that can be done now. */
void reload_begin(struct reload *reload);

/* To be called when a worker has something to tell: it may be that the policy is in force. */
void reload_advance(struct reload *reload);

/* To be called when it has come to nothing that there is another program. */
void reload_end(struct reload *reload);
