// SPDX-License-Identifier: MIT
#pragma once

/* System calls of a client, which never wait. */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "swarm.h"

/* A socket that is connected to the service or, for datagrams, bound to an address of this sender's
 * own; or a negative errno. */
int wire_open(const struct swarm *swarm, uint32_t sender);

/* The largest message that such a socket can send, or a negative errno. */
ssize_t wire_find_largest(const struct swarm *swarm);

/* Sends LENGTH bytes of the swarm's buffer. Returns how many went, or a negative errno. */
ssize_t wire_send(struct swarm *swarm, int fd, size_t length);

/* Receives into the swarm's buffer. Returns how many came, or a negative errno: -ENODATA for the
 * end. */
ssize_t wire_receive(const struct swarm *swarm, int fd);
