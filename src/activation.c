// SPDX-License-Identifier: MIT
#include "activation.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

#include "log.h"
#include "util.h"

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* Linux 6.16; the same on every architecture but parisc and sparc */
#endif

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262 /* Linux 5.6 */
#endif

static int socket_option(int fd, int option, int *value)
{
    socklen_t size = sizeof(*value);

    return getsockopt(fd, SOL_SOCKET, option, value, &size) < 0 ? -errno : 0;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text);
    size_t end_length = strlen(end);

    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

static const char *const role_names[] = {
    [ROLE_ECHO] = "echo",
    [ROLE_AUTH] = "auth",
    [ROLE_WHOAMI] = "whoami",
};

const char *activation_role_name(enum role role)
{
    return role_names[role];
}

/*
 * The names that systemd gives by itself name no role: the unit's own (FileDescriptorName= unset),
 * "connection" (Accept=yes), "unknown" (no names passed). Who gives a policy with such a socket
 * wants it to be guarded.
 */
static int find_role(const char *name, bool has_policy, enum role *role,
                     char reason[static ACTIVATION_TEXT_MAX])
{
    if (!name || name[0] == '\0' || ends_with(name, ".socket") || strcmp(name, "connection") == 0 ||
        strcmp(name, "unknown") == 0) {
        *role = has_policy ? ROLE_AUTH : ROLE_ECHO;
        return 0;
    }
    for (size_t i = 0; i < ELEMENTS(role_names); i++) {
        if (strcmp(name, role_names[i]) == 0) {
            *role = (enum role)i;
            if (*role == ROLE_ECHO || has_policy) {
                return 0;
            }
            snprintf(reason, ACTIVATION_TEXT_MAX,
                     "has a role that takes a policy, and there is none: use --policy=FILE");
            return -EINVAL;
        }
    }
    snprintf(reason, ACTIVATION_TEXT_MAX,
             "has a name that is no role: use FileDescriptorName=echo, auth or whoami in its "
             ".socket unit");
    return -EINVAL;
}

const char *activation_type_name(int type)
{
    return type == SOCK_STREAM ? "stream" : type == SOCK_SEQPACKET ? "seqpacket" : "datagram";
}

const char *activation_describe(int fd, char text[static ACTIVATION_TEXT_MAX])
{
    union {
        struct sockaddr any;
        struct sockaddr_un local;
        struct sockaddr_storage storage;
    } address = {.storage = {0}};
    socklen_t size = sizeof(address);
    char host[NI_MAXHOST];
    char port[NI_MAXSERV];

    if (getsockname(fd, &address.any, &size) < 0) {
        snprintf(text, ACTIVATION_TEXT_MAX, "no address");
    } else if (address.any.sa_family == AF_UNIX) {
        /* unix(7): sun_path need not end in a null byte; the first one is null where it is
         * abstract. */
        bool abstract = address.local.sun_path[0] == '\0';
        int length = (int)size - (int)offsetof(struct sockaddr_un, sun_path) - (abstract ? 1 : 0);
        if (length <= 0) {
            snprintf(text, ACTIVATION_TEXT_MAX, "no address");
        } else {
            snprintf(text, ACTIVATION_TEXT_MAX, "%s%.*s", abstract ? "@" : "", length,
                     address.local.sun_path + (abstract ? 1 : 0));
        }
    } else if (getnameinfo(&address.any, size, host, sizeof(host), port, sizeof(port),
                           NI_NUMERICHOST | NI_NUMERICSERV) == 0) {
        bool brackets = address.any.sa_family == AF_INET6;
        snprintf(text, ACTIVATION_TEXT_MAX, "%s%.128s%s:%.16s", brackets ? "[" : "", host,
                 brackets ? "]" : "", port);
    } else {
        snprintf(text, ACTIVATION_TEXT_MAX, "address family %d", address.any.sa_family);
    }
    return text;
}

/* Whether the daemon has learnt to serve this combination; what it has not is refused. */
static bool can_serve(int family, int type, int protocol)
{
    if (family == AF_UNIX) {
        return type == SOCK_STREAM || type == SOCK_SEQPACKET || type == SOCK_DGRAM;
    }
    if (family == AF_INET || family == AF_INET6) {
        return (type == SOCK_STREAM && (protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP)) ||
               (type == SOCK_DGRAM && protocol == IPPROTO_UDP);
    }
    return false;
}

/*
 * Whether FD has or had a peer. A TCP client that has reset the connection before this process runs
 * leaves a socket without a peer but with a local port: that is a client that left, not a mistake.
 */
static bool was_connected(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_storage storage;
    } address = {.storage = {0}};
    socklen_t size = sizeof(address);

    if (getpeername(fd, &address.any, &size) == 0) {
        return true;
    }
    size = sizeof(address);
    if (getsockname(fd, &address.any, &size) < 0) {
        return false;
    }
    return (address.any.sa_family == AF_INET && address.in.sin_port != 0) ||
           (address.any.sa_family == AF_INET6 && address.in6.sin6_port != 0);
}

static int cannot_examine(int r, char reason[static ACTIVATION_TEXT_MAX])
{
    snprintf(reason, ACTIVATION_TEXT_MAX, "cannot be examined: %s", strerror(-r));
    return r;
}

static int find_kind(int fd, struct activated *socket, char reason[static ACTIVATION_TEXT_MAX])
{
    int listens = 0;

    if (socket->type == SOCK_DGRAM) {
        socket->kind = SOCKET_DATAGRAM;
        return 0;
    }
    int r = socket_option(fd, SO_ACCEPTCONN, &listens);
    if (r < 0) {
        return cannot_examine(r, reason);
    }
    if (listens) {
        socket->kind = SOCKET_LISTENING;
        return 0;
    }
    if (!was_connected(fd)) {
        snprintf(reason, ACTIVATION_TEXT_MAX,
                 "is a %s socket that neither listens nor is connected",
                 activation_type_name(socket->type));
        return -ENOTCONN;
    }
    socket->kind = SOCKET_CONNECTED;
    return 0;
}

static int make_ready(const struct activated *socket)
{
    int flags = fcntl(socket->fd, F_GETFD);
    const int off = 0;
    const int on = 1;

    if (flags < 0 || fcntl(socket->fd, F_SETFD, flags | FD_CLOEXEC) < 0) {
        return -errno;
    }
    flags = fcntl(socket->fd, F_GETFL);
    if (flags < 0 || fcntl(socket->fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        return -errno;
    }
    if (socket->family == AF_UNIX) {
        /* Connections inherit it. Those that were made before, and older kernels (ENOPROTOOPT):
         * receiving without room for control data discards what a client passes. */
        (void)setsockopt(socket->fd, SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof(off));
    } else if (socket->type == SOCK_STREAM) {
        /* An answer must not wait for the client to acknowledge the one before (tcp(7)); inherited
         * too. */
        (void)setsockopt(socket->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    }
    return 0;
}

/* What the service manager has kept for us is a Unix socket that nobody can connect to. */
static int examine_handover(const struct activated *socket, struct activated *ret,
                            char reason[static ACTIVATION_TEXT_MAX])
{
    int listens = 0;
    int r = socket_option(socket->fd, SO_ACCEPTCONN, &listens);

    if (r < 0) {
        return cannot_examine(r, reason);
    }
    if (socket->family != AF_UNIX || socket->type != SOCK_SEQPACKET || listens) {
        snprintf(reason, ACTIVATION_TEXT_MAX,
                 "has a name that is for what a restart hands over, and is another socket");
        return -EINVAL;
    }
    (void)fcntl(socket->fd, F_SETFD, FD_CLOEXEC);
    *ret = *socket;
    ret->kind = SOCKET_HANDOVER;
    return 0;
}

int activation_examine(int fd, const char *name, bool has_policy, struct activated *ret,
                       char reason[static ACTIVATION_TEXT_MAX])
{
    struct activated socket = {.fd = fd};
    struct stat status;
    int protocol = 0;
    int credentials = 0;
    int r;

    if (fstat(fd, &status) < 0) {
        r = -errno;
        snprintf(reason, ACTIVATION_TEXT_MAX, "is not open: %s", strerror(-r));
        return r;
    }
    if (!S_ISSOCK(status.st_mode)) {
        snprintf(reason, ACTIVATION_TEXT_MAX, "is not a socket");
        return -ENOTSOCK;
    }
    if ((r = socket_option(fd, SO_DOMAIN, &socket.family)) < 0 ||
        (r = socket_option(fd, SO_TYPE, &socket.type)) < 0 ||
        (r = socket_option(fd, SO_PROTOCOL, &protocol)) < 0) {
        return cannot_examine(r, reason);
    }
    if (!can_serve(socket.family, socket.type, protocol)) {
        snprintf(reason, ACTIVATION_TEXT_MAX,
                 "is a socket of a kind that is not served (family %d, type %d, protocol %d)",
                 socket.family, socket.type, protocol);
        return -EPROTONOSUPPORT;
    }
    if (name && strcmp(name, ACTIVATION_HANDOVER) == 0) {
        return examine_handover(&socket, ret, reason);
    }
    r = find_role(name, has_policy, &socket.role, reason);
    if (r < 0) {
        return r;
    }
    if (socket.role != ROLE_ECHO && socket.family != AF_UNIX) {
        snprintf(reason, ACTIVATION_TEXT_MAX,
                 "is for the role %s, but only on a Unix socket does the kernel say who a client "
                 "is",
                 activation_role_name(socket.role));
        return -EPROTONOSUPPORT;
    }
    r = find_kind(fd, &socket, reason);
    if (r < 0) {
        return r;
    }
    r = make_ready(&socket);
    if (r < 0) {
        snprintf(reason, ACTIVATION_TEXT_MAX, "cannot be made ready: %s", strerror(-r));
        return r;
    }
    socket.has_credentials = socket_option(fd, SO_PASSCRED, &credentials) == 0 && credentials != 0;
    *ret = socket;
    return 0;
}

static void free_names(char ***names)
{
    for (char **name = *names; name && *name; name++) {
        free(*name);
    }
    free(*names);
}

/* The descriptor that sd_listen_fds(3) stumbles over. */
static int first_not_open(void)
{
    int fd = SD_LISTEN_FDS_START;

    while (fcntl(fd, F_GETFD) >= 0) {
        fd++;
    }
    return fd;
}

int activation_collect(bool has_policy, struct activated **ret)
{
    CLEANUP(free_names) char **names = NULL;
    CLEANUP(free_pointer) struct activated *sockets = NULL;
    int n = sd_listen_fds_with_names(1, &names);

    if (n < 0) {
        if (n == -EBADF) {
            log_line(LOG_ERR, "Descriptor %d is not open, although $LISTEN_FDS says so.",
                     first_not_open());
        } else {
            log_line(LOG_ERR, "The environment ($LISTEN_FDS, $LISTEN_PID) is not understood: %s.",
                     strerror(-n));
        }
        return n;
    }
    if (n == 0) {
        return 0;
    }
    sockets = calloc((size_t)n, sizeof(*sockets));
    if (!sockets) {
        log_line(LOG_ERR, "No memory for %d descriptors.", n);
        return -ENOMEM;
    }
    for (int i = 0; i < n; i++) {
        int fd = SD_LISTEN_FDS_START + i;
        char reason[ACTIVATION_TEXT_MAX];
        char address[ACTIVATION_TEXT_MAX];
        int r = activation_examine(fd, names ? names[i] : NULL, has_policy, &sockets[i], reason);
        if (r < 0) {
            log_line(LOG_ERR, "Descriptor %d (\"%s\", %s) %s.", fd, names ? names[i] : "unknown",
                     activation_describe(fd, address), reason);
            return r;
        }
    }
    *ret = sockets;
    sockets = NULL;
    return n;
}

void activation_log(const struct activated *sockets, size_t n_sockets)
{
    static const char *const does[] = {
        [ROLE_ECHO] = "Echoing on",
        [ROLE_AUTH] = "Echoing to those whom the policy admits on",
        [ROLE_WHOAMI] = "Telling clients who they are on",
    };

    for (size_t i = 0; i < n_sockets; i++) {
        char address[ACTIVATION_TEXT_MAX];
        if (sockets[i].kind == SOCKET_HANDOVER) {
            continue;
        }
        log_line(LOG_INFO, "%s %s (%s%s).", does[sockets[i].role],
                 activation_describe(sockets[i].fd, address), activation_type_name(sockets[i].type),
                 sockets[i].kind == SOCKET_CONNECTED ? ", one connection" : "");
        if (sockets[i].role != ROLE_ECHO && sockets[i].kind == SOCKET_DATAGRAM &&
            !sockets[i].has_credentials) {
            log_line(LOG_WARNING,
                     "PassCredentials=yes is missing in the .socket unit of %s: what is sent "
                     "before the service has started carries no credentials, and is refused.",
                     address);
        }
    }
}
