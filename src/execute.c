// SPDX-License-Identifier: MIT
#include "execute.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "util.h"

bool execute_is_due(const char *program)
{
    struct stat now;
    struct stat then;

    return strchr(program, '/') && stat(program, &now) == 0 && stat("/proc/self/exe", &then) == 0 &&
           (now.st_dev != then.st_dev || now.st_ino != then.st_ino) && access(program, X_OK) == 0;
}

/* Puts FD in the place NUMBER for the next program, whatever is there. */
static int place(int fd, int number)
{
    if (fd != number) {
        return dup2(fd, number) < 0 ? -errno : 0;
    }
    return fcntl(fd, F_SETFD, 0) < 0 ? -errno : 0;
}

/* What the next program is told of its descriptors. */
struct inheritance {
    FILE *names;
    int n;
};

static int leave(struct inheritance *inheritance, int fd, const char *name)
{
    (void)fprintf(inheritance->names, "%s%s", inheritance->n > 0 ? ":" : "", name);
    return place(fd, SD_LISTEN_FDS_START + inheritance->n++);
}

/* Sockets stand in ascending order, and none below the place that it goes to: none is overwritten
 * before it has been moved. */
static int leave_all(struct inheritance *inheritance, const struct activated *sockets,
                     size_t n_sockets, const int *kept, size_t n_kept)
{
    int r = 0;

    for (size_t i = 0; i < n_sockets && r == 0; i++) {
        if (sockets[i].kind == SOCKET_LISTENING || sockets[i].kind == SOCKET_DATAGRAM) {
            r = leave(inheritance, sockets[i].fd, activation_role_name(sockets[i].role));
        }
    }
    for (size_t i = 0; i < n_kept && r == 0; i++) {
        r = leave(inheritance, kept[i], ACTIVATION_HANDOVER);
    }
    return r;
}

/* There is one thread now. */
static int tell_environment(const char *names, int n)
{
    char count[16];
    char pid[16];

    snprintf(count, sizeof(count), "%d", n);
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    // NOLINTBEGIN(concurrency-mt-unsafe)
    if (setenv("LISTEN_FDS", count, 1) < 0 || setenv("LISTEN_PID", pid, 1) < 0 ||
        setenv("LISTEN_FDNAMES", names, 1) < 0) {
        return -errno;
    }
    // NOLINTEND(concurrency-mt-unsafe)
    return 0;
}

int execute(char **argv, const struct activated *sockets, size_t n_sockets,
            const struct handover *handover)
{
    CLEANUP(free_pointer) char *names = NULL;
    size_t size = 0;
    struct inheritance inheritance = {.names = open_memstream(&names, &size)};
    int out_of_the_way = SD_LISTEN_FDS_START + (int)(n_sockets + handover->n_kept);
    int kept[HANDOVER_KEPT_MAX];
    int r = 0;

    if (!inheritance.names) {
        return -errno;
    }
    for (size_t i = 0; i < handover->n_kept && r == 0; i++) {
        kept[i] = fcntl(handover->kept[i], F_DUPFD_CLOEXEC, out_of_the_way);
        r = kept[i] < 0 ? -errno : 0;
    }
    if (r == 0) {
        r = leave_all(&inheritance, sockets, n_sockets, kept, handover->n_kept);
    }
    if (fclose(inheritance.names) != 0 && r == 0) {
        r = -errno;
    }
    if (r == 0) {
        r = tell_environment(names, inheritance.n);
    }
    if (r < 0) {
        return r;
    }
    execv(argv[0], argv);
    return -errno;
}
