// SPDX-License-Identifier: MIT
#pragma once

/* How many descriptors there are, and who needs them. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Raises the soft limit to the hard one. Returns for how many connections there are descriptors
 * then, besides those that the daemon needs for itself, now or in a moment (sd_notify(3) opens a
 * socket each time).
 */
uint64_t descriptors_fit(size_t n_sockets, size_t n_workers, bool has_policy);
