// SPDX-License-Identifier: MIT
#pragma once

/*
 * Who is at the other end, as the kernel says: for a connection at the time of connect(2), for a
 * datagram at the time it was sent.
 *
 * What cannot be established surely is absent, and an id that is not mapped in this process's user
 * namespace counts as such: the kernel shows one and the same number for all of those.
 *
 * A pid is only a number, and may be another process's by the time it is looked at. So what /proc
 * says of a process (its unit; of a datagram's sender also the groups) counts only if a pidfd that
 * came from the kernel together with the credentials shows afterwards that the process is still
 * there. Kernels before Linux 6.5 have no such pidfd, so there it is absent.
 */

#include <limits.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "policy.h"

enum {
    PEER_UNIT_MAX = 256,   /* systemd's limit, with the null byte */
    PEER_LABEL_MAX = 1024, /* a longer one is absent */
    PEER_STATUS_MAX = 8192 + 11 * NGROUPS_MAX,
};

/* What is known of one peer. It is large, and there is one for each worker, used again and again;
 * what is not needed is not touched. */
struct peer {
    struct identity identity; /* points to what follows */
    pid_t pid;                /* that it had then; 0 if it is not known */
    bool pid_holds;           /* it has it still; found out only together with the unit */
    char unit[PEER_UNIT_MAX];
    char label[PEER_LABEL_MAX];
    gid_t groups[NGROUPS_MAX];
    char status[PEER_STATUS_MAX];
};

/*
 * Room for the control messages that peer_of_message() takes, and how much of it is for NEEDS. It
 * is no larger than that, because kernels before Linux 6.16 put descriptors that a sender passes
 * there too; the label's is large enough for many.
 */
struct peer_room {
    _Alignas(struct cmsghdr) char bytes[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(sizeof(int)) +
                                        CMSG_SPACE(PEER_LABEL_MAX)];
};
size_t peer_room_for(unsigned needs);

/*
 * Finds out who has connected to FD, a connected Unix socket; NEEDS is a set of enum policy_need.
 * Returns 0, or a negative errno if there is no descriptor or memory to find out: then nothing can
 * be said of the peer.
 */
int peer_of_connection(struct peer *peer, int fd, unsigned needs);

/* The uid of who has connected to FD, (uid_t)-1 if it is no Unix socket: nobody knows. */
uid_t peer_uid(int fd);

/* Has the kernel attach to each datagram that is received on FD what NEEDS takes. Returns 0 or a
 * negative errno. */
int peer_prepare_datagrams(int fd, unsigned needs);

/*
 * Finds out who has sent the datagram with the control messages of MESSAGE, which must be as
 * recvmsg(2) has left them, and closes every descriptor in them. Of who passes descriptors, or
 * whose control messages did not fit, nothing is known: part of it must not stand for the whole.
 * Returns as peer_of_connection().
 */
int peer_of_message(struct peer *peer, struct msghdr *message, unsigned needs);

/* Whether this kernel pins the peer's process (SO_PEERPIDFD, Linux 6.5). */
bool peer_can_pin(void);
