// SPDX-License-Identifier: MIT
#pragma once

/*
 * What the counters say, in words: the line that systemctl status shows, and the troubles that are
 * logged, at a limited rate.
 */

#include <stdbool.h>
#include <stdint.h>

#include "counters.h"

struct status {
    bool echoes; /* some role is not whoami */
    uint64_t connected;
    uint64_t messages;
    uint64_t owed;
    uint64_t told;
    uint64_t denied;
    struct {
        uint64_t count; /* how many have been logged */
        uint64_t at;    /* when; CLOCK_MONOTONIC in microseconds */
    } logged[COUNTER_MAX];
};

/* Takes what is to be shown. Returns whether that has changed. */
bool status_look(struct status *status, const struct counters *counters);

/* Tells the service manager (STATUS=, sd_notify(3)). */
void status_show(const struct status *status);

/*
 * Logs each kind of trouble that there has been since it was last logged; NOW is CLOCK_MONOTONIC in
 * microseconds. Returns whether one had to be left for later. FINAL: now or never.
 */
bool status_log_troubles(struct status *status, const struct counters *counters, uint64_t now,
                         bool final);
