// SPDX-License-Identifier: MIT
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <unistd.h>

#include "handover.h"
#include "handover_channel.h"
#include "handover_format.h"

static void descriptors_wait_for_who_comes_when_the_other_end_is_closed(void **state)
{
    struct handover_label label = {.version = 1, .first = 17};
    int descriptors[HANDOVER_BATCH];
    int pair[2];
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

    (void)state;
    assert_int_equal(handover_channel_new(pair), 0);
    for (size_t i = 0; i < HANDOVER_BATCH; i++) {
        descriptors[i] = null;
    }
    assert_int_equal(handover_channel_send(pair[0], &label, descriptors, HANDOVER_BATCH), 0);
    label.is_file = 1;
    assert_int_equal(handover_channel_send(pair[0], &label, descriptors, 1), 0);
    close(pair[0]);
    close(null);

    memset(&label, 0, sizeof(label));
    assert_int_equal(handover_channel_receive(pair[1], &label, descriptors), HANDOVER_BATCH);
    assert_int_equal(label.first, 17);
    assert_int_equal(label.is_file, 0);
    for (size_t i = 0; i < HANDOVER_BATCH; i++) {
        assert_int_equal(fcntl(descriptors[i], F_GETFD), FD_CLOEXEC);
        close(descriptors[i]);
    }
    assert_int_equal(handover_channel_receive(pair[1], &label, descriptors), 1);
    assert_int_equal(label.is_file, 1);
    close(descriptors[0]);
    assert_int_equal(handover_channel_receive(pair[1], &label, descriptors), -ENODATA);
    close(pair[1]);
}

static void a_message_without_descriptors_is_not_understood(void **state)
{
    struct handover_label label = {.version = 1};
    int descriptors[HANDOVER_BATCH];
    int pair[2];

    (void)state;
    assert_int_equal(handover_channel_new(pair), 0);
    assert_int_equal(send(pair[0], &label, sizeof(label), 0), sizeof(label));
    assert_int_equal(handover_channel_receive(pair[1], &label, descriptors), -EBADMSG);
    assert_int_equal(handover_channel_receive(pair[1], &label, descriptors), -ENODATA);
    close(pair[0]);
    close(pair[1]);
}

/* Of a service manager what handover_store() takes: a store, with room for some. */
struct manager {
    int fd;
    pthread_t thread;
    size_t skips; /* so many it does not keep at first, and then */
    size_t room;
    bool forgets; /* when it is told to */
    int kept[HANDOVER_KEPT_MAX];
    _Atomic size_t n_kept; /* the test looks at it once it has been answered */
};

static void manager_forget(struct manager *manager)
{
    while (manager->n_kept > 0) {
        close(manager->kept[--manager->n_kept]);
    }
}

static void manager_store(struct manager *manager, const int *descriptors, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i >= manager->skips && manager->n_kept < manager->room) {
            manager->kept[manager->n_kept++] = descriptors[i];
        } else {
            close(descriptors[i]);
        }
    }
}

/* Receives a message and does what it says. Returns false at an empty one. */
static bool manager_hear(struct manager *manager)
{
    char text[256] = "";
    union {
        char room[CMSG_SPACE(HANDOVER_KEPT_MAX * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec data = {.iov_base = text, .iov_len = sizeof(text) - 1};
    struct msghdr message = {
        .msg_iov = &data,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof(control),
    };
    struct cmsghdr *rights;
    int descriptors[HANDOVER_KEPT_MAX];
    size_t n = 0;

    if (recvmsg(manager->fd, &message, 0) <= 0) {
        return false;
    }
    rights = CMSG_FIRSTHDR(&message);
    if (rights) {
        n = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(descriptors, CMSG_DATA(rights), n * sizeof(int));
    }
    if (strncmp(text, "FDSTOREREMOVE=1", 15) == 0 && manager->forgets) {
        manager_forget(manager);
    }
    if (strncmp(text, "FDSTORE=1", 9) == 0) {
        manager_store(manager, descriptors, n);
    } else if (n > 0) {
        close(descriptors[0]); /* who sent it waits for that: BARRIER=1 */
    }
    return true;
}

static void *manager_run(void *argument)
{
    while (manager_hear(argument)) {
    }
    return NULL;
}

static void manager_begin(struct manager *manager)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t size = sizeof(address);

    manager->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(manager->fd, (struct sockaddr *)&address, sizeof(sa_family_t)), 0);
    assert_int_equal(getsockname(manager->fd, (struct sockaddr *)&address, &size), 0);
    ((char *)&address)[size] = '\0';
    address.sun_path[0] = '@';
    assert_int_equal(setenv("NOTIFY_SOCKET", address.sun_path, 1), 0);
    assert_int_equal(pthread_create(&manager->thread, NULL, manager_run, manager), 0);
}

static void manager_end(struct manager *manager)
{
    struct sockaddr_un address;
    socklen_t size = sizeof(address);

    assert_int_equal(getsockname(manager->fd, (struct sockaddr *)&address, &size), 0);
    assert_int_equal(sendto(manager->fd, "", 0, 0, (struct sockaddr *)&address, size), 0);
    assert_int_equal(pthread_join(manager->thread, NULL), 0);
    assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
    close(manager->fd);
    manager_forget(manager);
}

enum { N_CHANNELS = 3 };

/* In each channel there is one end of a pipe, which nobody has beside. Returns the other end. */
static int pack_pipe(struct handover *handover)
{
    const struct handover_label label = {.version = HANDOVER_VERSION};
    int ends[2];

    *handover = (struct handover){.n_kept = N_CHANNELS};
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    for (size_t i = 0; i < N_CHANNELS; i++) {
        int pair[2];
        assert_int_equal(handover_channel_new(pair), 0);
        assert_int_equal(handover_channel_send(pair[0], &label, &ends[1], 1), 0);
        handover->ends[i] = pair[0];
        handover->kept[i] = pair[1];
    }
    close(ends[1]);
    return ends[0];
}

/* Whether any of the channels still has something in it, wherever it is. */
static bool is_anything_left(int pipe_end)
{
    struct pollfd end = {.fd = pipe_end};

    return poll(&end, 1, 0) == 0;
}

static void what_is_kept_as_a_whole_is_left_there(void **state)
{
    struct manager manager = {.room = N_CHANNELS, .forgets = true};
    struct handover handover;
    int end = pack_pipe(&handover);

    (void)state;
    manager_begin(&manager);
    assert_int_equal(handover_store(&handover), 0);
    assert_int_equal(manager.n_kept, N_CHANNELS);
    assert_true(is_anything_left(end));
    manager_end(&manager);
    handover_deinit(&handover);
    close(end);
}

static void of_what_is_kept_in_part_nothing_is_left(void **state)
{
    (void)state;
    for (size_t skips = 0; skips < N_CHANNELS; skips++) {
        struct manager manager = {.skips = skips, .room = 1, .forgets = true};
        struct handover handover;
        int end = pack_pipe(&handover);

        manager_begin(&manager);
        assert_int_equal(handover_store(&handover), -ENOSPC);
        assert_false(is_anything_left(end));
        assert_int_equal(manager.n_kept, 0);
        assert_int_equal(handover.stranded, 0);
        manager_end(&manager);
        handover_deinit(&handover);
        close(end);
    }
}

static void the_first_ones_are_empty_even_if_nobody_forgets_them(void **state)
{
    struct manager manager = {.room = N_CHANNELS - 1};
    struct handover handover;
    int end = pack_pipe(&handover);

    (void)state;
    manager_begin(&manager);
    assert_int_equal(handover_store(&handover), -ENOSPC);
    assert_int_equal(manager.n_kept, N_CHANNELS - 1);
    assert_false(is_anything_left(end));
    assert_int_equal(handover.stranded, 0);
    manager_end(&manager);
    handover_deinit(&handover);
    close(end);
}

static void what_cannot_be_taken_back_is_counted(void **state)
{
    struct manager manager = {.skips = 1, .room = N_CHANNELS};
    struct handover handover;
    int end = pack_pipe(&handover);

    (void)state;
    manager_begin(&manager);
    assert_int_equal(handover_store(&handover), -ENOSPC);
    assert_true(is_anything_left(end));
    assert_int_equal(handover.stranded, N_CHANNELS - 1);
    manager_end(&manager);
    handover_deinit(&handover);
    close(end);
}

static void all_is_taken_back_where_no_descriptor_is_free(void **state)
{
    struct handover_label label = {.version = HANDOVER_VERSION};
    int descriptors[HANDOVER_BATCH];
    struct handover handover;
    int end = pack_pipe(&handover);
    int first = fcntl(handover.kept[0], F_DUPFD_CLOEXEC, 0);
    struct rlimit limit;
    struct rlimit none;

    (void)state;
    for (size_t i = 0; i < HANDOVER_BATCH; i++) {
        descriptors[i] = end;
    }
    assert_int_equal(handover_channel_send(handover.ends[0], &label, descriptors, HANDOVER_BATCH),
                     0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(handover_store(&handover), -ENOTCONN);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_false(is_anything_left(end));
    assert_int_equal(handover_channel_receive(first, &label, descriptors), -ENODATA);
    handover_deinit(&handover);
    close(first);
    close(end);
}

static void what_carries_a_file_is_told_from_what_carries_nothing(void **state)
{
    (void)state;
    assert_true(handover_channel_carries(STDIN_FILENO));
    assert_false(handover_channel_carries(-1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(descriptors_wait_for_who_comes_when_the_other_end_is_closed),
        cmocka_unit_test(a_message_without_descriptors_is_not_understood),
        cmocka_unit_test(what_is_kept_as_a_whole_is_left_there),
        cmocka_unit_test(of_what_is_kept_in_part_nothing_is_left),
        cmocka_unit_test(the_first_ones_are_empty_even_if_nobody_forgets_them),
        cmocka_unit_test(what_cannot_be_taken_back_is_counted),
        cmocka_unit_test(all_is_taken_back_where_no_descriptor_is_free),
        cmocka_unit_test(what_carries_a_file_is_told_from_what_carries_nothing),
    };

    return cmocka_run_group_tests_name("handover", tests, NULL, NULL);
}
