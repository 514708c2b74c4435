// SPDX-License-Identifier: MIT
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "client.h"
#include "interrupt.h"
#include "timespan.h"
#include "util.h"
#include "wait.h"

static const int unix_types[] = {SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM};

const char *target_type_name(int type)
{
    return type == SOCK_STREAM ? "stream" : type == SOCK_SEQPACKET ? "seqpacket" : "dgram";
}

int target_type_parse(const char *name)
{
    for (size_t i = 0; i < ELEMENTS(unix_types); i++) {
        if (strcmp(name, target_type_name(unix_types[i])) == 0) {
            return unix_types[i];
        }
    }
    return strcmp(name, "datagram") == 0 ? SOCK_DGRAM : -EINVAL;
}

static int parse_unix(const char *text, struct target *target,
                      char reason[static TARGET_REASON_MAX])
{
    struct sockaddr_un *un = (struct sockaddr_un *)&target->address;
    bool abstract = text[0] == '@';
    size_t length = strlen(text);

    if (length == 0 || (abstract && length == 1)) {
        snprintf(reason, TARGET_REASON_MAX, "is empty");
        return -EINVAL;
    }
    /* A path needs no null byte at its end if it fills its room (unix(7)). */
    if (length > sizeof(un->sun_path)) {
        snprintf(reason, TARGET_REASON_MAX,
                 "is longer than the %zu bytes of a Unix socket's address", sizeof(un->sun_path));
        return -ENAMETOOLONG;
    }
    target->family = un->sun_family = AF_UNIX;
    // NOLINTNEXTLINE(bugprone-not-null-terminated-result): the rest of the address is zero
    memcpy(un->sun_path, text, length);
    if (abstract) {
        un->sun_path[0] = '\0';
    }
    target->size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length +
                               (!abstract && length < sizeof(un->sun_path) ? 1 : 0));
    return 0;
}

/* "HOST:PORT" or "[HOST]:PORT" */
static int parse_internet(const char *text, int type, struct target *target,
                          char reason[static TARGET_REASON_MAX])
{
    const char *colon = strrchr(text, ':');
    bool brackets = text[0] == '[' && colon && colon > text && colon[-1] == ']';
    const struct addrinfo hints = {
        .ai_socktype = type,
        .ai_flags = brackets ? AI_NUMERICHOST : AI_ADDRCONFIG,
    };
    struct addrinfo *found;
    char host[NI_MAXHOST];
    uint64_t port;
    size_t length;
    int r;

    if (!colon || colon == text || colon[1] == '\0' || (text[0] == '[' && !brackets)) {
        snprintf(reason, TARGET_REASON_MAX, "is not HOST:PORT behind the first colon");
        return -EINVAL;
    }
    if (strspn(colon + 1, "0123456789") == strlen(colon + 1) &&
        !read_number(colon + 1, 1, UINT16_MAX, &port)) {
        snprintf(reason, TARGET_REASON_MAX, "has a port that is not from 1 to 65535");
        return -EINVAL;
    }
    length = (size_t)(colon - text) - (brackets ? 2 : 0);
    if (length >= sizeof(host)) {
        snprintf(reason, TARGET_REASON_MAX, "has a host's name that is too long");
        return -ENAMETOOLONG;
    }
    snprintf(host, sizeof(host), "%.*s", (int)length, text + (brackets ? 1 : 0));
    target->type = type;
    r = getaddrinfo(host, colon + 1, &hints, &found);
    if (r == EAI_SERVICE || (r != 0 && brackets)) {
        snprintf(reason, TARGET_REASON_MAX, "has %s",
                 r == EAI_SERVICE ? "a port that is neither a number nor the name of one"
                                  : "brackets with no IPv6 address in them");
        return -EINVAL;
    }
    if (r != 0) {
        target->unresolved = r == EAI_SYSTEM ? strerrordesc_np(errno) : gai_strerror(r);
        return 0;
    }
    target->family = found->ai_family;
    target->size = found->ai_addrlen;
    memcpy(&target->address, found->ai_addr, found->ai_addrlen);
    for (const struct addrinfo *next = found->ai_next; next && target->n_others < TARGET_OTHERS_MAX;
         next = next->ai_next) {
        struct target_other *other = &target->others[target->n_others++];
        other->family = next->ai_family;
        other->size = next->ai_addrlen;
        memcpy(&other->address, next->ai_addr, next->ai_addrlen);
    }
    freeaddrinfo(found);
    return 0;
}

static int parse_vsock(const char *text, struct target *target,
                       char reason[static TARGET_REASON_MAX])
{
    struct sockaddr_vm *vm = (struct sockaddr_vm *)&target->address;
    const char *colon = strchr(text, ':');
    char digits[16];
    uint64_t cid;
    uint64_t port;

    snprintf(digits, sizeof(digits), "%.*s", colon ? (int)(colon - text) : 0, text);
    if (!colon || colon - text >= (ptrdiff_t)sizeof(digits) ||
        !read_number(digits, 0, UINT32_MAX, &cid) ||
        !read_number(colon + 1, 0, UINT32_MAX, &port)) {
        snprintf(reason, TARGET_REASON_MAX, "is not vsock:CID:PORT with two numbers");
        return -EINVAL;
    }
    target->family = vm->svm_family = AF_VSOCK;
    target->type = SOCK_STREAM;
    vm->svm_cid = (unsigned)cid;
    vm->svm_port = (unsigned)port;
    target->size = sizeof(*vm);
    return 0;
}

int target_parse(const char *text, struct target *ret, char reason[static TARGET_REASON_MAX])
{
    struct target target = {.text = text};
    int r;

    if (strncmp(text, "tcp:", 4) == 0) {
        r = parse_internet(text + 4, SOCK_STREAM, &target, reason);
    } else if (strncmp(text, "udp:", 4) == 0) {
        r = parse_internet(text + 4, SOCK_DGRAM, &target, reason);
    } else if (strncmp(text, "vsock:", 6) == 0) {
        r = parse_vsock(text + 6, &target, reason);
    } else {
        r = parse_unix(text, &target, reason);
    }
    if (r == 0) {
        *ret = target;
    }
    return r;
}

int target_insist(struct target *target, int type)
{
    if (target->type != 0 && target->type != type) {
        return -EPROTOTYPE;
    }
    target->type = type;
    return 0;
}

/* Waits until the connection that is being made is made. Returns 0 or a negative errno. */
static int await_connection(int fd, uint64_t timeout_usec)
{
    int error = 0;
    socklen_t size = sizeof(error);
    int r = wait_for(fd, POLLOUT, wait_deadline(timeout_usec));

    if (r < 0) {
        return r;
    }
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 ? -errno : -error;
}

/*
 * Connects the Unix socket FD. A full backlog does not make a socket that does not block wait
 * (EAGAIN, unix(7)); one that blocks waits as long as SO_SNDTIMEO says. With that a SIGSTOP and
 * SIGCONT end it (EINTR, signal(7)), too: then it goes on with the time that is left.
 */
static int connect_patiently(int fd, const struct target *target, uint64_t deadline)
{
    const struct timeval forever = {0};
    int r = -EINTR;

    while (r == -EINTR && !interrupt_came()) {
        uint64_t now = wait_now();
        uint64_t left = deadline == TIMESPAN_INFINITY ? 0 : deadline - now;
        const struct timeval patience = {
            .tv_sec = (time_t)(left / 1000000),
            .tv_usec = (suseconds_t)(left % 1000000),
        };

        if (now >= deadline) {
            return -ETIMEDOUT;
        }
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
        r = connect(fd, (const struct sockaddr *)&target->address, target->size) < 0 ? -errno : 0;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &forever, sizeof(forever));
    return r == -EAGAIN ? -ETIMEDOUT : r;
}

static int connect_within(int fd, const struct target *target, uint64_t timeout_usec)
{
    int flags = fcntl(fd, F_GETFL);
    int r;

    if (target->family == AF_UNIX) {
        return connect_patiently(fd, target, wait_deadline(timeout_usec));
    }
    (void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    r = connect(fd, (const struct sockaddr *)&target->address, target->size) < 0 ? -errno : 0;
    if (r == -EINPROGRESS) {
        r = await_connection(fd, timeout_usec);
    }
    (void)fcntl(fd, F_SETFL, flags);
    return r;
}

static void send_at_once(const struct target *target, int fd, int type)
{
    const int on = 1;

    if (type == SOCK_STREAM && (target->family == AF_INET || target->family == AF_INET6)) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    }
}

int target_begin(const struct target *target, bool *connecting)
{
    int fd = socket(target->family, target->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int r = fd < 0 ? -errno : 0;

    if (r == 0 && connect(fd, (const struct sockaddr *)&target->address, target->size) < 0) {
        r = -errno;
    }
    *connecting = r == -EINPROGRESS;
    if (r < 0 && !*connecting) {
        fd_close(&fd);
        return r;
    }
    send_at_once(target, fd, target->type);
    return fd;
}

static int connect_as(const struct target *target, int type, uint64_t timeout_usec)
{
    const struct sockaddr_un any = {.sun_family = AF_UNIX};
    int fd = socket(target->family, type | SOCK_CLOEXEC, 0);
    int r = fd < 0 ? -errno : 0;

    if (r == 0 && target->family == AF_UNIX && type == SOCK_DGRAM &&
        bind(fd, (const struct sockaddr *)&any, sizeof(any.sun_family)) < 0) {
        r = -errno;
    }
    if (r == 0) {
        r = connect_within(fd, target, timeout_usec);
    }
    if (r < 0) {
        fd_close(&fd);
        return r;
    }
    send_at_once(target, fd, type);
    return fd;
}

/*
 * Whether ERROR may mean that the socket is of another type. A file is of one type (EPROTOTYPE); an
 * abstract name is looked up among the sockets of one type, and is free among the others.
 */
static bool may_be_another_type(const struct target *target, int error)
{
    const struct sockaddr_un *un = (const struct sockaddr_un *)&target->address;

    return error == -EPROTOTYPE || (error == -ECONNREFUSED && un->sun_path[0] == '\0');
}

/* Connects to the first address of a host that can be connected to: "localhost" may be two. */
static int connect_to_any(struct target *target, uint64_t timeout_usec)
{
    uint64_t deadline = wait_deadline(timeout_usec);
    int fd = connect_as(target, target->type, timeout_usec);

    for (size_t i = 0; i < target->n_others && fd < 0 && fd != -EINTR; i++) {
        const struct target_other *other = &target->others[i];
        uint64_t now = wait_now();

        if (now >= deadline) {
            break;
        }
        target->family = other->family;
        target->address = other->address;
        target->size = other->size;
        fd = connect_as(target, target->type,
                        deadline == TIMESPAN_INFINITY ? TIMESPAN_INFINITY : deadline - now);
    }
    if (fd >= 0) {
        target->n_others = 0;
    }
    return fd;
}

int target_connect(struct target *target, uint64_t timeout_usec)
{
    int fd = -EPROTOTYPE;

    if (target->unresolved) {
        return -EHOSTUNREACH;
    }
    if (target->type != 0) {
        return connect_to_any(target, timeout_usec);
    }
    for (size_t i = 0; i < ELEMENTS(unix_types) && may_be_another_type(target, fd); i++) {
        fd = connect_as(target, unix_types[i], timeout_usec);
        /* Who lets one wait is there, too. */
        if (fd >= 0 || fd == -ETIMEDOUT) {
            target->type = unix_types[i];
        }
    }
    return fd;
}

const char *target_error(const struct target *target, int r)
{
    return target->unresolved ? target->unresolved : strerror(-r);
}
