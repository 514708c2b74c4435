// SPDX-License-Identifier: MIT
#pragma once

/*
 * A kernel that the fuzzer is: sockets with a client at the other end, a pipe, an epoll set. It
 * takes the place of the system calls that connections are made of (at link time: ld's --wrap), so
 * that a run takes microseconds, is the same each time, and every call can fail or be cut short
 * anywhere.
 *
 * What a client sends is not kept: each byte follows from the socket and its place in what that
 * client sends. So what is echoed is compared as it is sent, and a byte that is lost, repeated,
 * changed, or another client's ends the fuzzer at once, as does a message that is cut or joined.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FAKE_SOCKETS = 4,
    FAKE_FD = 1000,          /* of the first socket */
    FAKE_FD_PIPE = 900,      /* and its other end */
    FAKE_MESSAGES = 64,      /* on their way to the daemon */
    FAKE_SENT_MAX = 1 << 20, /* bytes that are, too */
    FAKE_MESSAGE_MAX = 1 << 18,
};

enum fake_call {
    FAKE_RECV, /* and recvmsg */
    FAKE_SEND, /* and sendmmsg */
    FAKE_SPLICE,
    FAKE_READ, /* from the pipe */
    FAKE_EPOLL_CTL,
    FAKE_EPOLL_WAIT,
    FAKE_SETSOCKOPT,
    FAKE_PIPE,
    FAKE_MALLOC,
    FAKE_CALLS,
};

struct fake_socket {
    bool open;    /* for the daemon, */
    bool travels; /* who closes it to hand it over */
    bool is_stream;
    bool marks;      /* SO_PASSCRED */
    size_t capacity; /* SO_SNDBUF of the daemon's end */

    /* The client. */
    bool writes;   /* has not shut down its side, */
    bool reads;    /* nor this one, */
    bool there;    /* nor closed its socket */
    size_t unread; /* what was echoed to it */
    size_t messages_unread;

    /* What it has sent, in bytes from the beginning, and what of that was taken and echoed. */
    uint64_t sent;
    uint64_t taken;
    uint64_t echoed;
    uint64_t boundary; /* no receive on a stream goes beyond this place (unix(7)), but a look */

    /* The same in messages; on their way are those from messages_taken on. */
    size_t lengths[FAKE_MESSAGES];
    uint64_t messages_sent;
    uint64_t messages_taken;
    uint64_t messages_echoed;

    const char *greeting; /* what has to be sent first, as far as that was not yet */

    /* The daemon may end the connection: a call has failed for want of something, or because the
     * client has left. */
    bool excused;

    uint32_t interest;
    void *watch; /* NULL: not in the epoll set */
};

struct fake_kernel {
    struct fake_socket sockets[FAKE_SOCKETS];
    int failing[FAKE_CALLS];    /* errno of the next such call, or 0; */
    unsigned after[FAKE_CALLS]; /* rather, of the one after so many */
    unsigned excuses; /* connections that it may end besides, there was no memory for them */
};

extern struct fake_kernel fake_kernel;

/* All sockets closed, nothing fails. */
void fake_reset(void);

/* A descriptor for the daemon. */
int fake_connect(bool is_stream, size_t capacity, const char *greeting);
struct fake_socket *fake_socket(int fd);

/* What clients do. Sending returns whether there was room. */
bool fake_client_send(struct fake_socket *socket, size_t length);
void fake_client_read(struct fake_socket *socket, size_t length);
void fake_client_close(struct fake_socket *socket);

/* Whether the daemon has been told everything that the client sends, and has echoed it. */
bool fake_is_through(const struct fake_socket *socket);

/* FAKE_MESSAGE_MAX bytes of what is sent on a socket, from a place on. */
const char *fake_pattern(const struct fake_socket *socket, uint64_t place);

void fake_empty_pipe(void);

/* Whether such a call, on this socket or none, is to fail now; then errno says why. */
bool fake_fails(enum fake_call call, struct fake_socket *socket);

/* Ends the fuzzer if a condition does not hold. */
void fake_demand(bool condition, const char *what);
