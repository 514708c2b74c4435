// SPDX-License-Identifier: MIT

/*
 * arrivals TYPE CLIENTS ROUNDS SECONDS SOCKET SOCKET…: new connections a second at each SOCKET.
 *
 * CLIENTS processes connect, send 8 bytes, receive them, and close, over and over for SECONDS; at
 * one socket after the other, ROUNDS times. A greeting ("Welcome\n") before the echo is received
 * too. Prints each figure, and the medians of the ratios to the first socket.
 *
 * TYPE is stream or seqpacket.
 */

#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MESSAGE = 8, CLIENTS_MAX = 64, ROUNDS_MAX = 101, SOCKETS_MAX = 8 };

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* Receives bytes until there are as many as the greeting is, if there is one, and the echo. */
static void receive_answer(int fd)
{
    char answer[2 * MESSAGE];
    size_t wanted = MESSAGE;
    size_t length = 0;

    while (length < wanted) {
        ssize_t n = recv(fd, answer + length, sizeof(answer) - length, 0);
        if (n <= 0) {
            errx(1, "a client was not served");
        }
        length += (size_t)n;
        if (memcmp(answer, "Welcome\n", MESSAGE) == 0) {
            wanted = sizeof(answer);
        } else if (answer[0] == 'A') {
            errx(1, "a client was refused");
        }
    }
}

static unsigned long arrive(const struct sockaddr_un *service, int type, double seconds)
{
    static const char message[MESSAGE] = "message";
    double end = now() + seconds;
    unsigned long n = 0;

    for (; now() < end; n++) {
        int fd = socket(AF_UNIX, type, 0);
        if (fd < 0 || connect(fd, (const struct sockaddr *)service, sizeof(*service)) < 0 ||
            send(fd, message, sizeof(message), MSG_NOSIGNAL) != sizeof(message)) {
            err(1, "%s", service->sun_path);
        }
        receive_answer(fd);
        close(fd);
    }
    return n;
}

/* Connections a second of all clients together. COUNTS is shared with them. */
static double measure(const struct sockaddr_un *service, int type, int clients, double seconds,
                      unsigned long *counts)
{
    unsigned long all = 0;
    double start = now();
    int status;

    for (int i = 0; i < clients; i++) {
        pid_t pid = fork();
        if (pid < 0) {
            err(1, "fork");
        }
        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            counts[i] = arrive(service, type, seconds);
            _exit(0);
        }
    }
    for (int i = 0; i < clients; i++) {
        if (wait(&status) < 0 || status != 0) {
            errx(1, "a client has failed");
        }
    }
    for (int i = 0; i < clients; i++) {
        all += counts[i];
    }
    return (double)all / (now() - start);
}

static int compare(const void *a, const void *b)
{
    const double left = *(const double *)a;
    const double right = *(const double *)b;

    return (left > right) - (left < right);
}

int main(int argc, char **argv)
{
    static double ratios[SOCKETS_MAX][ROUNDS_MAX];
    struct sockaddr_un services[SOCKETS_MAX] = {0};
    int n_services = argc - 5;
    int clients = argc > 2 ? atoi(argv[2]) : 0;
    int rounds = argc > 3 ? atoi(argv[3]) : 0;
    double seconds = argc > 4 ? atof(argv[4]) : 0;
    unsigned long *counts = mmap(NULL, CLIENTS_MAX * sizeof(*counts), PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int type;

    if (n_services < 1 || n_services > SOCKETS_MAX || clients < 1 || clients > CLIENTS_MAX ||
        rounds < 1 || rounds > ROUNDS_MAX || seconds <= 0) {
        errx(64, "usage: arrivals stream|seqpacket CLIENTS ROUNDS SECONDS SOCKET SOCKET...");
    }
    type = strcmp(argv[1], "seqpacket") == 0 ? SOCK_SEQPACKET : SOCK_STREAM;
    for (int i = 0; i < n_services; i++) {
        services[i].sun_family = AF_UNIX;
        snprintf(services[i].sun_path, sizeof(services[i].sun_path), "%s", argv[5 + i]);
    }
    for (int round = 0; round < rounds; round++) {
        double first = 0;
        printf("%-9s round %d:", argv[1], round + 1);
        for (int i = 0; i < n_services; i++) {
            double rate = measure(&services[i], type, clients, seconds, counts);
            first = i == 0 ? rate : first;
            ratios[i][round] = rate / first;
            printf("  %.0f/s", rate);
            (void)fflush(stdout);
        }
        printf("\n");
    }
    for (int i = 1; i < n_services; i++) {
        qsort(ratios[i], (size_t)rounds, sizeof(ratios[i][0]), compare);
        printf("%-9s %s: median of %d rounds %.2f (%.2f to %.2f) of %s\n", argv[1], argv[5 + i],
               rounds, ratios[i][rounds / 2], ratios[i][0], ratios[i][rounds - 1], argv[5]);
    }
    return 0;
}
