// SPDX-License-Identifier: MIT
#include "unit.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "timespan.h"
#include "workers.h"

enum { PATIENCE_MS = 10000, N_WORKERS = 4 };

/* Workers that serve one socket, and what a client needs to reach it. */
struct served {
    struct workers *workers;
    struct activated socket;
    struct sockaddr_un address;
    socklen_t size;
};

static void serve(struct served *served, int type, uint64_t connections_max,
                  uint64_t exit_idle_usec)
{
    struct workers_config config = {
        .n = N_WORKERS,
        .sockets = &served->socket,
        .n_sockets = 1,
        .limits = quota_limits_complete((struct quota_limits){0}, connections_max),
        .connections_fit = connections_max,
        .exit_idle_usec = exit_idle_usec,
        .idle_usec = TIMESPAN_INFINITY,
    };
    char reason[ACTIVATION_TEXT_MAX];
    int fd = socket(AF_UNIX, type, 0);

    served->address = (struct sockaddr_un){.sun_family = AF_UNIX};
    served->size = sizeof(served->address);
    assert_int_equal(bind(fd, (struct sockaddr *)&served->address, sizeof(sa_family_t)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&served->address, &served->size), 0);
    assert_int_equal(type == SOCK_DGRAM ? 0 : listen(fd, 100), 0);
    assert_int_equal(activation_examine(fd, "echo", false, &served->socket, reason), 0);
    assert_int_equal(workers_new(&config, &served->workers), 0);
    assert_int_equal(workers_start(served->workers), 0);
}

static void finish(struct served *served)
{
    workers_free(served->workers);
    close(served->socket.fd);
}

static int client_of(const struct served *served)
{
    const struct sockaddr_un any = {.sun_family = AF_UNIX};
    const struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    int fd = socket(AF_UNIX, served->socket.type, 0);

    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    if (served->socket.type == SOCK_DGRAM) {
        assert_int_equal(bind(fd, (const struct sockaddr *)&any, sizeof(sa_family_t)), 0);
    }
    assert_int_equal(connect(fd, (const struct sockaddr *)&served->address, served->size), 0);
    return fd;
}

static uint64_t count(const struct served *served, enum counter counter)
{
    struct counters counters;

    workers_count(served->workers, &counters);
    return counter_get(&counters, counter);
}

static void await_stop(const struct served *served)
{
    struct pollfd event = {.fd = workers_event_fd(served->workers), .events = POLLIN};

    while (!workers_stopped(served->workers)) {
        assert_int_equal(poll(&event, 1, PATIENCE_MS), 1);
        workers_take_event(served->workers);
    }
}

static void assert_echoed(int fd, const char *text)
{
    char reply[64] = "";

    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    assert_int_equal(recv(fd, reply, sizeof(reply), 0), strlen(text));
    assert_string_equal(reply, text);
}

static void each_socket_type_echoes(void **state)
{
    static const int types[] = {SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct served served;
        int fd;
        serve(&served, types[i], 10, TIMESPAN_INFINITY);
        fd = client_of(&served);
        assert_echoed(fd, "hello");
        assert_echoed(fd, "again");
        assert_int_equal(count(&served, COUNTER_MESSAGES), 2);
        assert_int_equal(count(&served, COUNTER_BYTES), 10);
        assert_int_equal(count(&served, COUNTER_CONNECTED), types[i] == SOCK_DGRAM ? 0 : 1);
        close(fd);
        finish(&served);
    }
}

static void idle_workers_stop_by_themselves(void **state)
{
    struct served served;

    (void)state;
    serve(&served, SOCK_STREAM, 10, 1000);
    await_stop(&served);
    finish(&served);
}

static void with_a_connection_to_one_they_are_not_idle(void **state)
{
    struct served served;
    int fd;

    (void)state;
    serve(&served, SOCK_STREAM, 10, 100000);
    fd = client_of(&served);
    assert_echoed(fd, "hello");
    /* The others are, and say so. */
    for (int i = 0; i < 50; i++) {
        workers_take_event(served.workers);
        assert_false(workers_stopped(served.workers));
        usleep(10000);
    }
    assert_echoed(fd, "still there");
    close(fd);
    await_stop(&served);
    finish(&served);
}

static void a_connection_that_is_passed_is_served_to_its_end(void **state)
{
    int pair[2];
    struct served served;
    struct workers_config config = {
        .n = N_WORKERS,
        .sockets = &served.socket,
        .n_sockets = 1,
        .limits = quota_limits_complete((struct quota_limits){0}, 10),
        .connections_fit = 10,
        .exit_idle_usec = TIMESPAN_INFINITY,
    };
    char reason[ACTIVATION_TEXT_MAX];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(activation_examine(pair[0], "connection", false, &served.socket, reason), 0);
    assert_int_equal(workers_new(&config, &served.workers), 0);
    assert_int_equal(workers_start(served.workers), 0);
    assert_echoed(pair[1], "hello");
    close(pair[1]);
    await_stop(&served);
    workers_free(served.workers);
}

static void a_connection_beyond_the_limit_is_closed_and_counted(void **state)
{
    struct served served;
    char byte;
    int first;
    int second;
    int third;

    (void)state;
    serve(&served, SOCK_STREAM, 1, TIMESPAN_INFINITY);
    first = client_of(&served);
    assert_echoed(first, "hello");
    second = client_of(&served);
    assert_int_equal(recv(second, &byte, 1, 0), 0);
    assert_int_equal(count(&served, COUNTER_REFUSED), 1);
    assert_echoed(first, "still there");

    close(first);
    while (count(&served, COUNTER_CONNECTED) > 0) {
        usleep(1000);
    }
    third = client_of(&served);
    assert_echoed(third, "there is room again");
    close(second);
    close(third);
    finish(&served);
}

static void at_the_stop_all_that_was_sent_comes_back(void **state)
{
    static const int types[] = {SOCK_STREAM, SOCK_SEQPACKET};
    enum { PIECE = 1000 };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct served served;
        char piece[PIECE];
        ssize_t sent = 0;
        ssize_t received = 0;
        ssize_t n;
        int fd;

        memset(piece, 'x', sizeof(piece));
        serve(&served, types[i], 10, TIMESPAN_INFINITY);
        fd = client_of(&served);
        assert_echoed(fd, "hello");
        /* As much as goes: it fills the client's way there, the worker, and the way back. */
        for (int tries = 0; tries < 20; tries++) {
            while ((n = send(fd, piece, sizeof(piece), MSG_DONTWAIT | MSG_NOSIGNAL)) > 0) {
                sent += n;
            }
            usleep(1000);
        }
        assert_true(sent > 100 * PIECE);
        workers_drain(served.workers);
        while ((n = recv(fd, piece, sizeof(piece), 0)) > 0) {
            received += n;
        }
        assert_int_equal(n, 0);
        assert_int_equal(received, sent);
        await_stop(&served);
        assert_int_equal(count(&served, COUNTER_UNFINISHED), 0);
        close(fd);
        finish(&served);
    }
}

static void a_datagram_without_a_return_address_is_counted(void **state)
{
    struct served served;
    int bound;
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

    (void)state;
    serve(&served, SOCK_DGRAM, 10, TIMESPAN_INFINITY);
    assert_int_equal(sendto(fd, "x", 1, 0, (struct sockaddr *)&served.address, served.size), 1);
    bound = client_of(&served);
    assert_echoed(bound, "hello");
    assert_int_equal(count(&served, COUNTER_UNADDRESSED), 1);
    close(fd);
    close(bound);
    finish(&served);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_socket_type_echoes),
        cmocka_unit_test(idle_workers_stop_by_themselves),
        cmocka_unit_test(with_a_connection_to_one_they_are_not_idle),
        cmocka_unit_test(a_connection_that_is_passed_is_served_to_its_end),
        cmocka_unit_test(a_connection_beyond_the_limit_is_closed_and_counted),
        cmocka_unit_test(at_the_stop_all_that_was_sent_comes_back),
        cmocka_unit_test(a_datagram_without_a_return_address_is_counted),
    };

    return cmocka_run_group_tests_name("workers", tests, NULL, NULL);
}
