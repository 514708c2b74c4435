// SPDX-License-Identifier: MIT
#include "unit.h"

#include <errno.h>

#include "peer_status.h"

static gid_t groups[8];

static ssize_t groups_of(const char *text)
{
    return peer_status_groups(text, 1000, 100, groups, 8);
}

static void groups_are_read_in_their_order(void **state)
{
    (void)state;
    assert_int_equal(groups_of("Name:\tcat\nUid:\t1000\t1000\t1000\t1000\n"
                               "Gid:\t100\t100\t100\t100\nGroups:\t4 20 4294967294 \nNStgid:\t7\n"),
                     3);
    assert_int_equal(groups[0], 4);
    assert_int_equal(groups[1], 20);
    assert_int_equal(groups[2], 4294967294);
    assert_int_equal(
        groups_of("Uid:\t1000\t1000\t1000\t1000\nGid:\t100\t100\t100\t100\nGroups:\t \n"), 0);
}

static void one_that_has_become_somebody_else_is_not_believed(void **state)
{
    (void)state;
    /* A set-user-ID program, before and after it has changed its real id; newgrp. */
    assert_int_equal(groups_of("Uid:\t1000\t0\t0\t0\nGid:\t100\t100\t100\t100\nGroups:\t4\n"),
                     -EPERM);
    assert_int_equal(groups_of("Uid:\t0\t0\t0\t0\nGid:\t100\t100\t100\t100\nGroups:\t4\n"), -EPERM);
    assert_int_equal(groups_of("Uid:\t1000\t1000\t1000\t1000\nGid:\t100\t4\t4\t4\nGroups:\t4\n"),
                     -EPERM);
}

static void what_is_not_whole_is_not_understood(void **state)
{
    static const char *const texts[] = {
        "",
        "Uid:\t1000\t1000\t1000\t1000\nGid:\t100\t100\t100\t100\n",
        "Uid:\t1000\t1000\t1000\t1000\nGid:\t100\t100\t100\t100\nGroups:\t4 20",
        "Uid:\t1000\t1000\t1000\nGid:\t100\t100\t100\t100\nGroups:\t4\n",
        "Uid:\t1000\t1000\t1000\t1000\nGid:\t100\t100\t100\t100\nGroups:\t4 x\n",
        "Uid:\t1000\t1000\t1000\t1000\nGid:\t100\t100\t100\t100\nGroups:\t4294967296\n",
        "Uid:\t1000\t1000\t1000\t1000\nGid:\t100\t100\t100\t100\nGroups:\t-1\n",
        "Groups:\t4\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_int_equal(groups_of(texts[i]), -EINVAL);
    }
}

static void more_than_there_is_room_for_are_not_cut(void **state)
{
    (void)state;
    assert_int_equal(groups_of("Uid:\t1000\t1000\t1000\t1000\nGid:\t100\t100\t100\t100\n"
                               "Groups:\t1 2 3 4 5 6 7 8 \n"),
                     8);
    assert_int_equal(groups_of("Uid:\t1000\t1000\t1000\t1000\nGid:\t100\t100\t100\t100\n"
                               "Groups:\t1 2 3 4 5 6 7 8 9 \n"),
                     -ENOBUFS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_are_read_in_their_order),
        cmocka_unit_test(one_that_has_become_somebody_else_is_not_believed),
        cmocka_unit_test(what_is_not_whole_is_not_understood),
        cmocka_unit_test(more_than_there_is_room_for_are_not_cut),
    };

    return cmocka_run_group_tests_name("peer_status", tests, NULL, NULL);
}
