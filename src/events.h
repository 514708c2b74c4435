// SPDX-License-Identifier: MIT
#pragma once

/*
 * The control plane's event loop, which a want of memory does not end. sd-event(3) allocates as it
 * comes to need it, and what it has read when it then fails, a signal for example, is lost. So it
 * is made to need it before anybody is served.
 */

#include <systemd/sd-event.h>

/* To be called when all sources have been added. Returns 0 or a negative errno. */
int events_prepare(sd_event *event);

/* As sd_event_loop(3), but goes on after a failure, which the log tells. */
int events_run(sd_event *event);
