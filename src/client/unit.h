// SPDX-License-Identifier: MIT
#pragma once

/* Which .socket unit a socket belongs to, as far as a systemd can be asked. */

#include <stdbool.h>

#include "target.h"

/* A .socket unit. Names and states are systemd's, "" where it has none. */
enum { UNIT_NAME_SIZE = 256, UNIT_STATE_SIZE = 32 };
struct unit {
    enum {
        UNIT_UNASKED, /* there is no systemd here that one could ask */
        UNIT_NONE,
        UNIT_FOUND,
    } found;
    char name[UNIT_NAME_SIZE];
    char service[UNIT_NAME_SIZE]; /* that it starts */
    char active[UNIT_STATE_SIZE]; /* "active", "inactive", "failed", … */
    char sub[UNIT_STATE_SIZE];    /* "listening", "running", … */
    bool user;                    /* of the user's manager, not of the system's */
};

/*
 * Looks for the unit that listens at ADDRESS, an absolute path or "@name". It only asks, and for
 * two seconds at most: nothing is started by it.
 */
void unit_find(struct unit *unit, const char *address);

/*
 * Whether TARGET is the socket of a unit whose service is not running, so that the first client
 * starts it. False where there is no systemd that one could ask.
 */
bool unit_waits_for_client(const struct target *target);
