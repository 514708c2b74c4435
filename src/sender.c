// SPDX-License-Identifier: MIT
#include "sender.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "util.h"

/* Of an address that is a path, with a null byte. */
enum { PATH_SIZE = sizeof(((struct sockaddr_un *)NULL)->sun_path) + 1 };

int off_limits_add(struct off_limits *off_limits, const char *path)
{
    struct stat status;
    void *files;

    if (stat(path, &status) < 0) {
        return 0;
    }
    files = reallocarray(off_limits->files, off_limits->n_files + 1, sizeof(*off_limits->files));
    if (!files) {
        return -ENOMEM;
    }
    off_limits->files = files;
    off_limits->files[off_limits->n_files].device = status.st_dev;
    off_limits->files[off_limits->n_files++].inode = status.st_ino;
    return 0;
}

void off_limits_deinit(struct off_limits *off_limits)
{
    free(off_limits->files);
    *off_limits = (struct off_limits){0};
}

static bool is_off_limits(const struct off_limits *off_limits, const struct stat *status)
{
    for (size_t i = 0; i < off_limits->n_files; i++) {
        if (off_limits->files[i].device == status->st_dev &&
            off_limits->files[i].inode == status->st_ino) {
            return true;
        }
    }
    return false;
}

int sender_compare(const struct sender *a, const struct sender *b)
{
    if (a->uid != b->uid) {
        return a->uid < b->uid ? -1 : 1;
    }
    if (a->size != b->size) {
        return a->size < b->size ? -1 : 1;
    }
    return memcmp(&a->address, &b->address, a->size);
}

static bool has_path(const struct sender *sender)
{
    const struct sockaddr_un *un = (const struct sockaddr_un *)&sender->address;

    return un->sun_family == AF_UNIX && sender->size > offsetof(struct sockaddr_un, sun_path) &&
           un->sun_path[0] != '\0';
}

/* The sender's path, with a null byte. */
static void copy_path(const struct sender *sender, char path[static PATH_SIZE])
{
    const struct sockaddr_un *un = (const struct sockaddr_un *)&sender->address;
    size_t length = sender->size - offsetof(struct sockaddr_un, sun_path);

    /* unix(7): a path that fills its room has no null byte at its end. */
    length = length < sizeof(un->sun_path) ? length : sizeof(un->sun_path);
    memcpy(path, un->sun_path, length);
    path[length] = '\0';
}

unsigned sender_steps(const struct sender *sender)
{
    char path[PATH_SIZE];
    unsigned steps = 0;

    if (!has_path(sender)) {
        return 0;
    }
    copy_path(sender, path);
    for (const char *at = path; *at != '\0'; steps++) {
        at += strspn(at, "/");
        at += strcspn(at, "/");
    }
    return steps;
}

/*
 * Whether the socket file belongs to the sender. Root may name any. Of a sender whose uid is not
 * known, all that is sure is that it may be anybody: root's sockets are not for it, unless the
 * daemon is root and would gain nothing by a distinction.
 */
static bool belongs(const struct sender *sender, uid_t owner)
{
    if (sender->uid == SENDER_UNKNOWN) {
        return owner != 0 || geteuid() == 0;
    }
    return sender->uid == 0 || sender->uid == owner;
}

/* The first component of PATH, which goes to NAME and has LENGTH bytes; what follows is returned.
 */
static const char *split(const char *path, char *name, size_t *length)
{
    path += strspn(path, "/");
    *length = strcspn(path, "/");
    memcpy(name, path, *length);
    name[*length] = '\0';
    path += *length;
    return path + strspn(path, "/");
}

/*
 * Opens PATH, which a client has chosen, to be sent to. Symbolic links on the way are the client's,
 * too, and could make it tens of thousands of directories long, or lead to a file system that does
 * not answer: so none is followed. (openat2(2) could do that in one call, but systemd has it fail
 * under RestrictSUIDSGID=.) Returns a descriptor, which may be that of a link, or a negative errno.
 */
static int open_without_links(const char *path)
{
    int fd = open(path[0] == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    char name[PATH_SIZE];
    size_t length;

    for (path = split(path, name, &length); fd >= 0 && length > 0;
         path = split(path, name, &length)) {
        CLEANUP(fd_close) int directory = fd;
        fd = openat(directory, name,
                    O_PATH | O_NOFOLLOW | O_CLOEXEC | (*path != '\0' ? O_DIRECTORY : 0));
        if (fd < 0) {
            return -errno;
        }
    }
    return fd < 0 ? -errno : fd;
}

/* But for one link that is the host's. */
static int open_target(const char *path)
{
    static const char old[] = "/var/run/";
    int fd = open_without_links(path);

    return fd == -ENOTDIR && strncmp(path, old, strlen(old)) == 0
               ? open_without_links(path + strlen("/var"))
               : fd;
}

/* Follows the sender's path to FD, which pins what is there and is the caller's to close, also
 * after an error. */
static int follow(const struct sender *sender, const struct off_limits *off_limits, int *fd)
{
    char path[PATH_SIZE];
    struct stat status;

    copy_path(sender, path);
    *fd = open_target(path);
    if (*fd < 0) {
        return *fd;
    }
    if (fstat(*fd, &status) < 0) {
        return -errno;
    }
    if (!S_ISSOCK(status.st_mode) || !belongs(sender, status.st_uid) ||
        is_off_limits(off_limits, &status)) {
        return -EACCES;
    }
    return 0;
}

static int send_to(int fd, const struct sockaddr *address, socklen_t size, const void *data,
                   size_t length)
{
    return sendto(fd, data, length, MSG_DONTWAIT | MSG_NOSIGNAL, address, size) < 0 ? -errno : 0;
}

int sender_reply(const struct sender *sender, int fd, const struct off_limits *off_limits,
                 const void *data, size_t length)
{
    CLEANUP(fd_close) int target = -1;
    struct sockaddr_un pinned = {.sun_family = AF_UNIX};
    int r;

    if (!has_path(sender)) {
        return send_to(fd, (const struct sockaddr *)&sender->address, sender->size, data, length);
    }
    r = follow(sender, off_limits, &target);
    if (r < 0) {
        return r;
    }
    snprintf(pinned.sun_path, sizeof(pinned.sun_path), "/proc/self/fd/%d", target);
    return send_to(fd, (const struct sockaddr *)&pinned, sizeof(pinned), data, length);
}
