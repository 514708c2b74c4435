// SPDX-License-Identifier: MIT
#include "unit.h"

#include <dirent.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "peer.h"

enum { EVERYTHING = POLICY_NEEDS_GROUPS | POLICY_NEEDS_UNIT | POLICY_NEEDS_LABEL };

static struct peer peer;

/* How many descriptors this process has open. */
static unsigned count_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    unsigned n = 0;

    assert_non_null(directory);
    while (readdir(directory)) {
        n++;
    }
    closedir(directory);
    return n;
}

static void assert_is_this_process(void)
{
    gid_t groups[NGROUPS_MAX];
    int n = getgroups(NGROUPS_MAX, groups);
    const struct identity *identity = &peer.identity;

    assert_int_equal(identity->has_uid, geteuid() != POLICY_OVERFLOW_ID);
    assert_int_equal(identity->uid, geteuid());
    assert_int_equal(identity->gid, getegid());
    assert_int_equal(peer.pid, getpid());
    assert_true(n >= 0);
    for (int i = 0; i < n; i++) {
        bool found = groups[i] == POLICY_OVERFLOW_ID;
        for (size_t j = 0; j < identity->n_groups; j++) {
            found |= identity->groups[j] == groups[i];
        }
        assert_true(found);
    }
    assert_true((int)identity->n_groups <= n);
}

static void who_has_connected_is_known(void **state)
{
    unsigned before = count_descriptors();
    int pair[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(peer_of_connection(&peer, pair[0], EVERYTHING), 0);
    assert_is_this_process();
    assert_int_equal(peer.pid_holds, peer_can_pin());
    close(pair[0]);
    close(pair[1]);
    assert_int_equal(count_descriptors(), before);
}

static void no_more_is_found_out_than_is_needed(void **state)
{
    int pair[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    assert_int_equal(peer_of_connection(&peer, pair[0], EVERYTHING), 0);
    assert_int_equal(peer_of_connection(&peer, pair[0], 0), 0);
    assert_int_equal(peer.identity.uid, geteuid());
    assert_null(peer.identity.groups);
    assert_null(peer.identity.unit);
    assert_null(peer.identity.label);
    assert_false(peer.pid_holds);
    close(pair[0]);
    close(pair[1]);
}

/* A listening socket, whose address goes to ADDRESS. */
static int listening(int type, struct sockaddr_un *address, socklen_t *size)
{
    int fd = socket(AF_UNIX, type, 0);

    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    *size = sizeof(*address);
    assert_int_equal(bind(fd, (struct sockaddr *)address, sizeof(sa_family_t)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)address, size), 0);
    assert_int_equal(type == SOCK_DGRAM ? 0 : listen(fd, 5), 0);
    return fd;
}

static void of_a_process_that_is_gone_only_what_the_socket_says_is_known(void **state)
{
    struct sockaddr_un address;
    socklen_t size;
    int server = listening(SOCK_STREAM, &address, &size);
    pid_t child = fork();
    int fd;

    (void)state;
    if (child == 0) {
        _exit(connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&address, size) != 0);
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
    fd = accept(server, NULL, NULL);
    assert_true(fd >= 0);
    assert_int_equal(peer_of_connection(&peer, fd, EVERYTHING), 0);
    assert_int_equal(peer.identity.uid, geteuid());
    assert_int_equal(peer.pid, child);
    assert_false(peer.pid_holds);
    assert_null(peer.identity.unit);
    close(fd);
    close(server);
}

/* Receives a datagram and finds out who sent it. */
static void receive(int server, unsigned needs)
{
    struct peer_room room;
    char buffer[16];
    struct iovec data = {.iov_base = buffer, .iov_len = sizeof(buffer)};
    struct msghdr message = {
        .msg_iov = &data,
        .msg_iovlen = 1,
        .msg_control = &room,
        .msg_controllen = sizeof(room),
    };

    assert_int_equal(recvmsg(server, &message, MSG_DONTWAIT), 1);
    assert_int_equal(peer_of_message(&peer, &message, needs), 0);
}

static void who_has_sent_a_datagram_is_known(void **state)
{
    unsigned before = count_descriptors();
    struct sockaddr_un address;
    socklen_t size;
    int server = listening(SOCK_DGRAM, &address, &size);
    int client = socket(AF_UNIX, SOCK_DGRAM, 0);

    (void)state;
    assert_int_equal(peer_prepare_datagrams(server, EVERYTHING), 0);
    assert_int_equal(sendto(client, "x", 1, 0, (struct sockaddr *)&address, size), 1);
    receive(server, EVERYTHING);
    if (peer_can_pin()) {
        assert_is_this_process();
        assert_non_null(peer.identity.groups);
    }
    close(client);
    close(server);
    assert_int_equal(count_descriptors(), before);
}

static void of_a_datagram_without_credentials_nothing_is_known(void **state)
{
    struct sockaddr_un address;
    socklen_t size;
    int server = listening(SOCK_DGRAM, &address, &size);
    int client = socket(AF_UNIX, SOCK_DGRAM, 0);

    (void)state;
    assert_int_equal(sendto(client, "x", 1, 0, (struct sockaddr *)&address, size), 1);
    receive(server, EVERYTHING);
    assert_false(peer.identity.has_uid);
    assert_false(peer.identity.has_gid);
    assert_int_equal(peer.pid, 0);
    assert_null(peer.identity.groups);
    close(client);
    close(server);
}

static void of_a_sender_that_is_gone_the_groups_are_not_known(void **state)
{
    struct sockaddr_un address;
    socklen_t size;
    int server = listening(SOCK_DGRAM, &address, &size);
    pid_t child;

    (void)state;
    assert_int_equal(peer_prepare_datagrams(server, EVERYTHING), 0);
    child = fork();
    if (child == 0) {
        int client = socket(AF_UNIX, SOCK_DGRAM, 0);
        _exit(sendto(client, "x", 1, 0, (struct sockaddr *)&address, size) != 1);
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
    receive(server, EVERYTHING);
    assert_int_equal(peer.identity.uid, getuid());
    assert_int_equal(peer.pid, child);
    assert_false(peer.pid_holds);
    assert_null(peer.identity.groups);
    assert_null(peer.identity.unit);
    close(server);
}

/* Where they take the room of what would say more: a rule that refuses must not be evaded so. */
static void of_who_passes_descriptors_nothing_is_known_and_they_are_closed(void **state)
{
    struct sockaddr_un address;
    socklen_t size;
    int server = listening(SOCK_DGRAM, &address, &size);
    int client = socket(AF_UNIX, SOCK_DGRAM, 0);
    const int passed[] = {0, 0, 0, 0};
    union {
        char bytes[CMSG_SPACE(sizeof(passed))];
        struct cmsghdr header;
    } control = {.header = {.cmsg_level = SOL_SOCKET,
                            .cmsg_type = SCM_RIGHTS,
                            .cmsg_len = CMSG_LEN(sizeof(passed))}};
    char byte = 'x';
    struct iovec data = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {
        .msg_name = &address,
        .msg_namelen = size,
        .msg_iov = &data,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof(control),
    };
    unsigned before;

    (void)state;
    memcpy(CMSG_DATA(&control.header), passed, sizeof(passed));
    for (unsigned needs = 0; needs <= EVERYTHING; needs += EVERYTHING) {
        assert_int_equal(peer_prepare_datagrams(server, needs), 0);
        before = count_descriptors();
        assert_int_equal(sendmsg(client, &message, 0), 1);
        receive(server, needs);
        assert_int_equal(count_descriptors(), before);
        assert_false(peer.identity.has_uid);
        assert_false(peer.identity.has_gid);
        assert_null(peer.identity.groups);
    }
    close(client);
    close(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_has_connected_is_known),
        cmocka_unit_test(no_more_is_found_out_than_is_needed),
        cmocka_unit_test(of_a_process_that_is_gone_only_what_the_socket_says_is_known),
        cmocka_unit_test(who_has_sent_a_datagram_is_known),
        cmocka_unit_test(of_a_datagram_without_credentials_nothing_is_known),
        cmocka_unit_test(of_a_sender_that_is_gone_the_groups_are_not_known),
        cmocka_unit_test(of_who_passes_descriptors_nothing_is_known_and_they_are_closed),
    };

    return cmocka_run_group_tests_name("peer", tests, NULL, NULL);
}
