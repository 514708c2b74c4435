// SPDX-License-Identifier: MIT
#include "unit.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "acceptor.h"
#include "connection.h"
#include "loop.h"

enum {
    PLACES = 2,
    MANY = 64,                    /* who come, more than there is time for in one turn */
    REFUSING = 100 * 1000 * 1000, /* nanoseconds: far more than there is time for */
};

static struct common *common;
static struct loop loop;
static struct acceptors acceptors;
static struct activated listener;
static struct sockaddr_un address;
static socklen_t address_length;
static int clients[MANY];
static size_t n_clients;

static int set_up(void **state)
{
    struct quota_limits limits = {.connections = MANY, .connections_per_user = PLACES};

    (void)state;
    common = common_new(1, quota_limits_complete(limits, MANY), MANY);
    assert_non_null(common);
    assert_int_equal(loop_init(&loop, common, 0, (struct busy_poll_option){0}), 0);
    listener = (struct activated){
        .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0),
        .type = SOCK_STREAM,
        .kind = SOCKET_LISTENING,
        .role = ROLE_ECHO,
    };
    address = (struct sockaddr_un){.sun_family = AF_UNIX};
    address_length = sizeof(address);
    /* The kernel finds an abstract address for it. */
    assert_int_equal(
        bind(listener.fd, (const struct sockaddr *)&address, sizeof(address.sun_family)), 0);
    assert_int_equal(getsockname(listener.fd, (struct sockaddr *)&address, &address_length), 0);
    assert_int_equal(listen(listener.fd, MANY), 0);
    acceptors = (struct acceptors){.resume_at = UINT64_MAX};
    n_clients = 0;
    return acceptors_add(&acceptors, &loop, &listener);
}

static int tear_down(void **state)
{
    (void)state;
    while (loop.connections) {
        connection_free(&loop, loop.connections);
    }
    while (n_clients > 0) {
        close(clients[--n_clients]);
    }
    acceptors_deinit(&acceptors);
    close(listener.fd);
    loop_deinit(&loop);
    common_free(common);
    return 0;
}

static void come(size_t n)
{
    while (n-- > 0) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(fd, (const struct sockaddr *)&address, address_length), 0);
        clients[n_clients++] = fd;
    }
}

/* Takes in as many as their user may be. */
static void fill_places(void)
{
    come(PLACES);
    for (int i = 0; i < PLACES; i++) {
        (void)loop_turn(&loop, 0);
    }
    assert_int_equal(quota_connections(common->quota), PLACES);
}

static int64_t count_refused(void)
{
    return (int64_t)counter_get(&loop.counters, COUNTER_REFUSED_USER);
}

static bool rests(void)
{
    return acceptors.resume_at != UINT64_MAX && acceptors.rests;
}

/* As if that much had been spent, and N messages served meanwhile. */
static void spend(uint64_t nsec, int64_t n)
{
    loop.refusing_nsec = nsec;
    counter_add(&loop.counters, COUNTER_MESSAGES, n);
    acceptors_regulate(&acceptors, &loop);
    assert_int_equal(loop.refusing_nsec, 0); /* nothing is reckoned twice */
}

static void one_is_refused_in_each_turn_whatever_others_have_taken(void **state)
{
    (void)state;
    fill_places();
    come(MANY - PLACES);
    for (int turn = 1; turn <= MANY - PLACES; turn++) {
        loop.refusing_nsec = REFUSING;
        (void)loop_turn(&loop, 0);
        assert_int_equal(count_refused(), turn);
    }
}

static void what_refusing_takes_is_known(void **state)
{
    (void)state;
    fill_places();
    assert_int_equal(loop.refusing_nsec, 0); /* who is let in takes none of it */
    come(1);
    (void)loop_turn(&loop, 0);
    assert_int_equal(count_refused(), 1);
    assert_true(loop.refusing_nsec > 0);
}

static void where_nobody_is_served_refusing_goes_on(void **state)
{
    (void)state;
    spend(REFUSING, 0);
    spend(REFUSING, 0);
    assert_false(rests());
}

static void where_somebody_is_served_it_rests_for_three_times_as_long_at_least(void **state)
{
    uint64_t before;

    (void)state;
    spend(1, 1); /* from here on it is reckoned */
    fill_places();
    before = loop_now();
    spend(16 * 1000 * 10, 1);
    assert_true(rests());
    /* Much of that may have been the thread's standing still: as for twice a piece, not for ten. */
    assert_true(acceptors.resume_at >= before + 16 * 2 * 3);
    assert_true(acceptors.resume_at <= loop_now() + 16 * 2 * 4);
    come(1);
    (void)loop_turn(&loop, 0);
    assert_int_equal(count_refused(), 0);
}

static void when_that_is_over_it_goes_on(void **state)
{
    (void)state;
    spend(1, 1);
    fill_places();
    spend(REFUSING, 1);
    assert_true(rests());
    acceptors.resume_at = 0;
    acceptors_regulate(&acceptors, &loop);
    assert_false(rests());
    come(1);
    (void)loop_turn(&loop, 0);
    assert_int_equal(count_refused(), 1);
}

static void a_descriptor_that_is_free_does_not_end_the_rest(void **state)
{
    (void)state;
    spend(1, 1);
    spend(REFUSING, 1);
    acceptors.resume_at = UINT64_MAX - 1;
    loop.descriptor_freed = true;
    acceptors_regulate(&acceptors, &loop);
    assert_true(rests());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_is_refused_in_each_turn_whatever_others_have_taken,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_refusing_takes_is_known, set_up, tear_down),
        cmocka_unit_test_setup_teardown(where_nobody_is_served_refusing_goes_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            where_somebody_is_served_it_rests_for_three_times_as_long_at_least, set_up, tear_down),
        cmocka_unit_test_setup_teardown(when_that_is_over_it_goes_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_descriptor_that_is_free_does_not_end_the_rest, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
