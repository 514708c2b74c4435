// SPDX-License-Identifier: MIT

/*
 * neighbour TYPE SOCKET [CLIENTS [ROUNDS [SECONDS [SIZE]]]]: what one bad neighbour costs the
 * others.
 *
 * Fair clients, 16 sockets of one thread with a 64-byte message in flight on each, are counted for
 * SECONDS, without and with another process that writes messages of SIZE bytes as fast as it can
 * and never reads; in turn, ROUNDS times. Prints each pair, and the median of the ratios.
 *
 * TYPE is stream, seqpacket or dgram.
 */

#include <err.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CLIENTS_MAX = 256, MESSAGE = 64, ROUNDS_MAX = 101, REPLY_MAX = 1 << 16 };

static struct sockaddr_un service = {.sun_family = AF_UNIX};

static int connect_to_service(int type)
{
    const struct sockaddr_un any = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, type, 0);

    if (fd < 0 ||
        (type == SOCK_DGRAM && bind(fd, (const struct sockaddr *)&any, sizeof(sa_family_t)) < 0) ||
        connect(fd, (const struct sockaddr *)&service, sizeof(service)) < 0) {
        err(1, "%s", service.sun_path);
    }
    return fd;
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* The neighbour writes until it is killed; another process of its group reads, if READS. */
static pid_t start_neighbour(int type, size_t size, bool reads)
{
    pid_t pid = fork();

    if (pid < 0) {
        err(1, "fork");
    }
    if (pid == 0) {
        char *data = calloc(1, size);
        int fd = connect_to_service(type);
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (reads && fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            while (data && recv(fd, data, size, 0) >= 0) {
            }
            _exit(0);
        }
        while (data && send(fd, data, size, 0) >= 0) {
        }
        err(1, "the neighbour could not send");
    }
    setpgid(pid, pid);
    usleep(200 * 1000); /* until it is held back, or at full speed */
    return pid;
}

static void stop_neighbour(pid_t pid)
{
    kill(-pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* Round trips a second of all fair clients together. */
static double count_round_trips(const int *clients, size_t n_clients, int epoll_fd, double seconds)
{
    static char message[MESSAGE];
    static char reply[REPLY_MAX];
    struct epoll_event events[CLIENTS_MAX];
    unsigned long trips = 0;
    size_t in_flight = 0;
    double start = now();
    double end = start + seconds;
    double last = start;

    for (size_t i = 0; i < n_clients; i++, in_flight++) {
        if (send(clients[i], message, sizeof(message), 0) != sizeof(message)) {
            err(1, "a fair client could not send");
        }
    }
    while (in_flight > 0) {
        int n = epoll_wait(epoll_fd, events, CLIENTS_MAX, 5000);
        if (n <= 0) {
            errx(1, "a fair client has waited 5 s for its reply");
        }
        last = now();
        for (int i = 0; i < n; i++) {
            if (recv(events[i].data.fd, reply, sizeof(reply), 0) != sizeof(message)) {
                errx(1, "a fair client did not get its reply whole");
            }
            trips++;
            if (last < end) {
                if (send(events[i].data.fd, message, sizeof(message), 0) != sizeof(message)) {
                    err(1, "a fair client could not send");
                }
            } else {
                in_flight--;
            }
        }
    }
    return (double)trips / (last - start);
}

static int compare(const void *a, const void *b)
{
    const double left = *(const double *)a;
    const double right = *(const double *)b;

    return (left > right) - (left < right);
}

static void print_median(const char *type, const char *what, double *ratios, int rounds)
{
    qsort(ratios, (size_t)rounds, sizeof(ratios[0]), compare);
    printf("%-9s beside %s: median of %d rounds %.2f (%.2f to %.2f)\n", type, what, rounds,
           ratios[rounds / 2], ratios[0], ratios[rounds - 1]);
}

int main(int argc, char **argv)
{
    static double bad[ROUNDS_MAX];
    static double good[ROUNDS_MAX];
    int clients[CLIENTS_MAX];
    int epoll_fd = epoll_create1(0);
    size_t n_clients = argc > 3 ? (size_t)atol(argv[3]) : 16;
    int rounds = argc > 4 ? atoi(argv[4]) : 7;
    double seconds = argc > 5 ? atof(argv[5]) : 1;
    size_t size = argc > 6 ? (size_t)atol(argv[6]) : 1024;
    int type;

    if (argc < 3 || strlen(argv[2]) >= sizeof(service.sun_path) || n_clients < 1 ||
        n_clients > CLIENTS_MAX || rounds < 1 || rounds > ROUNDS_MAX) {
        errx(64,
             "usage: neighbour stream|seqpacket|dgram SOCKET [CLIENTS [ROUNDS [SECONDS [SIZE]]]]");
    }
    type = strcmp(argv[1], "stream") == 0      ? SOCK_STREAM
           : strcmp(argv[1], "seqpacket") == 0 ? SOCK_SEQPACKET
                                               : SOCK_DGRAM;
    strcpy(service.sun_path, argv[2]);
    for (size_t i = 0; i < n_clients; i++) {
        struct epoll_event event = {.events = EPOLLIN,
                                    .data.fd = clients[i] = connect_to_service(type)};
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, clients[i], &event);
    }
    for (int i = 0; i < rounds; i++) {
        double alone = count_round_trips(clients, n_clients, epoll_fd, seconds);
        for (int reads = 0; reads <= 1; reads++) {
            pid_t neighbour = start_neighbour(type, size, reads);
            (reads ? good : bad)[i] =
                count_round_trips(clients, n_clients, epoll_fd, seconds) / alone;
            stop_neighbour(neighbour);
        }
        printf(
            "%-9s round %d: %8.0f round trips/s alone; beside one that never reads %.2f of that, "
            "beside one that reads %.2f\n",
            argv[1], i + 1, alone, bad[i], good[i]);
    }
    print_median(argv[1], "one that never reads", bad, rounds);
    print_median(argv[1], "one that reads", good, rounds);
    return 0;
}
