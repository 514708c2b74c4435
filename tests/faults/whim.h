// SPDX-License-Identifier: MIT
#pragma once

/* What a client does that has changed its mind in the middle: one of many things, as CHOICE says.
 * It closes its socket a moment later. */

#include <stdint.h>

#include "swarm.h"

void whim(struct swarm *swarm, int fd, uint64_t choice);
