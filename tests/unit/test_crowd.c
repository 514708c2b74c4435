// SPDX-License-Identifier: MIT
#include "unit.h"

#include "scene.h"

/* How much the honest user is sent in ten seconds. */
static unsigned run_alone(struct scene *scene)
{
    unsigned sent;

    scene_run(scene, 10, false);
    sent = scene->sent;
    scene->sent = 0;
    return sent;
}

static void who_reads_is_answered_all_the_time(void **state)
{
    struct scene *scene = *state;

    scene_run(scene, 10, false);
    /* Of each ten turns one takes long. */
    assert_true(scene->turns >= 10 * SECOND / (BUSY_USEC / OFTEN + 4 * EXCLUSIVE_LOOK_USEC) / 4);
    assert_true(scene->sent >= scene->turns * 4);
    assert_true(scene->most <= HALF);
}

static void beside_who_does_not_read_he_is_as_well(void **state)
{
    struct scene *scene = *state;
    unsigned alone = run_alone(scene);

    scene_run(scene, 10, true);
    assert_true(scene->sent >= alone / 2);
    assert_true(scene->hostile > 0);
    assert_true(scene->most <= HALF + CAPACITY / 64);
}

static void some_long_stalls_of_his_give_the_other_little_more(void **state)
{
    struct scene *scene = *state;

    scene->is_late = true;
    scene_run(scene, 60, true);
    assert_true(scene->turns > 60 * 20);
    assert_int_equal(exclusive_find(&scene->debts.exclusive, HONEST).lost, 0);
    assert_true(exclusive_find(&scene->debts.exclusive, HOSTILE).lost > 0);
    assert_true(scene->most <= HALF + CAPACITY / 8 + CAPACITY / 256);
}

static void an_address_of_his_that_does_not_read_costs_his_others_little(void **state)
{
    struct scene *scene = *state;
    unsigned alone = run_alone(scene);

    scene->has_mute = true;
    scene_run(scene, 10, false);
    assert_in_range(scene->mute, 1, 32);
    assert_true(scene->sent >= alone * 3 / 4);
}

/* It is known of the honest user that he reads, he is owed nothing, and it is nobody's turn. */
static void make_known(struct scene *scene)
{
    scene_run(scene, 1, false);
    while (scene->debts.datagrams > 0 || scene->on_its_way > 0) {
        scene->queued -= scene->on_its_way;
        scene->on_its_way = 0;
        scene_pay_when_due(scene);
    }
    scene->now += SECOND;
}

static void who_is_known_to_read_is_answered_directly_until_it_is_anothers_turn(void **state)
{
    struct scene *scene = *state;
    struct debts *debts = &scene->debts;

    for (int i = 0; i < 10; i++) {
        debts_note(debts, scene->queued, ++scene->now);
        assert_false(debts_may_pass(debts, HOSTILE, SIZE, CAPACITY));
        assert_false(debts_may_pass(debts, HONEST, SIZE, CAPACITY));
        assert_null(debts->exclusive.current);
    }
    make_known(scene);
    debts_note(debts, scene->queued, scene->now);
    assert_false(debts_may_pass(debts, HONEST, CAPACITY / 2, CAPACITY));
    assert_null(debts->exclusive.current);
    assert_true(debts_may_pass(debts, HONEST, SIZE, CAPACITY));
    assert_false(debts_may_pass(debts, HOSTILE, SIZE, CAPACITY));
    scene->queued += SIZE;

    scene_owe(scene, HOSTILE, 1);
    scene->now += EXCLUSIVE_SLICE_USEC / 2;
    debts_note(debts, scene->queued - SIZE, scene->now);
    assert_true(debts_may_pass(debts, HONEST, SIZE, CAPACITY));
    scene->now += EXCLUSIVE_SLICE_USEC / 2;
    scene->queued -= SIZE;
    debts_note(debts, scene->queued, scene->now);
    assert_false(debts_may_pass(debts, HONEST, SIZE, CAPACITY));
    assert_int_equal(debts->retry_at, scene->now);
    scene_pay(scene);
    assert_int_equal(scene->hostile, 1);
    assert_false(debts_may_pass(debts, HONEST, SIZE, CAPACITY));

    /* Nor when another's turn is due that has not begun. */
    while (debts->exclusive.current) {
        scene_pay_when_due(scene);
    }
    scene_owe(scene, HOSTILE, 2);
    scene->now += SECOND;
    debts_note(debts, scene->queued, scene->now);
    assert_false(debts_may_pass(debts, HONEST, SIZE, CAPACITY));
}

static void who_keeps_others_waiting_is_not_answered_directly_for_as_long(void **state)
{
    struct scene *scene = *state;
    struct debts *debts = &scene->debts;

    make_known(scene);
    debts_note(debts, scene->queued, scene->now);
    assert_true(debts_may_pass(debts, HONEST, SIZE, CAPACITY));
    scene->queued += SIZE;
    for (uint64_t end = scene->now + BUSY_USEC; scene->now < end;) {
        scene_pay_when_due(scene);
    }
    scene->queued -= SIZE;
    scene_pay_when_due(scene);
    assert_null(debts->exclusive.current);
    debts_note(debts, scene->queued, scene->now);
    assert_false(debts_may_pass(debts, HONEST, SIZE, CAPACITY));
    scene->now += (uint64_t)2 * BUSY_USEC;
    debts_note(debts, scene->queued, scene->now);
    assert_true(debts_may_pass(debts, HONEST, SIZE, CAPACITY));
}

static void who_has_lost_too_much_gets_small_replies_only(void **state)
{
    static const char data[512 * 1024];
    struct scene *scene = *state;
    const struct sender sender = scene_sender(HOSTILE, 0);
    const struct sender small = scene_sender(HOSTILE, 1);
    size_t allowance = (size_t)CAPACITY / DEBT_TURN_SHARE * EXCLUSIVE_ALLOWANCE;

    for (uint64_t end = scene->now + (uint64_t)60 * SECOND; scene->now < end;) {
        if (debts_owed_to(&scene->debts, &sender) == 0) {
            assert_int_equal(debts_add(&scene->debts, &sender, data, sizeof(data), scene->now), 0);
        }
        scene_pay_when_due(scene);
    }
    assert_in_range(scene->queued, HALF + allowance - 2 * sizeof(data), HALF + allowance);

    scene->hostile = 0;
    assert_int_equal(debts_add(&scene->debts, &small, data, 1, scene->now), 0);
    for (uint64_t end = scene->now + (uint64_t)60 * SECOND; scene->now < end;) {
        scene_pay_when_due(scene);
    }
    assert_int_equal(scene->hostile, 1);
}

static void the_addresses_of_one_user_take_turns(void **state)
{
    struct scene *scene = *state;

    for (unsigned i = 0; i < 10; i++) {
        struct sender sender = scene_sender(HONEST, i % 2);
        assert_int_equal(debts_add(&scene->debts, &sender, "", 0, scene->now), 0);
    }
    for (unsigned i = 0; i < EXCLUSIVE_KNOWN; i++) {
        scene_pay_when_due(scene);
        scene->queued = HALF;
        assert_int_equal(scene->sent, i + 1);
        assert_int_equal(scene->last, i % 2);
    }
}

/* The hostile user is sent a reply, and does not read it in time. */
static void lose(struct scene *scene)
{
    scene_owe(scene, HOSTILE, 1);
    while (exclusive_find(&scene->debts.exclusive, HOSTILE).failures == 0) {
        scene_pay_when_due(scene);
        assert_int_equal(scene->hostile, 1);
        assert_int_equal(scene->debts.senders, 1);
    }
}

static void below_the_half_all_is_forgotten(void **state)
{
    struct scene *scene = *state;

    lose(scene);
    scene->queued = HALF - 1;
    scene_pay(scene);
    assert_int_equal(exclusive_find(&scene->debts.exclusive, HOSTILE).failures, 0);
    assert_null(scene->debts.exclusive.current);
}

static void who_has_not_read_all_is_remembered_for_a_while(void **state)
{
    struct scene *scene = *state;

    lose(scene);
    assert_int_equal(scene->debts.senders, 1);
    scene_pay_when_due(scene);
    assert_int_equal(scene->debts.senders, 0);
    assert_true(scene->debts.retry_at == UINT64_MAX);
}

static void all_known_users_have_their_turns(void **state)
{
    struct scene *scene = *state;

    for (uid_t uid = HONEST; uid < HONEST + 5; uid++) {
        scene_owe(scene, uid, HONEST_ADDRESSES);
    }
    /* Each time all is read at once. */
    for (int i = 0; i < 5; i++) {
        scene_pay_when_due(scene);
        scene->queued = HALF;
        for (uid_t uid = HONEST; uid < HONEST + 5; uid++) {
            assert_int_equal(exclusive_find(&scene->debts.exclusive, uid).last > 0,
                             uid <= HONEST + (uid_t)i);
        }
    }
}

static void when_it_is_over_nobody_waits_any_more(void **state)
{
    struct scene *scene = *state;
    struct debtor *debtor;

    lose(scene);
    scene_owe(scene, HOSTILE, 1);
    debtor = scene->debts.debtors;
    debtor->retry_at = UINT64_MAX; /* as after many losses */
    debts_note_end(&scene->debts, scene->now);
    assert_int_equal(scene->debts.retry_at, scene->now);
    scene->queued = 0;
    scene_pay(scene);
    assert_int_equal(scene->hostile, 2);
    assert_int_equal(scene->debts.senders, 0);

    /* It is looked whether it is over although nobody has a turn for long. */
    scene->queued = HALF;
    scene->hostile = 0;
    lose(scene);
    scene_owe(scene, HOSTILE, 1);
    scene->debts.debtors->retry_at = UINT64_MAX;
    scene_pay(scene);
    assert_true(scene->debts.retry_at <= scene->now + DEBT_RETRY_USEC_MAX);
}

static void large_replies_leave_some_of_the_buffer(void **state)
{
    static const char data[512 * 1024];
    struct scene *scene = *state;

    for (uint64_t end = scene->now + (uint64_t)5 * SECOND; scene->now < end;) {
        for (uid_t uid = HOSTILE; uid < HOSTILE + 30; uid++) {
            struct sender sender = scene_sender(uid, uid);
            if (debts_owed_to(&scene->debts, &sender) == 0) {
                (void)debts_add(&scene->debts, &sender, data, sizeof(data), scene->now);
            }
        }
        scene_pay_when_due(scene);
        scene->on_its_way = 0; /* nobody reads anything */
    }
    /* There is some left for who has not lost anything. */
    scene->now += SECOND;
    scene->sent = 0;
    scene_run(scene, 1, false);
    assert_true(scene->sent > 100);
    assert_in_range(scene->queued, HALF + 16 * sizeof(data),
                    CAPACITY - CAPACITY / DEBT_LEFT_SHARE / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_reads_is_answered_all_the_time, scene_begin, scene_end),
        cmocka_unit_test_setup_teardown(beside_who_does_not_read_he_is_as_well, scene_begin,
                                        scene_end),
        cmocka_unit_test_setup_teardown(
            an_address_of_his_that_does_not_read_costs_his_others_little, scene_begin, scene_end),
        cmocka_unit_test_setup_teardown(
            who_is_known_to_read_is_answered_directly_until_it_is_anothers_turn, scene_begin,
            scene_end),
        cmocka_unit_test_setup_teardown(
            who_keeps_others_waiting_is_not_answered_directly_for_as_long, scene_begin, scene_end),
        cmocka_unit_test_setup_teardown(who_has_lost_too_much_gets_small_replies_only, scene_begin,
                                        scene_end),
        cmocka_unit_test_setup_teardown(the_addresses_of_one_user_take_turns, scene_begin,
                                        scene_end),
        cmocka_unit_test_setup_teardown(who_has_not_read_all_is_remembered_for_a_while, scene_begin,
                                        scene_end),
        cmocka_unit_test_setup_teardown(when_it_is_over_nobody_waits_any_more, scene_begin,
                                        scene_end),
        cmocka_unit_test_setup_teardown(large_replies_leave_some_of_the_buffer, scene_begin,
                                        scene_end),
        cmocka_unit_test_setup_teardown(below_the_half_all_is_forgotten, scene_begin, scene_end),
        cmocka_unit_test_setup_teardown(all_known_users_have_their_turns, scene_begin, scene_end),
        cmocka_unit_test_setup_teardown(some_long_stalls_of_his_give_the_other_little_more,
                                        scene_begin, scene_end),
    };

    return cmocka_run_group_tests_name("crowd", tests, NULL, NULL);
}
