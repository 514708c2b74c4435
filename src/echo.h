// SPDX-License-Identifier: MIT
#pragma once

/*
 * One receive, and a send of what it brought.
 *
 * The common case keeps nothing: the message passes through memory of the loop. Much of a stream at
 * once goes through a pipe of the loop instead, and is not copied. For a user who has much unread
 * already it is the other way round: what is sent is looked at first, and taken off only as far as
 * it is gone.
 */

#include "connection.h"

/*
 * Receives once and sends that back; EVENTS are those of epoll_wait(2), and EPOLLRDHUP if nobody
 * knows whether the client has shut down. Returns 0, -EAGAIN if there was nothing, -ENODATA for the
 * end, or another negative errno that ends the connection.
 */
int echo_once(struct loop *loop, struct connection *connection, uint32_t events);

/*
 * Sends GREETING, and the echo of what the client has sent by now: most send something as soon as
 * they are connected, and are then woken up once. The end, or an error, is still there at the next
 * event. Returns as echo_once().
 */
int echo_greet(struct loop *loop, struct connection *connection, const char *greeting);
