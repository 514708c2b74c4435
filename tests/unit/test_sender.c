// SPDX-License-Identifier: MIT
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "sender.h"
#include "walks.h"

static char directory[] = "/tmp/uds-echo-sender-XXXXXX";

static struct sender sender_at(const char *path, uid_t uid)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct sender sender = {.uid = uid};

    snprintf(un.sun_path, sizeof(un.sun_path), "%s/%s", directory, path);
    memcpy(&sender.address, &un, sizeof(un));
    sender.size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(un.sun_path) + 1);
    return sender;
}

static const char *path_of(const struct sender *sender)
{
    return ((const struct sockaddr_un *)&sender->address)->sun_path;
}

/* A socket bound to the sender's path. */
static int bound(const struct sender *sender)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&sender->address, sender->size), 0);
    return fd;
}

static int reply(const struct sender *sender, const struct off_limits *off_limits)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    int r = sender_reply(sender, fd, off_limits, "hello", 5);

    close(fd);
    return r;
}

static void a_reply_reaches_the_socket_of_the_sender(void **state)
{
    const struct off_limits none = {0};
    struct sender sender = sender_at("own", geteuid());
    char text[10];
    int fd = bound(&sender);

    (void)state;
    assert_int_equal(reply(&sender, &none), 0);
    assert_int_equal(recv(fd, text, sizeof(text), 0), 5);
    close(fd);
    assert_int_equal(reply(&sender, &none), -ECONNREFUSED);
    unlink(path_of(&sender));
    assert_int_equal(reply(&sender, &none), -ENOENT);
}

static void a_socket_of_somebody_else_gets_no_reply(void **state)
{
    const struct off_limits none = {0};
    struct sender owner = sender_at("other", geteuid());
    struct sender sender = sender_at("other", 12345);
    int fd = bound(&owner);

    (void)state;
    assert_int_equal(reply(&sender, &none), -EACCES);
    close(fd);
    unlink(path_of(&owner));
}

static void what_is_off_limits_gets_no_reply_by_any_name(void **state)
{
    struct off_limits off_limits = {0};
    struct sender target = sender_at("target", geteuid());
    struct sender link = sender_at("link", geteuid());
    int fd = bound(&target);

    (void)state;
    assert_int_equal(linkat(AT_FDCWD, path_of(&target), AT_FDCWD, path_of(&link), 0), 0);
    assert_int_equal(reply(&link, &off_limits), 0);
    assert_int_equal(off_limits_add(&off_limits, "/nonexistent"), 0);
    assert_int_equal(off_limits_add(&off_limits, path_of(&target)), 0);
    assert_int_equal(reply(&link, &off_limits), -EACCES);
    assert_int_equal(reply(&target, &off_limits), -EACCES);
    off_limits_deinit(&off_limits);
    off_limits_deinit(&off_limits);
    unlink(path_of(&link));
    unlink(path_of(&target));
    close(fd);
}

static void a_path_with_a_symbolic_link_on_it_gets_no_reply(void **state)
{
    const struct off_limits none = {0};
    struct sender own = sender_at("own", geteuid());
    struct sender link = sender_at("link", geteuid());
    struct sender longer = sender_at("link/own", geteuid());
    int fd = bound(&own);

    (void)state;
    assert_int_equal(symlink(path_of(&own), path_of(&link)), 0);
    assert_int_equal(reply(&link, &none), -EACCES);
    unlink(path_of(&link));
    assert_int_equal(symlink(directory, path_of(&link)), 0);
    assert_int_equal(reply(&longer, &none), -ENOTDIR);
    unlink(path_of(&link));
    assert_int_equal(reply(&own, &none), 0);
    unlink(path_of(&own));
    close(fd);
}

/* It is one itself, on every host that has it. */
static void the_old_name_of_run_is_followed(void **state)
{
    const struct off_limits none = {0};
    struct sender sender = sender_at("x", geteuid());
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int fd;

    (void)state;
    snprintf(un.sun_path, sizeof(un.sun_path), "/var/run/uds-echo-sender-%d", getpid());
    memcpy(&sender.address, &un, sizeof(un));
    sender.size = sizeof(un);
    if (access("/var/run", W_OK) < 0) {
        skip(); /* without the right to bind there */
    }
    fd = bound(&sender);
    assert_int_equal(reply(&sender, &none), 0);
    unlink(path_of(&sender));
    close(fd);
}

static void what_is_no_socket_gets_no_reply(void **state)
{
    const struct off_limits none = {0};
    struct sender sender = sender_at("file", geteuid());
    FILE *file = fopen(path_of(&sender), "we");

    (void)state;
    assert_non_null(file);
    (void)fclose(file);
    assert_int_equal(reply(&sender, &none), -EACCES);
    unlink(path_of(&sender));
}

static void only_addresses_in_the_file_system_are_paths(void **state)
{
    struct sender path = sender_at("x", 0);
    struct sender abstract = {.size = 6};
    struct sender internet = {.size = 16};

    (void)state;
    abstract.address.ss_family = AF_UNIX;
    internet.address.ss_family = AF_INET;
    memset((char *)&internet.address + 2, 'x', 14);
    assert_true(sender_steps(&path) > 0);
    assert_int_equal(sender_steps(&abstract), 0);
    assert_int_equal(sender_steps(&internet), 0);
}

static void each_name_of_a_path_is_a_step(void **state)
{
    static const struct {
        const char *path;
        unsigned steps;
    } paths[] = {{"x", 1}, {"/x", 1}, {"a/b", 2}, {"//a///b/c.sock", 3}, {"./a", 2}};
    struct sender sender = {.address.ss_family = AF_UNIX};

    (void)state;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        strcpy(((struct sockaddr_un *)&sender.address)->sun_path, paths[i].path);
        sender.size =
            (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(paths[i].path) + 1);
        assert_int_equal(sender_steps(&sender), paths[i].steps);
    }
    /* As long as can be, with no null byte at its end. */
    memset(((struct sockaddr_un *)&sender.address)->sun_path, 'x',
           sizeof(((struct sockaddr_un *)0)->sun_path));
    sender.size = sizeof(struct sockaddr_un);
    assert_int_equal(sender_steps(&sender), 1);
}

static void a_user_has_a_few_steps_in_a_turn_but_one_path_at_least(void **state)
{
    struct walks walks;

    (void)state;
    walks_begin(&walks);
    assert_true(walks_take(&walks, 1000, 10 * WALKS_STEPS));
    assert_false(walks_take(&walks, 1000, 1));
    for (unsigned i = 0; i < WALKS_STEPS; i++) {
        assert_true(walks_take(&walks, 1001, 1));
    }
    assert_false(walks_take(&walks, 1001, 1));
    for (uid_t uid = 1002; uid < 1000 + WALKS_USERS; uid++) {
        assert_true(walks_take(&walks, uid, 1));
    }
    assert_false(walks_take(&walks, 1000 + WALKS_USERS, 1));
    walks_begin(&walks);
    assert_true(walks_take(&walks, 1000 + WALKS_USERS, 1));
}

static void the_same_address_of_two_users_is_two_senders(void **state)
{
    struct sender one = sender_at("x", 1000);
    struct sender same = sender_at("x", 1000);
    struct sender user = sender_at("x", 1001);
    struct sender path = sender_at("y", 1000);
    struct sender longer = sender_at("xx", 1000);

    (void)state;
    assert_int_equal(sender_compare(&one, &same), 0);
    assert_true(sender_compare(&one, &user) < 0 && sender_compare(&user, &one) > 0);
    assert_true(sender_compare(&one, &path) < 0 && sender_compare(&path, &one) > 0);
    assert_true(sender_compare(&one, &longer) < 0 && sender_compare(&longer, &one) > 0);
}

static int make_directory(void **state)
{
    (void)state;
    return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
    (void)state;
    return rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reply_reaches_the_socket_of_the_sender),
        cmocka_unit_test(a_socket_of_somebody_else_gets_no_reply),
        cmocka_unit_test(what_is_off_limits_gets_no_reply_by_any_name),
        cmocka_unit_test(a_path_with_a_symbolic_link_on_it_gets_no_reply),
        cmocka_unit_test(the_old_name_of_run_is_followed),
        cmocka_unit_test(what_is_no_socket_gets_no_reply),
        cmocka_unit_test(only_addresses_in_the_file_system_are_paths),
        cmocka_unit_test(each_name_of_a_path_is_a_step),
        cmocka_unit_test(a_user_has_a_few_steps_in_a_turn_but_one_path_at_least),
        cmocka_unit_test(the_same_address_of_two_users_is_two_senders),
    };

    return cmocka_run_group_tests_name("sender", tests, make_directory, remove_directory);
}
