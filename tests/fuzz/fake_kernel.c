// SPDX-License-Identifier: MIT
#include "fake_kernel.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fake_kernel fake_kernel;

static void tell(const struct fake_socket *socket)
{
    fprintf(stderr,
            "fuzz: %s %d: in bytes sent %" PRIu64 " taken %" PRIu64 " echoed %" PRIu64
            " unread %zu of %zu, in messages sent %" PRIu64 " taken %" PRIu64 " echoed %" PRIu64
            "; client%s%s%s%s%s\n",
            socket->is_stream ? "stream" : "seqpacket", (int)(socket - fake_kernel.sockets),
            socket->sent, socket->taken, socket->echoed, socket->unread, socket->capacity,
            socket->messages_sent, socket->messages_taken, socket->messages_echoed,
            socket->there ? "" : " has left", socket->writes ? " writes" : "",
            socket->reads ? " reads" : "", socket->greeting ? " was not greeted" : "",
            socket->excused ? ", excused" : "");
}

void fake_demand(bool condition, const char *what)
{
    if (condition) {
        return;
    }
    fprintf(stderr, "fuzz: %s\n", what);
    for (size_t i = 0; i < FAKE_SOCKETS; i++) {
        tell(&fake_kernel.sockets[i]);
    }
    abort();
}

void fake_reset(void)
{
    memset(&fake_kernel, 0, sizeof(fake_kernel));
    fake_empty_pipe();
}

struct fake_socket *fake_socket(int fd)
{
    return fd >= FAKE_FD && fd < FAKE_FD + FAKE_SOCKETS ? &fake_kernel.sockets[fd - FAKE_FD] : NULL;
}

int fake_connect(bool is_stream, size_t capacity, const char *greeting)
{
    for (int i = 0; i < FAKE_SOCKETS; i++) {
        struct fake_socket *socket = &fake_kernel.sockets[i];
        if (!socket->open) {
            *socket = (struct fake_socket){
                .open = true,
                .is_stream = is_stream,
                .capacity = capacity,
                .writes = true,
                .reads = true,
                .there = true,
                .greeting = greeting,
            };
            return FAKE_FD + i;
        }
    }
    return -1;
}

/* It comes again after a number of bytes that nothing else here is a multiple of. */
const char *fake_pattern(const struct fake_socket *socket, uint64_t place)
{
    enum { PERIOD = 65521 };
    static char all[PERIOD + FAKE_MESSAGE_MAX];
    uint64_t index = (uint64_t)(socket - fake_kernel.sockets);

    if (all[0] == 0) {
        uint32_t random = 1;
        for (size_t i = 0; i < sizeof(all); i++) {
            random = random * 1664525 + 1013904223;
            all[i] = i < PERIOD ? (char)(random >> 24 | 1) : all[i - PERIOD];
        }
    }
    return &all[(place + index * 10007) % PERIOD];
}

bool fake_client_send(struct fake_socket *socket, size_t length)
{
    if (!socket->writes || !socket->there ||
        socket->sent - socket->taken + length > FAKE_SENT_MAX) {
        return false;
    }
    if (!socket->is_stream) {
        uint64_t kept = socket->messages_echoed < socket->messages_taken ? socket->messages_echoed
                                                                         : socket->messages_taken;
        if (socket->messages_sent - kept == FAKE_MESSAGES) {
            return false;
        }
        socket->lengths[socket->messages_sent++ % FAKE_MESSAGES] = length;
    }
    socket->sent += length;
    return true;
}

void fake_client_read(struct fake_socket *socket, size_t length)
{
    if (socket->is_stream) {
        socket->unread -= length < socket->unread ? length : socket->unread;
    } else if (socket->messages_unread > 0) {
        /* The kernel books them together; which of them was how long is no matter here. */
        socket->unread -= socket->unread / socket->messages_unread;
        socket->messages_unread--;
    }
}

void fake_client_close(struct fake_socket *socket)
{
    socket->there = false;
    socket->writes = false;
    socket->reads = false;
    socket->excused = true;
}

bool fake_is_through(const struct fake_socket *socket)
{
    return !socket->writes && socket->taken == socket->sent && socket->echoed == socket->sent &&
           socket->messages_echoed == socket->messages_sent;
}

/*
 * Whether a failure with ERROR ends the connection by right. That a socket is not ready, or a
 * signal came, is no reason; but where something was promised that is not so: that a new connection
 * has room for its greeting, that there still is what was seen in a socket or in the pipe.
 */
static bool excuses(enum fake_call call, const struct fake_socket *socket, int error)
{
    switch (call) {
    case FAKE_RECV:
        return error != EINTR && (error != EAGAIN || socket->echoed > socket->taken ||
                                  socket->messages_echoed > socket->messages_taken);
    case FAKE_SEND:
        return (error != EINTR && error != EAGAIN) || (socket->greeting && !socket->is_stream);
    case FAKE_SPLICE:
        return error != EINTR && error != EAGAIN;
    case FAKE_READ:
        return error != EINTR;
    default:
        return true;
    }
}

bool fake_fails(enum fake_call call, struct fake_socket *socket)
{
    if (fake_kernel.failing[call] == 0 || fake_kernel.after[call]-- > 0) {
        return false;
    }
    errno = fake_kernel.failing[call];
    fake_kernel.failing[call] = 0;
    if (socket && excuses(call, socket, errno)) {
        socket->excused = true;
    }
    return true;
}
