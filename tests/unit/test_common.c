// SPDX-License-Identifier: MIT
#include "unit.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "common.h"

enum { MEMBERS = 3 };

static struct common *new_members(void)
{
    struct common *common = common_new(MEMBERS, (struct quota_limits){.connections = 10}, 10);

    assert_non_null(common);
    for (size_t i = 0; i < MEMBERS; i++) {
        common->members[i].wake_fd = eventfd(0, EFD_NONBLOCK);
    }
    return common;
}

static void free_members(struct common *common)
{
    for (size_t i = 0; i < MEMBERS; i++) {
        close(common->members[i].wake_fd);
    }
    common_free(common);
}

static bool was_woken(const struct common *common, size_t index)
{
    uint64_t count;

    return read(common->members[index].wake_fd, &count, sizeof(count)) == sizeof(count);
}

static void a_freed_descriptor_wakes_one_of_those_who_wait_for_it(void **state)
{
    struct common *common = new_members();

    (void)state;
    common_freed(common, 0);
    assert_true(common_starve(common, 1));
    assert_false(common_starve(common, 1)); /* that is no news */
    assert_true(common_starve(common, 2));
    common_freed(common, 0);
    assert_true(was_woken(common, 1));
    assert_false(was_woken(common, 2));
    assert_false(common_starves(common, 1));
    common_freed(common, 0);
    assert_true(was_woken(common, 2));
    common_freed(common, 0);
    assert_false(was_woken(common, 1));
    assert_false(was_woken(common, 2));
    free_members(common);
}

static void who_waits_for_a_descriptor_keeps_its_own(void **state)
{
    struct common *common = new_members();

    (void)state;
    assert_true(common_starve(common, 0));
    assert_true(common_starve(common, 1));
    common_freed(common, 0);
    assert_false(was_woken(common, 0));
    assert_false(was_woken(common, 1));
    common_sate(common, 0);
    common_freed(common, 0);
    assert_true(was_woken(common, 1));
    assert_int_equal(atomic_load(&common->starving), 0);
    free_members(common);
}

static void a_closed_inbox_takes_nothing_until_it_is_opened(void **state)
{
    struct parcel parcels[3];
    inbox box = NULL;

    (void)state;
    assert_true(inbox_is_open(&box));
    assert_null(inbox_take(&box));
    assert_true(inbox_put(&box, &parcels[0]));
    assert_true(inbox_put(&box, &parcels[1]));
    assert_ptr_equal(inbox_take(&box), &parcels[1]);
    assert_ptr_equal(parcels[1].next, &parcels[0]);
    assert_null(parcels[0].next);
    assert_true(inbox_put(&box, &parcels[2]));
    assert_ptr_equal(inbox_close(&box), &parcels[2]);
    assert_false(inbox_is_open(&box));
    assert_false(inbox_put(&box, &parcels[0]));
    assert_null(inbox_take(&box));
    assert_null(inbox_close(&box));
    inbox_open(&box);
    assert_true(inbox_put(&box, &parcels[0]));
    inbox_open(&box); /* which it is */
    assert_ptr_equal(inbox_take(&box), &parcels[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_freed_descriptor_wakes_one_of_those_who_wait_for_it),
        cmocka_unit_test(who_waits_for_a_descriptor_keeps_its_own),
        cmocka_unit_test(a_closed_inbox_takes_nothing_until_it_is_opened),
    };

    return cmocka_run_group_tests_name("common", tests, NULL, NULL);
}
