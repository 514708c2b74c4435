// SPDX-License-Identifier: MIT
#include "unit.h"

#include <errno.h>

#include "outbox.h"

static struct quota *quota;

static int make_quota(void **state)
{
    (void)state;
    quota = outbox_quota_new();
    return quota ? 0 : -1;
}

static int drop_quota(void **state)
{
    (void)state;
    quota_free(quota);
    return 0;
}

static void replies_are_owed_in_order_until_they_are_taken(void **state)
{
    struct debts debts;
    struct outbox outbox = {.room = 2};
    struct sender sender = outbox_sender(1);

    (void)state;
    debts_init(&debts, quota);
    assert_false(debts_owed_to(&debts, &sender));
    assert_true(debts.retry_at == UINT64_MAX);

    assert_int_equal(outbox_add(&debts, 1, "a", 1, 1000), 0);
    assert_int_equal(outbox_add(&debts, 1, "", 0, 1000), 0);
    assert_int_equal(outbox_add(&debts, 1, "c", 1, 1000), 0);
    assert_true(debts_owed_to(&debts, &sender));
    assert_int_equal(debts.datagrams, 3);
    assert_int_equal(debts.bytes, 2 + 3 * DEBT_OVERHEAD);
    assert_int_equal(debts.retry_at, 1000 + DEBT_RETRY_USEC_MIN);

    debts_pay(&debts, debts.retry_at - 1, outbox_channel(&outbox));
    assert_string_equal(outbox.sent, "");

    debts_pay(&debts, debts.retry_at, outbox_channel(&outbox));
    assert_string_equal(outbox.sent, "1:a 1: ");
    assert_int_equal(debts.datagrams, 1);

    outbox.room = 9;
    debts_pay(&debts, debts.retry_at, outbox_channel(&outbox));
    assert_string_equal(outbox.sent, "1:a 1: 1:c ");
    assert_int_equal(debts.datagrams, 0);
    assert_int_equal(debts.bytes, 0);
    assert_int_equal(debts.senders, 0);
    assert_true(debts.retry_at == UINT64_MAX);
    assert_false(debts_owed_to(&debts, &sender));
    debts_deinit(&debts);
}

static void what_is_owed_from_before_the_user_was_known_comes_first(void **state)
{
    struct sender known = outbox_sender(1);
    struct sender unknown = outbox_sender(1);
    struct outbox outbox = {.is_busy = true, .room = 1};
    struct debts debts;

    (void)state;
    unknown.uid = SENDER_UNKNOWN;
    debts_init(&debts, quota);
    assert_int_equal(debts_add(&debts, &unknown, "a", 1, 0), 0);
    assert_int_equal(debts_add(&debts, &unknown, "b", 1, 0), 0);
    assert_int_equal(debts_owed_to(&debts, &known), 2);
    assert_int_equal(debts_add(&debts, &known, "c", 1, 0), 0);
    for (int i = 0; i < 5; i++, outbox.room = 1) {
        debts_pay(&debts, debts.retry_at, outbox_channel(&outbox));
    }
    assert_string_equal(outbox.sent, "1:a 1:b 1:c ");
    assert_int_equal(debts_owed_to(&debts, &known), 0);
    debts_deinit(&debts);
}

static void what_one_sender_is_owed_is_bounded(void **state)
{
    static char large[DEBT_BYTES_PER_SENDER - DEBT_OVERHEAD];
    struct debts debts;

    (void)state;
    debts_init(&debts, quota);
    for (int i = 0; i < DEBT_DATAGRAMS_PER_SENDER; i++) {
        assert_int_equal(outbox_add(&debts, 1, "x", 1, 0), 0);
    }
    assert_int_equal(outbox_add(&debts, 1, "x", 1, 0), -ENOBUFS);
    assert_int_equal(debts.datagrams, DEBT_DATAGRAMS_PER_SENDER);
    assert_int_equal(outbox_add(&debts, 2, "x", 1, 0), 0);

    assert_int_equal(outbox_add(&debts, 3, large, sizeof(large), 0), 0);
    assert_int_equal(outbox_add(&debts, 3, "x", 1, 0), -ENOBUFS);
    debts_deinit(&debts);
    assert_int_equal(debts.bytes, 0);
    assert_int_equal(debts.datagrams, 0);
}

static void what_all_senders_are_owed_is_bounded(void **state)
{
    static char large[DEBT_BYTES_PER_SENDER - DEBT_OVERHEAD];
    struct debts debts;
    unsigned sender = 0;

    (void)state;
    debts_init(&debts, quota);
    while (debts.bytes < DEBT_BYTES) {
        struct sender other = outbox_sender(sender);
        other.uid += sender++; /* each its own user: one alone has less */
        assert_int_equal(debts_add(&debts, &other, large, sizeof(large), 0), 0);
    }
    assert_int_equal(outbox_add(&debts, sender, "x", 1, 0), -ENOBUFS);
    debts_deinit(&debts);

    for (sender = 0; sender < DEBT_SENDERS; sender++) {
        assert_int_equal(outbox_add(&debts, sender, "x", 1, 0), 0);
    }
    assert_int_equal(outbox_add(&debts, sender, "x", 1, 0), -ENOBUFS);
    assert_int_equal(outbox_add(&debts, 0, "x", 1, 0), 0);
    debts_deinit(&debts);
    debts_deinit(&debts);
}

static void what_one_user_is_owed_is_bounded_whatever_its_addresses(void **state)
{
    struct quota *narrow = quota_new(quota_limits_complete(
        (struct quota_limits){.datagrams_per_user = 5, .addresses_per_user = 3}, 100));
    struct debts debts;
    struct sender other = outbox_sender(9);

    (void)state;
    debts_init(&debts, narrow);
    for (unsigned sender = 0; sender < 3; sender++) {
        assert_int_equal(outbox_add(&debts, sender, "x", 1, 0), 0);
    }
    assert_int_equal(outbox_add(&debts, 3, "x", 1, 0), -EDQUOT);
    assert_int_equal(outbox_add(&debts, 0, "x", 1, 0), 0);
    assert_int_equal(outbox_add(&debts, 0, "x", 1, 0), 0);
    assert_int_equal(outbox_add(&debts, 1, "x", 1, 0), -EDQUOT);
    assert_int_equal(debts.datagrams, 5);

    other.uid++;
    assert_int_equal(debts_add(&debts, &other, "x", 1, 0), 0);
    debts_deinit(&debts);
    quota_free(narrow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_are_owed_in_order_until_they_are_taken),
        cmocka_unit_test(what_is_owed_from_before_the_user_was_known_comes_first),
        cmocka_unit_test(what_one_sender_is_owed_is_bounded),
        cmocka_unit_test(what_all_senders_are_owed_is_bounded),
        cmocka_unit_test(what_one_user_is_owed_is_bounded_whatever_its_addresses),
    };

    return cmocka_run_group_tests_name("debt", tests, make_quota, drop_quota);
}
