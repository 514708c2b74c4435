// SPDX-License-Identifier: MIT
#pragma once

/*
 * Activation: from the descriptors that systemd passes (sd_listen_fds_with_names(3)) to sockets
 * with a role. Each is checked for what it is before anything is served, because a descriptor that
 * is not understood must end the service and not be guessed at.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is served on a socket: its FileDescriptorName=. */
enum role {
    ROLE_ECHO,   /* what is received goes back */
    ROLE_AUTH,   /* the same, for those whom the policy admits */
    ROLE_WHOAMI, /* a client is told who it is, as far as the kernel says */
};

enum socket_kind {
    SOCKET_LISTENING, /* stream or seqpacket, to accept connections from */
    SOCKET_CONNECTED, /* stream or seqpacket, one connection (Accept=yes) */
    SOCKET_DATAGRAM,
    SOCKET_HANDOVER, /* nothing to be served on: what the process before has left (handover.h) */
};

/* What descriptors with that are called. */
#define ACTIVATION_HANDOVER "handover"

struct activated {
    int fd;
    enum socket_kind kind;
    enum role role;
    int family;           /* AF_UNIX, AF_INET, AF_INET6 */
    int type;             /* SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM */
    bool has_credentials; /* what has arrived carries its sender's (PassCredentials=) */
};

enum { ACTIVATION_TEXT_MAX = 256 };

/*
 * Examines FD, which systemd calls NAME (its FileDescriptorName=; NULL if it said none), and makes
 * it ready to be served: close-on-exec, not blocking where it listens, passed descriptors refused
 * where the kernel can (6.16). A socket whose name is no role has the role auth if there is a
 * policy (HAS_POLICY), else echo. Returns 0, or a negative errno with the reason in REASON, as the
 * end of the sentence "Descriptor N …".
 */
int activation_examine(int fd, const char *name, bool has_policy, struct activated *ret,
                       char reason[static ACTIVATION_TEXT_MAX]);

/*
 * Takes all descriptors that systemd passed; the environment variables are gone afterwards.
 * Returns how many there are, with an array for free(3) in RET; 0 if there are none; or a negative
 * errno, and the log has said which one is wrong and why.
 */
int activation_collect(bool has_policy, struct activated **ret);

/* Logs what is served where. */
void activation_log(const struct activated *sockets, size_t n_sockets);

/* Where SOCKET is bound, for people: a path, "@abstract", "127.0.0.1:7", "[::1]:7". */
const char *activation_describe(int fd, char text[static ACTIVATION_TEXT_MAX]);

/* "stream", "seqpacket" or "datagram"; "echo", "auth" or "whoami". */
const char *activation_type_name(int type);
const char *activation_role_name(enum role role);
