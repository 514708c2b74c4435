// SPDX-License-Identifier: MIT
#pragma once

/*
 * The control plane: one sd-event loop for signals, status and the end. It never touches payload;
 * the worker never waits for it.
 */

#include <stddef.h>

#include "activation.h"
#include "options.h"
#include "policy.h"

/*
 * Serves SOCKETS until a signal, or being idle, ends it. POLICY says who may come in, and is taken
 * over; NULL if no role needs one. SIGHUP has it read again from the file that OPTIONS name.
 * Returns 0, or a negative errno that the log has explained.
 */
int service_run(const struct options *options, const struct activated *sockets, size_t n_sockets,
                struct policy *policy);
