// SPDX-License-Identifier: MIT
#include "unit.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "connection.h"
#include "idle.h"
#include "loop.h"

enum {
    ALICE = 1000,
    BOB,
    MANY = 6 * TURNS_ROOM,
    LISTENERS = 2 * TURNS_ROOM, /* more than there is a look at in each turn */
};

static struct common *common;
static struct loop loop;

static int set_up(void **state)
{
    struct rlimit limit;

    (void)state;
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    common = common_new(1, quota_limits_complete((struct quota_limits){0}, 3 * MANY), 3 * MANY);
    assert_non_null(common);
    return loop_init(&loop, common, 0, (struct busy_poll_option){0});
}

static int tear_down(void **state)
{
    (void)state;
    while (loop.connections) {
        connection_free(&loop, loop.connections);
    }
    loop_deinit(&loop);
    common_free(common);
    return 0;
}

/* Returns the client's end of a connection of UID's. */
static int connect_as(uid_t uid)
{
    struct visitor visitor = {.type = SOCK_STREAM};
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    visitor.fd = ends[0];
    assert_int_equal(quota_enter(common->quota, uid, &visitor.account), 0);
    assert_int_equal(connection_new(&loop, &visitor, NULL), 0);
    return ends[1];
}

static void connect_many(int fds[MANY])
{
    for (int i = 0; i < MANY; i++) {
        fds[i] = connect_as(ALICE);
    }
}

static void say(int fd)
{
    assert_int_equal(send(fd, "now", 3, 0), 3);
}

/* In which turn the answer comes. */
static int await(int fd)
{
    char answer[4];
    int turns = 0;

    do {
        assert_true(turns++ < 3 * MANY);
        (void)loop_turn(&loop, 0);
    } while (recv(fd, answer, sizeof(answer), 0) != 3);
    return turns;
}

static void who_has_one_message_is_answered_in_the_turn_in_which_it_is_seen(void **state)
{
    int fds[MANY];
    int bob;

    (void)state;
    connect_many(fds);
    bob = connect_as(BOB);
    for (int i = 0; i < MANY; i++) {
        say(fds[i]);
    }
    say(bob);
    assert_int_equal(await(bob), MANY / TURNS_ROOM + 1);
    /* What is postponed is not seen again. */
    for (int i = 0; i < 3; i++) {
        say(bob);
        assert_int_equal(await(bob), 1);
    }
    for (int i = 0; i < MANY; i++) {
        (void)await(fds[i]);
        close(fds[i]);
    }
    close(bob);
}

static void nor_are_ends_seen_again_and_again_so_that_others_wait(void **state)
{
    int fds[MANY];
    int bob;
    int turns = 0;

    (void)state;
    connect_many(fds);
    bob = connect_as(BOB);
    for (int i = 0; i < MANY; i++) {
        close(fds[i]);
    }
    /* Each is reported when it comes, and once more when it is postponed. */
    for (int i = 0; i < 3; i++) {
        say(bob);
        turns += await(bob);
    }
    assert_in_range(turns, 3, 2 * MANY / TURNS_ROOM + 3);
    while (counter_get(&loop.counters, COUNTER_CONNECTED) > 1) {
        (void)loop_turn(&loop, 0);
        assert_true(turns++ < MANY / TURNS_PER_USER);
    }
    close(bob);
}

static void what_waits_for_its_turn_is_not_idle(void **state)
{
    struct idle idle;
    int fds[MANY];
    int bob;

    (void)state;
    assert_int_equal(idle_init(&idle, &loop, 1000000), 0);
    connect_many(fds);
    bob = connect_as(BOB);
    for (int i = 0; i < MANY; i++) {
        say(fds[i]);
    }
    for (int i = 0; i < MANY / TURNS_ROOM; i++) {
        (void)loop_turn(&loop, 0);
    }
    for (int i = 0; i < 20; i++) {
        idle.due = true;
        idle_tend(&idle, &loop);
    }
    for (int i = 0; i < MANY; i++) {
        char answer[4];
        bool is_answered = recv(fds[i], answer, sizeof(answer), 0) == 3;
        assert_true(is_answered || await(fds[i]));
        close(fds[i]);
    }
    close(bob);
    idle_deinit(&idle);
}

/* What goes first, and how often it was served. */
struct bell {
    struct watch watch;
    unsigned times;
};

static void ring(struct loop *its_loop, struct watch *watch, uint32_t events)
{
    struct bell *bell = (struct bell *)watch;

    (void)its_loop;
    assert_true(events & EPOLLIN);
    bell->times++;
}

static void hang_up_bells(struct bell *bells, int n)
{
    for (int i = 0; i < n; i++) {
        bells[i] = (struct bell){
            .watch = {.ready = ring, .fd = eventfd(1, EFD_CLOEXEC), .goes_first = true}};
        assert_int_equal(loop_watch(&loop, &bells[i].watch, EPOLLIN), 0);
    }
}

static void take_down_bells(struct bell *bells, int n)
{
    for (int i = 0; i < n; i++) {
        loop_unwatch(&loop, &bells[i].watch);
        close(bells[i].watch.fd);
    }
}

static void what_goes_first_is_served_once_in_each_turn_of_a_crowd(void **state)
{
    enum { BELLS = 3 };
    struct bell bells[BELLS];
    int fds[MANY];
    int bob;

    (void)state;
    hang_up_bells(bells, BELLS);
    connect_many(fds);
    bob = connect_as(BOB);
    for (int i = 0; i < MANY; i++) {
        say(fds[i]);
    }
    for (unsigned turn = 1; turn <= MANY / TURNS_ROOM; turn++) {
        (void)loop_turn(&loop, 0);
        for (int i = 0; i < BELLS; i++) {
            assert_int_equal(bells[i].times, turn);
        }
    }
    take_down_bells(bells, BELLS);
    for (int i = 0; i < MANY; i++) {
        close(fds[i]);
    }
    close(bob);
}

static void of_too_many_that_go_first_the_oldest_are_looked_at(void **state)
{
    struct bell bells[LISTENERS];

    (void)state;
    hang_up_bells(bells, LISTENERS);
    for (unsigned turn = 1; turn <= 3; turn++) {
        (void)loop_turn(&loop, 0);
        assert_int_equal(bells[0].times, turn);
    }
    /* Who leaves and comes again is behind the others, whatever its place was. */
    for (int i = LISTENERS - 1; i >= 0; i -= LISTENERS - 1) {
        loop_unwatch(&loop, &bells[i].watch);
        assert_int_equal(loop_watch(&loop, &bells[i].watch, EPOLLIN), 0);
    }
    assert_ptr_equal(loop.first, &bells[1].watch);
    assert_ptr_equal(loop.first_end, &bells[0].watch.next);
    take_down_bells(bells, LISTENERS);
    assert_null(loop.first);
    assert_ptr_equal(loop.first_end, &loop.first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            who_has_one_message_is_answered_in_the_turn_in_which_it_is_seen, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nor_are_ends_seen_again_and_again_so_that_others_wait,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_waits_for_its_turn_is_not_idle, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_goes_first_is_served_once_in_each_turn_of_a_crowd,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(of_too_many_that_go_first_the_oldest_are_looked_at, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
