// SPDX-License-Identifier: MIT
#pragma once

/*
 * How descriptors get from one process to the next one that runs this service: they wait in the
 * queue of a Unix socket whose other end is closed, and that one socket is all that the service
 * manager has to keep. (It compares each descriptor that it is given with each that it has, and a
 * host would stand still while it did so with thousands.) One message takes 253 descriptors
 * (SCM_MAX_FD in Linux) and one queue some seventy thousand; for more there are more sockets.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HANDOVER_BATCH = 253 };

/* What comes with the descriptors of one message. */
struct handover_label {
    uint32_t version; /* HANDOVER_VERSION, of these labels as of the file */
    uint32_t is_file; /* the one descriptor is the file's; else these are connections, */
    uint64_t first;   /* of which the first has this number */
};

/* Makes such a socket, that does not block: PAIR[0] to send from, PAIR[1] to be kept. */
int handover_channel_new(int pair[static 2]);

/*
 * Sends N descriptors, which stay the caller's too. Returns 0 or a negative errno: -EAGAIN if the
 * queue is full, -ETOOMANYREFS if the kernel takes no more on their way (unix(7)), or not this one:
 * handover_channel_carries() tells which, for an FD that is nothing but a file.
 */
int handover_channel_send(int fd, const struct handover_label *label, const int *descriptors,
                          size_t n);
bool handover_channel_carries(int fd);

/*
 * Receives the next ones, which are the caller's. Returns how many, or a negative errno: -ENODATA
 * at the end, -EBADMSG if the message is not understood, and -EMFILE if there is no room for all:
 * then all of the message are closed.
 */
int handover_channel_receive(int fd, struct handover_label *label,
                             int descriptors[static HANDOVER_BATCH]);

/* Takes everything out, and lets go of it unseen, for which there need not be a descriptor free.
 * Returns 0 or a negative errno. */
int handover_channel_empty(int fd);
