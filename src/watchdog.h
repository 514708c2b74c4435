// SPDX-License-Identifier: MIT
#pragma once

/*
 * Tells the service manager that the service is alive (WatchdogSec=, sd_watchdog_enabled(3)): only
 * if each worker has gone round its loop since the last time. So a worker that hangs, in whatever,
 * has the service started anew, although the control plane would answer.
 */

#include <systemd/sd-event.h>

#include "workers.h"

struct watchdog;

/* Begins if the service manager waits for it; RET is NULL if not. WORKERS stay the caller's.
 * Returns 0 or a negative errno. watchdog_free() takes NULL. */
int watchdog_new(sd_event *event, struct workers *workers, struct watchdog **ret);
void watchdog_free(struct watchdog *watchdog);
