// SPDX-License-Identifier: MIT
#pragma once

/* What /proc/PID/status says of the groups of a process (proc(5)). */

#include <stddef.h>
#include <sys/types.h>

/*
 * Reads the supplementary groups out of TEXT, as long as it is the status of a process that is
 * throughout (real, effective, saved and file system ids) the UID and GID that are expected. One
 * that has become somebody else, by executing a set-user-ID program for example, has not the groups
 * that it had before.
 *
 * Returns how many groups there are in GROUPS, in the order of the kernel, or a negative errno:
 * -EPERM if the ids are others, -ENOBUFS if there are more than MAX, -EINVAL if the text is not
 * understood or not whole.
 */
ssize_t peer_status_groups(const char *text, uid_t uid, gid_t gid, gid_t *groups, size_t max);
