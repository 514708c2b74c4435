// SPDX-License-Identifier: MIT
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "activation.h"
#include "util.h"

static char reason[ACTIVATION_TEXT_MAX];
static bool has_policy; /* what the daemon was given in this test */

/* A Unix socket with an address that the kernel chooses (autobind, unix(7)). */
static int bound_socket(int type)
{
    const struct sockaddr_un any = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, type, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&any, sizeof(any.sun_family)), 0);
    return fd;
}

static int listening_socket(int type)
{
    int fd = bound_socket(type);

    assert_int_equal(listen(fd, 5), 0);
    return fd;
}

static int internet_socket(int type)
{
    const struct sockaddr_in loopback = {.sin_family = AF_INET,
                                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, type, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&loopback, sizeof(loopback)), 0);
    return fd;
}

static void assert_served(int fd, const char *name, enum socket_kind kind, int type)
{
    struct activated socket;

    if (activation_examine(fd, name, has_policy, &socket, reason) != 0) {
        fail_msg("descriptor named %s: %s", name, reason);
    }
    assert_int_equal(socket.fd, fd);
    assert_int_equal(socket.kind, kind);
    assert_int_equal(socket.type, type);
    assert_int_equal(socket.role, ROLE_ECHO);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    close(fd);
}

static void assert_refused(int fd, const char *name, int error, const char *because)
{
    struct activated socket;

    reason[0] = '\0';
    assert_int_equal(activation_examine(fd, name, has_policy, &socket, reason), error);
    if (!strstr(reason, because)) {
        fail_msg("the reason is \"%s\" and does not say \"%s\"", reason, because);
    }
    close(fd);
}

static void sockets_of_each_kind_are_served(void **state)
{
    int pair[2];

    (void)state;
    assert_served(listening_socket(SOCK_STREAM), "echo", SOCKET_LISTENING, SOCK_STREAM);
    assert_served(listening_socket(SOCK_SEQPACKET), "echo", SOCKET_LISTENING, SOCK_SEQPACKET);
    assert_served(bound_socket(SOCK_DGRAM), "echo", SOCKET_DATAGRAM, SOCK_DGRAM);
    assert_served(internet_socket(SOCK_DGRAM), "echo", SOCKET_DATAGRAM, SOCK_DGRAM);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_served(pair[0], "connection", SOCKET_CONNECTED, SOCK_STREAM);
    close(pair[1]);
}

static void names_that_systemd_gives_by_itself_mean_echo(void **state)
{
    static const char *const names[] = {"my-echo.socket", "unknown", "echo", ""};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(names); i++) {
        assert_served(listening_socket(SOCK_STREAM), names[i], SOCKET_LISTENING, SOCK_STREAM);
    }
    assert_served(listening_socket(SOCK_STREAM), NULL, SOCKET_LISTENING, SOCK_STREAM);
}

static void a_name_that_is_no_role_is_refused(void **state)
{
    static const char *const names[] = {"metrics", "Echo", "Auth", "echo2", "socket"};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(names); i++) {
        assert_refused(listening_socket(SOCK_STREAM), names[i], -EINVAL, "no role");
    }
}

static void assert_role(const char *name, enum role role)
{
    struct activated socket;
    int fd = listening_socket(SOCK_SEQPACKET);

    assert_int_equal(activation_examine(fd, name, has_policy, &socket, reason), 0);
    assert_int_equal(socket.role, role);
    close(fd);
}

static void with_a_policy_what_has_no_name_is_guarded(void **state)
{
    static const char *const names[] = {"my.socket", "connection", "unknown", ""};

    (void)state;
    has_policy = true;
    for (size_t i = 0; i < ELEMENTS(names); i++) {
        assert_role(names[i], ROLE_AUTH);
    }
    assert_role(NULL, ROLE_AUTH);
    assert_role("auth", ROLE_AUTH);
    assert_role("whoami", ROLE_WHOAMI);
    assert_role("echo", ROLE_ECHO);
    has_policy = false;
}

static void a_role_that_takes_a_policy_is_refused_without_one(void **state)
{
    (void)state;
    assert_refused(listening_socket(SOCK_STREAM), "auth", -EINVAL, "--policy=");
    assert_refused(bound_socket(SOCK_DGRAM), "whoami", -EINVAL, "--policy=");
}

static void where_the_kernel_does_not_say_who_a_client_is_nobody_is_authenticated(void **state)
{
    (void)state;
    has_policy = true;
    assert_refused(internet_socket(SOCK_DGRAM), "auth", -EPROTONOSUPPORT, "Unix socket");
    assert_refused(internet_socket(SOCK_DGRAM), "my.socket", -EPROTONOSUPPORT, "role auth");
    assert_refused(internet_socket(SOCK_STREAM), "whoami", -EPROTONOSUPPORT, "role whoami");
    has_policy = false;
}

static void what_cannot_be_served_is_refused(void **state)
{
    (void)state;
    assert_refused(9999, "echo", -EBADF, "not open");
    assert_refused(open("/dev/null", O_RDWR), "echo", -ENOTSOCK, "not a socket");
    assert_refused(socket(AF_NETLINK, SOCK_RAW, 0), "echo", -EPROTONOSUPPORT, "not served");
    assert_refused(bound_socket(SOCK_STREAM), "echo", -ENOTCONN, "neither listens");
    assert_refused(bound_socket(SOCK_SEQPACKET), "echo", -ENOTCONN, "neither listens");
    assert_refused(socket(AF_INET, SOCK_STREAM, 0), "echo", -ENOTCONN, "neither listens");
}

static void a_listener_does_not_block(void **state)
{
    int fd = listening_socket(SOCK_STREAM);
    struct activated socket;

    (void)state;
    assert_int_equal(activation_examine(fd, "echo", false, &socket, reason), 0);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    close(fd);
}

static void addresses_are_described_for_people(void **state)
{
    const struct sockaddr_un abstract = {.sun_family = AF_UNIX, .sun_path = "\0uds-echo-unit-test"};
    const struct sockaddr_in6 loopback = {.sin6_family = AF_INET6,
                                          .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    char text[ACTIVATION_TEXT_MAX];
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

    (void)state;
    assert_string_equal(activation_describe(fd, text), "no address");
    assert_int_equal(
        bind(fd, (const struct sockaddr *)&abstract, offsetof(struct sockaddr_un, sun_path) + 19),
        0);
    assert_string_equal(activation_describe(fd, text), "@uds-echo-unit-test");
    close(fd);

    fd = socket(AF_INET6, SOCK_DGRAM, 0);
    if (fd >= 0 && bind(fd, (const struct sockaddr *)&loopback, sizeof(loopback)) == 0) {
        assert_memory_equal(activation_describe(fd, text), "[::1]:", 6);
    }
    close(fd);
    assert_string_equal(activation_describe(9999, text), "no address");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sockets_of_each_kind_are_served),
        cmocka_unit_test(names_that_systemd_gives_by_itself_mean_echo),
        cmocka_unit_test(a_name_that_is_no_role_is_refused),
        cmocka_unit_test(with_a_policy_what_has_no_name_is_guarded),
        cmocka_unit_test(a_role_that_takes_a_policy_is_refused_without_one),
        cmocka_unit_test(where_the_kernel_does_not_say_who_a_client_is_nobody_is_authenticated),
        cmocka_unit_test(what_cannot_be_served_is_refused),
        cmocka_unit_test(a_listener_does_not_block),
        cmocka_unit_test(addresses_are_described_for_people),
    };

    return cmocka_run_group_tests_name("activation", tests, NULL, NULL);
}
