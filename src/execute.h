// SPDX-License-Identifier: MIT
#pragma once

/*
 * A new version of this program in place of the old one: same process, same sockets, and what was
 * packed for it, as if systemd had passed all that (sd_listen_fds(3)). As long as the kernel has
 * not begun with it there is a way back; whether it comes up then is for rehearsal.h to find out
 * before.
 */

#include <stdbool.h>
#include <stddef.h>

#include "activation.h"
#include "handover.h"

/* Whether the file at PROGRAM is another one than this process runs. */
bool execute_is_due(const char *program);

/*
 * Executes ARGV[0] with ARGV; there is one thread. Returns a negative errno if that fails, and all
 * descriptors are what they were.
 */
int execute(char **argv, const struct activated *sockets, size_t n_sockets,
            const struct handover *handover);
