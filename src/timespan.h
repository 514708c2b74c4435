// SPDX-License-Identifier: MIT
#pragma once

/*
 * Time spans as systemd writes them (systemd.time(7)): "90s", "5min", "1h 30min", "1.5s", "90"
 * (seconds), "infinity".
 */

#include <stdint.h>

#define TIMESPAN_INFINITY UINT64_MAX

/*
 * Reads TEXT as a time span into *USEC (microseconds, TIMESPAN_INFINITY for "infinity"). Returns 0,
 * -EINVAL for what is no time span, -ERANGE for one that does not fit.
 */
int timespan_parse(const char *text, uint64_t *usec);
