// SPDX-License-Identifier: MIT
#pragma once

/*
 * Talking to an echo service, one message after the other: what is sent has to come back. A service
 * that authenticates says something of its own first ("Welcome", "Access denied"), which is told
 * from the echo by comparing with what was sent.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "target.h"

struct session {
    int fd;
    int type;
    bool greeted;  /* something has come back: no greeting can follow */
    bool welcomed; /* it began with a welcome */
};

/* Connects as target_connect() does. Returns 0 or a negative errno. */
int session_open(struct session *session, struct target *target, uint64_t timeout_usec);
void session_close(struct session *session);

/*
 * Sends MESSAGE of LENGTH bytes and receives its echo. Returns 0, or a negative errno:
 *   -EBADMSG    what came back is not what was sent
 *   -EACCES     the service has refused this client
 *   -ETIMEDOUT  nothing, or not all of it, came back within TIMEOUT_USEC
 *   -ECONNRESET the service has closed the connection
 *   others      of send(2) and recv(2)
 */
int session_exchange(struct session *session, const void *message, size_t length,
                     uint64_t timeout_usec);

/*
 * Receives what there is of TYPE on FD, without waiting. Returns the length of the message, also
 * where that is more than SIZE, or of what a stream has; 0 for an empty message, or at the end of a
 * connection; or a negative errno of recv(2), -EAGAIN if there is nothing.
 */
ssize_t session_receive(int fd, int type, void *buffer, size_t size);

/*
 * Whether the first SIZE bytes that have come back, at DATA, are a word of the service's own and
 * not the beginning of the echo of the LENGTH bytes at SENT.
 */
enum greeting {
    GREETING_NONE,
    GREETING_MORE, /* too few bytes to tell */
    GREETING_WELCOME,
    GREETING_DENIED,
};
enum greeting session_greeting(const void *data, size_t size, const void *sent, size_t length);

#define SESSION_WELCOME "Welcome\n"
#define SESSION_DENIED "Access denied\n"
