// SPDX-License-Identifier: MIT
#pragma once

/* Which .socket unit a socket belongs to, and how it and its service are, as far as a systemd can
 * be asked. */

#include <stdbool.h>

#include "target.h"

/* A .socket unit, and the service that it starts. Names and states are systemd's, "" where it has
 * none. */
enum { UNIT_NAME_SIZE = 256, UNIT_STATE_SIZE = 32 };
struct unit {
    enum {
        UNIT_UNASKED, /* there is no systemd here that one could ask */
        UNIT_NONE,
        UNIT_FOUND,
    } found;
    char name[UNIT_NAME_SIZE];
    char active[UNIT_STATE_SIZE]; /* "active", "inactive", "failed", … */
    char sub[UNIT_STATE_SIZE];    /* "listening", "running", … */
    char result[UNIT_STATE_SIZE]; /* "success", "service-start-limit-hit", … */
    bool user;                    /* of the user's manager, not of the system's */

    char service[UNIT_NAME_SIZE];
    char service_active[UNIT_STATE_SIZE];
    char service_result[UNIT_STATE_SIZE]; /* "success", "exit-code", … */
    int service_code;                     /* how its last process ended: CLD_…, 0 if it has not */
    int service_status;                   /* its exit status, or the signal */
};

/*
 * Looks for the unit that listens at ADDRESS, an absolute path or "@name". It only asks, and for
 * two seconds at most: nothing is started by it.
 */
void unit_find(struct unit *unit, const char *address);

/*
 * Looks at the states of a unit that was found, anew. A service that is just starting is watched
 * for two seconds: one that fails at each start, and is started again by the client that waits, has
 * failed for a moment only.
 */
void unit_look(struct unit *unit);

/* Whether the service does not run because something went wrong with it. */
bool unit_service_has_failed(const struct unit *unit);

/* Whether the service runs, or is about to. */
bool unit_service_is_up(const struct unit *unit);

/*
 * Whether TARGET is the socket of a unit whose service is not running, so that the first client
 * starts it. False where there is no systemd that one could ask.
 */
bool unit_waits_for_client(const struct target *target);
