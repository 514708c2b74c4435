// SPDX-License-Identifier: MIT
#pragma once

/* Sending and receiving on a stream or seqpacket socket, without waiting. */

#include <stddef.h>
#include <sys/types.h>

/*
 * Sends LENGTH bytes at DATA. Returns how many the kernel took (all or nothing on seqpacket), or a
 * negative errno: -EAGAIN if it has no room now, -EMSGSIZE if the message is larger than SO_SNDBUF.
 */
ssize_t transfer_send(int fd, const char *data, size_t length);

/*
 * The same for such a message, for which SO_SNDBUF is raised as far as the host allows, and is
 * USUAL bytes, as getsockopt(2) says, afterwards: until the message has been read there is no room
 * for another one then.
 */
ssize_t transfer_send_oversize(int fd, const char *data, size_t length, size_t usual);

/*
 * Receives a message from a seqpacket socket that has been marked, and tells an empty one from the
 * end. Returns the length of the message, also if it is more than SIZE, or a negative errno:
 * -ENODATA for the end. Descriptors that were passed with it are discarded. FLAGS are those of
 * recv(2), 0 or MSG_PEEK.
 */
ssize_t transfer_receive_marked(int fd, char *buffer, size_t size, int flags);

/* Marks a seqpacket socket for that. Returns 0 or a negative errno. */
int transfer_mark(int fd);

/*
 * Moves up to SIZE bytes from the stream FD through PIPE, which is empty, back to FD, without
 * copying them. Returns how many were received; -ENODATA for the end; or another negative errno,
 * of which -EINVAL says that this socket cannot be spliced, and nothing was received, and -EIO that
 * the pipe could not be emptied and is of no more use. *SENT is how many of these are gone, or a
 * negative errno. What was received and is not gone is then at the beginning of BUFFER, which has
 * room for SIZE bytes, and the pipe is empty again.
 */
ssize_t transfer_splice(int fd, const int pipe[static 2], size_t size, char *buffer, ssize_t *sent);
