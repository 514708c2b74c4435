// SPDX-License-Identifier: MIT
#include "unit.h"

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

static void a_sender_that_takes_nothing_is_tried_ever_more_rarely(void **state)
{
    struct debts debts;
    struct outbox outbox = {0};
    uint64_t now = 0;

    (void)state;
    debts_init(&debts, quota);
    assert_int_equal(outbox_add(&debts, 1, "a", 1, 0), 0);
    while (debts.retry_at - now < DEBT_RETRY_USEC_MAX) {
        uint64_t before = debts.retry_at - now;
        now = debts.retry_at;
        debts_pay(&debts, now, outbox_channel(&outbox));
        assert_true(debts.retry_at - now > before);
        assert_true(outbox.attempts < 20);
    }
    now = debts.retry_at;
    debts_pay(&debts, now, outbox_channel(&outbox));
    assert_int_equal(debts.retry_at - now, DEBT_RETRY_USEC_MAX);

    /* It reads again: from then on it is looked after often. */
    assert_int_equal(outbox_add(&debts, 1, "b", 1, now), 0);
    outbox.room = 1;
    now = debts.retry_at;
    debts_pay(&debts, now, outbox_channel(&outbox));
    assert_int_equal(debts.retry_at - now, DEBT_RETRY_USEC_MIN);
    debts_deinit(&debts);
}

static void who_is_put_off_is_tried_again_at_once_and_first_comes_first(void **state)
{
    struct outbox outbox = {.is_busy = true, .room = 3};
    struct debts debts;
    uint64_t now = 1000;

    (void)state;
    debts_init(&debts, quota);
    for (unsigned sender = 0; sender < 3; sender++) {
        outbox_add(&debts, sender, "a", 1, now);
        outbox_add(&debts, sender, "b", 1, now);
    }
    now = debts.retry_at;
    debts_pay(&debts, now, outbox_channel(&outbox));
    assert_string_equal(outbox.sent, "0:a 0:b 1:a ");
    for (int i = 0; i < 20; i++) {
        assert_int_equal(debts.retry_at, now + DEBT_RETRY_USEC_MIN);
        now = debts.retry_at;
        debts_pay(&debts, now, outbox_channel(&outbox));
    }
    outbox.room = 2;
    debts_pay(&debts, debts.retry_at, outbox_channel(&outbox));
    assert_string_equal(outbox.sent, "0:a 0:b 1:a 1:b 2:a ");
    debts_deinit(&debts);
}

static void one_sender_that_does_not_read_keeps_no_other_waiting(void **state)
{
    struct debts debts;
    struct outbox outbox = {0};
    uint64_t late;

    (void)state;
    debts_init(&debts, quota);
    assert_int_equal(outbox_add(&debts, 1, "a", 1, 0), 0);
    for (int i = 0; i < 20; i++) {
        debts_pay(&debts, debts.retry_at, outbox_channel(&outbox));
    }
    late = debts.retry_at;
    assert_int_equal(outbox_add(&debts, 2, "b", 1, late - 1000), 0);
    assert_int_equal(debts.retry_at, late - 1000 + DEBT_RETRY_USEC_MIN);
    outbox.room = 1;
    debts_pay(&debts, debts.retry_at, outbox_channel(&outbox));
    assert_string_equal(outbox.sent, "2:b ");
    assert_int_equal(debts.retry_at, late);
    debts_deinit(&debts);
}

static void one_that_is_not_refused_but_does_not_read_is_sent_ever_less(void **state)
{
    struct debts debts;
    struct outbox outbox = {.room = 100000, .weight = 10};
    uint64_t now = 0;
    unsigned sent = 0;

    (void)state;
    debts_init(&debts, quota);
    for (int i = 0; i < DEBT_DATAGRAMS_PER_SENDER; i++) {
        assert_int_equal(outbox_add(&debts, 1, "x", 1, 0), 0);
    }
    while (now < (uint64_t)30 * 1000 * 1000) {
        sent = now < (uint64_t)10 * 1000 * 1000 ? outbox.attempts : sent;
        now = debts.retry_at;
        debts_pay(&debts, now, outbox_channel(&outbox));
    }
    /* Half of the send buffer, 1000 units, is as far as this goes, and slowly at the end. */
    assert_in_range(outbox.queued, 500, 500 + 10 * DEBT_BURST_MAX);
    assert_in_range(outbox.attempts - sent, 1, 3);

    /* It has read everything: the rest goes out at once. */
    outbox.queued = 0;
    sent = outbox.attempts;
    for (int i = 0; i < 8; i++) {
        debts_pay(&debts, debts.retry_at, outbox_channel(&outbox));
        outbox.queued = 0;
    }
    assert_true(outbox.attempts - sent > 2 * DEBT_BURST_MAX);
    debts_deinit(&debts);
}

static void who_takes_nothing_has_no_turn_of_a_crowded_buffer(void **state)
{
    struct debts debts;
    struct outbox outbox = {.room = 0, .queued = 600, .weight = 10};

    (void)state;
    debts_init(&debts, quota);
    assert_int_equal(outbox_add(&debts, 1, "a", 1, 0), 0);
    assert_int_equal(outbox_add(&debts, 2, "a", 1, 0), 0);
    debts_pay(&debts, debts.retry_at, outbox_channel(&outbox));
    assert_int_equal(outbox.attempts, 2);
    assert_null(debts.exclusive.current);
    outbox.room = 2;
    debts_pay(&debts, debts.retry_at, outbox_channel(&outbox));
    assert_int_equal(outbox.attempts, 3);
    assert_non_null(debts.exclusive.current);
    debts_deinit(&debts);
}

static void many_debtors_do_not_fill_the_buffer_in_one_go(void **state)
{
    struct debts debts;
    struct outbox outbox = {.room = 100000, .weight = 10, .queued = 400};
    uint64_t now = DEBT_RETRY_USEC_MIN;

    (void)state;
    debts_init(&debts, quota);
    for (unsigned sender = 0; sender < 100; sender++) {
        assert_int_equal(outbox_add(&debts, sender, "x", 1, 0), 0);
    }
    debts_pay(&debts, now, outbox_channel(&outbox));
    assert_int_equal(outbox.queued, 500);
    assert_true(debts.retry_at <= now);
    debts_pay(&debts, now, outbox_channel(&outbox));
    assert_int_equal(outbox.queued, 510);
    assert_true(debts.retry_at > now);
    debts_deinit(&debts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sender_that_takes_nothing_is_tried_ever_more_rarely),
        cmocka_unit_test(who_is_put_off_is_tried_again_at_once_and_first_comes_first),
        cmocka_unit_test(one_sender_that_does_not_read_keeps_no_other_waiting),
        cmocka_unit_test(many_debtors_do_not_fill_the_buffer_in_one_go),
        cmocka_unit_test(who_takes_nothing_has_no_turn_of_a_crowded_buffer),
        cmocka_unit_test(one_that_is_not_refused_but_does_not_read_is_sent_ever_less),
    };

    return cmocka_run_group_tests_name("payment", tests, make_quota, drop_quota);
}
