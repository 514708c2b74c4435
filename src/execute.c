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
           (now.st_dev != then.st_dev || now.st_ino != then.st_ino);
}

/* A number from SD_LISTEN_FDS_START on: what is to be there for the next program, and what was,
 * both copied out of the way. Or -1: it is there already, and nothing was. */
struct place {
    int next;
    int before;
};

struct inheritance {
    struct place *places;
    int n;
    int beyond; /* the places */
    FILE *names;
};

static int copy(const struct inheritance *inheritance, int fd, int *ret)
{
    *ret = fcntl(fd, F_DUPFD_CLOEXEC, inheritance->beyond);
    return *ret < 0 ? -errno : 0;
}

/* Leaves FD to the next program, but moves nothing yet. Returns 0 or a negative errno. */
static int leave(struct inheritance *inheritance, int fd, const char *name)
{
    int number = SD_LISTEN_FDS_START + inheritance->n;
    struct place *place = &inheritance->places[inheritance->n++];
    int r;

    (void)fprintf(inheritance->names, "%s%s", number > SD_LISTEN_FDS_START ? ":" : "", name);
    *place = (struct place){.next = -1, .before = -1};
    if (fd == number) {
        return 0;
    }
    r = copy(inheritance, fd, &place->next);
    if (r == 0) {
        r = copy(inheritance, number, &place->before);
        r = r == -EBADF ? 0 : r;
    }
    return r;
}

static int leave_all(struct inheritance *inheritance, const struct activated *sockets,
                     size_t n_sockets, const struct handover *handover)
{
    int r = 0;

    for (size_t i = 0; i < n_sockets && r == 0; i++) {
        if (sockets[i].kind == SOCKET_LISTENING || sockets[i].kind == SOCKET_DATAGRAM) {
            r = leave(inheritance, sockets[i].fd, activation_role_name(sockets[i].role));
        }
    }
    for (size_t i = 0; i < handover->n_kept && r == 0; i++) {
        r = leave(inheritance, handover->kept[i], ACTIVATION_HANDOVER);
    }
    return r;
}

/* Returns 0 or a negative errno; put_back() is right after either. */
static int take_places(const struct inheritance *inheritance)
{
    for (int i = 0; i < inheritance->n; i++) {
        int next = inheritance->places[i].next;
        int number = SD_LISTEN_FDS_START + i;
        if ((next < 0 ? fcntl(number, F_SETFD, 0) : dup2(next, number)) < 0) {
            return -errno;
        }
    }
    return 0;
}

/* Whoever watches what was there finds it again: epoll(7) goes by the number and what it is. */
static void put_back(const struct inheritance *inheritance)
{
    for (int i = 0; i < inheritance->n; i++) {
        const struct place *place = &inheritance->places[i];
        int number = SD_LISTEN_FDS_START + i;
        if (place->next < 0) {
            (void)fcntl(number, F_SETFD, FD_CLOEXEC);
        } else if (place->before < 0) {
            close(number);
        } else {
            (void)dup3(place->before, number, O_CLOEXEC);
        }
    }
}

static void inheritance_deinit(struct inheritance *inheritance)
{
    for (int i = 0; i < inheritance->n; i++) {
        fd_close(&inheritance->places[i].next);
        fd_close(&inheritance->places[i].before);
    }
    free(inheritance->places);
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

/* Does what can fail before anything is moved. Returns 0 or a negative errno. */
static int prepare(struct inheritance *inheritance, const struct activated *sockets,
                   size_t n_sockets, const struct handover *handover)
{
    CLEANUP(free_pointer) char *names = NULL;
    size_t most = n_sockets + handover->n_kept;
    size_t size = 0;
    int r;

    inheritance->beyond = SD_LISTEN_FDS_START + (int)most;
    inheritance->places = calloc(most, sizeof(*inheritance->places));
    inheritance->names = inheritance->places ? open_memstream(&names, &size) : NULL;
    if (!inheritance->names) {
        return -ENOMEM;
    }
    r = leave_all(inheritance, sockets, n_sockets, handover);
    if (fclose(inheritance->names) != 0 && r == 0) {
        r = -errno;
    }
    return r < 0 ? r : tell_environment(names, inheritance->n);
}

int execute(char **argv, const struct activated *sockets, size_t n_sockets,
            const struct handover *handover)
{
    CLEANUP(inheritance_deinit) struct inheritance inheritance = {.n = 0};
    int r = prepare(&inheritance, sockets, n_sockets, handover);

    if (r < 0) {
        return r;
    }
    r = take_places(&inheritance);
    if (r == 0) {
        execv(argv[0], argv);
        r = -errno;
    }
    put_back(&inheritance);
    return r;
}
