// SPDX-License-Identifier: MIT
#pragma once

/*
 * The control plane: one sd-event loop for signals, status and the end. It never touches payload;
 * the worker never waits for it.
 */

#include <stddef.h>

#include "activation.h"
#include "options.h"

/*
 * Serves SOCKETS until a signal, or being idle, ends it. Returns 0, or a negative errno that the
 * log has explained.
 */
int service_run(const struct options *options, const struct activated *sockets, size_t n_sockets);
