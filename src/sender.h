// SPDX-License-Identifier: MIT
#pragma once

/*
 * The sender of a datagram, and the way back to it.
 *
 * An address that is a path is only a text: it is looked up when the reply is sent, in the file
 * system that the daemon sees and with the daemon's rights. A client can put something else there
 * in the meantime, a symbolic link to the service manager's socket for example, and have the daemon
 * say what the client wants to whom the client chooses. So a path is followed once, to a descriptor
 * (O_PATH), and a reply is sent to that only if it is a socket that belongs to the user who has
 * sent the datagram, and none that the daemon itself uses. There may be no symbolic link on the way
 * but /var/run.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

/* The uid of a sender that is not known (sent before SO_PASSCRED was on) or not mapped here. */
enum { SENDER_UNKNOWN = 65534 };

struct sender {
    struct sockaddr_storage address;
    socklen_t size;
    uid_t uid;
    bool brief; /* it gets a word of the service's own and no echo: few are owed */
};

/* Sockets that must never get a reply: the daemon's own, the service manager's. */
struct off_limits {
    struct {
        dev_t device;
        ino_t inode;
    } * files;
    size_t n_files;
};

/* Adds the file at PATH; what is not there cannot be sent to either. Returns 0 or -ENOMEM. */
int off_limits_add(struct off_limits *off_limits, const char *path);
void off_limits_deinit(struct off_limits *off_limits);

/* An order of senders for search trees; 0 if they are the same. */
int sender_compare(const struct sender *a, const struct sender *b);

/* How many names the path has that the address is; 0: it is none. */
unsigned sender_steps(const struct sender *sender);

/*
 * Sends one reply from the socket FD, without waiting. Returns 0 or a negative errno: that of
 * sendto(2), or of finding the way, -EACCES among them if the path does not lead to a socket of the
 * sender's own.
 */
int sender_reply(const struct sender *sender, int fd, const struct off_limits *off_limits,
                 const void *data, size_t length);
