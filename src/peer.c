// SPDX-License-Identifier: MIT
#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-login.h>

#include "peer_status.h"
#include "util.h"

/* Linux 6.5; the same on every architecture but parisc and sparc, where they are left out. */
#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif
#ifndef SCM_PIDFD
#define SCM_PIDFD 0x04
#endif
#ifndef SCM_SECURITY
#define SCM_SECURITY 0x03
#endif

static void set_credentials(struct peer *peer, const struct ucred *credentials)
{
    struct identity *identity = &peer->identity;

    *identity = (struct identity){
        .uid = credentials->uid,
        .gid = credentials->gid,
        .has_uid = credentials->uid != POLICY_OVERFLOW_ID && credentials->uid != (uid_t)-1,
        .has_gid = credentials->gid != POLICY_OVERFLOW_ID && credentials->gid != (gid_t)-1,
    };
    /* 0: the process is in no PID namespace that is seen from here. */
    peer->pid = credentials->pid > 0 ? credentials->pid : 0;
    peer->pid_holds = false;
}

/* Makes the first N of peer->groups the peer's, without those that are not mapped here. */
static void set_groups(struct peer *peer, size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++) {
        if (peer->groups[i] != POLICY_OVERFLOW_ID) {
            peer->groups[kept++] = peer->groups[i];
        }
    }
    peer->identity.groups = peer->groups;
    peer->identity.n_groups = kept;
}

/* LENGTH bytes of label are in peer->label, which has room for one more. */
static void set_label(struct peer *peer, size_t length)
{
    /* Some security modules count the null byte, some do not write it. */
    while (length > 0 && peer->label[length - 1] == '\0') {
        length--;
    }
    peer->label[length] = '\0';
    for (size_t i = 0; i < length; i++) {
        /* Not understood: no module writes such a label, and it would break lines. */
        if ((unsigned char)peer->label[i] < ' ' || peer->label[i] == 127) {
            return;
        }
    }
    peer->identity.label = length > 0 ? peer->label : NULL;
}

/* Whether the process is still there: its pidfd becomes readable when it ends (pidfd_open(2)).
 * Returns 1, 0 or a negative errno. */
static int is_there(int pidfd)
{
    struct pollfd process = {.fd = pidfd, .events = POLLIN};
    int n = poll(&process, 1, 0);

    return n < 0 ? -errno : n == 0;
}

static int read_unit(struct peer *peer)
{
    CLEANUP(free_pointer) char *unit = NULL;
    size_t length;
    /* From /proc/PID/cgroup: no request to anybody that could block. */
    int r = sd_pid_get_unit(peer->pid, &unit);

    if (r < 0) {
        return is_shortage(-r) ? r : 0;
    }
    length = strlen(unit) + 1;
    if (length <= sizeof(peer->unit)) {
        memcpy(peer->unit, unit, length);
        peer->identity.unit = peer->unit;
    }
    return 0;
}

/* Reads the groups from /proc, if they are those of who sent the datagram. */
static int read_groups(struct peer *peer)
{
    char path[32];
    CLEANUP(fd_close) int fd = -1;
    size_t length = 0;
    ssize_t n;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)peer->pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return is_shortage(errno) ? -errno : 0;
    }
    while ((n = read(fd, peer->status + length, sizeof(peer->status) - 1 - length)) > 0) {
        length += (size_t)n;
    }
    peer->status[length] = '\0';
    n = n < 0 ? -errno
              : peer_status_groups(peer->status, peer->identity.uid, peer->identity.gid,
                                   peer->groups, ELEMENTS(peer->groups));
    if (n >= 0) {
        set_groups(peer, (size_t)n);
    }
    return n < 0 && is_shortage((int)-n) && n != -ENOBUFS ? (int)n : 0;
}

/*
 * Reads what only /proc tells, of the process that PIDFD pins. NEEDS: the unit, the groups.
 * Returns 0, or a negative errno for a shortage.
 */
static int read_process(struct peer *peer, int pidfd, unsigned needs)
{
    int there;
    int r = 0;

    if (peer->pid == 0) {
        return 0;
    }
    if (needs & POLICY_NEEDS_GROUPS) {
        r = read_groups(peer);
    }
    if (r >= 0 && needs & POLICY_NEEDS_UNIT) {
        r = read_unit(peer);
    }
    there = is_there(pidfd);
    if (there < 0) {
        return there;
    }
    peer->pid_holds = there > 0;
    if (!peer->pid_holds) {
        peer->identity.unit = NULL;
        if (needs & POLICY_NEEDS_GROUPS) {
            peer->identity.groups = NULL;
            peer->identity.n_groups = 0;
        }
    }
    return r;
}

static int get_peer_groups(struct peer *peer, int fd)
{
    socklen_t size = sizeof(peer->groups);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, peer->groups, &size) < 0) {
        return is_shortage(errno) ? -errno : 0;
    }
    set_groups(peer, size / sizeof(gid_t));
    return 0;
}

static int get_peer_label(struct peer *peer, int fd)
{
    socklen_t size = sizeof(peer->label) - 1;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERSEC, peer->label, &size) < 0) {
        return is_shortage(errno) ? -errno : 0;
    }
    set_label(peer, size);
    return 0;
}

int peer_of_connection(struct peer *peer, int fd, unsigned needs)
{
    CLEANUP(fd_close) int pidfd = -1;
    struct ucred credentials;
    socklen_t size = sizeof(credentials);
    int r = 0;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0) {
        return -errno;
    }
    set_credentials(peer, &credentials);
    if (needs & POLICY_NEEDS_GROUPS) {
        r = get_peer_groups(peer, fd);
    }
    if (r >= 0 && needs & POLICY_NEEDS_LABEL) {
        r = get_peer_label(peer, fd);
    }
    if (r < 0 || !(needs & POLICY_NEEDS_UNIT)) {
        return r;
    }
    size = sizeof(pidfd);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) < 0) {
        pidfd = -1;
        /* ENOPROTOOPT: before Linux 6.5. EINVAL, ESRCH: the process is gone. */
        return is_shortage(errno) ? -errno : 0;
    }
    return read_process(peer, pidfd, POLICY_NEEDS_UNIT);
}

uid_t peer_uid(int fd)
{
    struct ucred credentials;
    socklen_t size = sizeof(credentials);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0 ? credentials.uid
                                                                             : (uid_t)-1;
}

bool peer_can_pin(void)
{
    int pidfd = -1;
    socklen_t size = sizeof(pidfd);
    bool can;
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        return false;
    }
    can = getsockopt(pair[0], SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) == 0;
    if (can) {
        close(pidfd);
    }
    close(pair[0]);
    close(pair[1]);
    return can;
}

int peer_prepare_datagrams(int fd, unsigned needs)
{
    const int on = 1;
    const int process = (needs & (POLICY_NEEDS_GROUPS | POLICY_NEEDS_UNIT)) != 0;
    const int label = (needs & POLICY_NEEDS_LABEL) != 0;

    if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0) {
        return -errno;
    }
    /* What the kernel does not know is absent. */
    (void)setsockopt(fd, SOL_SOCKET, SO_PASSPIDFD, &process, sizeof(process));
    (void)setsockopt(fd, SOL_SOCKET, SO_PASSSEC, &label, sizeof(label));
    return 0;
}

size_t peer_room_for(unsigned needs)
{
    size_t room = CMSG_SPACE(sizeof(struct ucred));

    if (needs & (POLICY_NEEDS_GROUPS | POLICY_NEEDS_UNIT)) {
        room += CMSG_SPACE(sizeof(int));
    }
    if (needs & POLICY_NEEDS_LABEL) {
        room += CMSG_SPACE(PEER_LABEL_MAX);
    }
    return room;
}

/*
 * Descriptors that the sender has passed: kernels before Linux 6.16 install them where there is
 * room for control data (unix(7)).
 */
static void close_passed(const struct cmsghdr *control)
{
    size_t n = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);

    for (size_t i = 0; i < n; i++) {
        int fd;
        memcpy(&fd, CMSG_DATA(control) + i * sizeof(int), sizeof(fd));
        fd_close(&fd);
    }
}

/* Takes one control message up. PIDFD gets the pidfd, or a negative errno (the kernel's). */
static void take_control(struct peer *peer, const struct cmsghdr *control, int *pidfd)
{
    size_t length = control->cmsg_len - CMSG_LEN(0);
    struct ucred credentials;

    if (control->cmsg_level != SOL_SOCKET) {
        return;
    }
    switch (control->cmsg_type) {
    case SCM_CREDENTIALS:
        memcpy(&credentials, CMSG_DATA(control), sizeof(credentials));
        set_credentials(peer, &credentials);
        break;
    case SCM_PIDFD:
        memcpy(pidfd, CMSG_DATA(control), sizeof(*pidfd));
        break;
    case SCM_SECURITY:
        if (length < sizeof(peer->label)) {
            memcpy(peer->label, CMSG_DATA(control), length);
            set_label(peer, length);
        }
        break;
    case SCM_RIGHTS:
        close_passed(control);
        break;
    default:
        break;
    }
}

int peer_of_message(struct peer *peer, struct msghdr *message, unsigned needs)
{
    static const struct ucred nobody = {.uid = (uid_t)-1, .gid = (gid_t)-1};
    CLEANUP(fd_close) int pidfd = -ESRCH;
    bool passes = false;

    /* The credentials come first (scm_recv() in Linux): they make a fresh start. */
    set_credentials(peer, &nobody);
    for (struct cmsghdr *control = CMSG_FIRSTHDR(message); control;
         control = CMSG_NXTHDR(message, control)) {
        passes |= control->cmsg_level == SOL_SOCKET && control->cmsg_type == SCM_RIGHTS;
        take_control(peer, control, &pidfd);
    }
    if (passes || message->msg_flags & MSG_CTRUNC) {
        set_credentials(peer, &nobody);
        return 0;
    }
    if (pidfd < 0) {
        return is_shortage(-pidfd) ? pidfd : 0;
    }
    return read_process(peer, pidfd, needs);
}
