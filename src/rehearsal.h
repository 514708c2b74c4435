// SPDX-License-Identifier: MIT
#pragma once

/*
 * Whether a program starts at all, before this process makes way for it: it is run beside this
 * process, in the same sandbox, with --version and nothing else. What the kernel or the dynamic
 * loader refuses, or what ends badly by itself, shows while all clients are still served.
 */

#include <systemd/sd-event.h>

struct rehearsal;

enum { REHEARSAL_TEXT_MAX = 128 };

/* FAILURE is NULL if it went well, or the end of a sentence that begins with the program. */
typedef void rehearsal_ended(void *context, const char *failure);

/*
 * Begins it, for PROGRAM, a path; SIGCHLD has to be blocked (sd_event_add_child(3)). ENDED is
 * called once from the event loop, after a few seconds at most, and may free the rehearsal. Returns
 * 0, or a negative errno if it could not be begun.
 */
int rehearsal_new(sd_event *event, char *program, rehearsal_ended *ended, void *context,
                  struct rehearsal **ret);

/* Has the program end if it still runs; NULL is no rehearsal. */
void rehearsal_free(struct rehearsal *rehearsal);
