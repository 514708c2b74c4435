// SPDX-License-Identifier: MIT
#include "unit.h"

#include "loop.h"

enum { MANY = 4 * TURNS_PER_USER };

static struct turns turns;

static const char alice[1], bob[1], carol[1];

static int set_up(void **state)
{
    (void)state;
    turns_init(&turns);
    return 0;
}

static struct guest *join(const void *user)
{
    struct guest *guest = turns_join(&turns, user);

    assert_non_null(guest);
    return guest;
}

/* Postpones N watches of GUEST's. */
static void postpone(struct guest *guest, struct watch *watches, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        watches[i] = (struct watch){.guest = guest};
        turns_postpone(&turns, &watches[i]);
    }
}

static void a_user_is_one_guest_however_much_is_his(void **state)
{
    struct guest *one = join(alice);
    struct guest *other = join(bob);

    (void)state;
    assert_ptr_equal(join(alice), one);
    assert_ptr_not_equal(other, one);
    assert_int_equal(turns.guests, 2);
    turns_leave(&turns, one);
    assert_int_equal(turns.guests, 2);
    turns_leave(&turns, one);
    assert_int_equal(turns.guests, 1);
    turns_leave(&turns, other);
    assert_int_equal(turns.guests, 0);
}

static void who_is_alone_never_waits(void **state)
{
    struct guest *guest = join(alice);

    (void)state;
    turns_begin(&turns, TURNS_ROOM);
    for (int i = 0; i < MANY; i++) {
        assert_true(turns_take(&turns, guest));
    }
    turns_leave(&turns, guest);
}

static void nobody_waits_where_there_is_room_for_all(void **state)
{
    struct guest *one = join(alice);
    struct guest *other = join(bob);

    (void)state;
    turns_begin(&turns, TURNS_ROOM - 1);
    for (int i = 0; i < MANY; i++) {
        assert_true(turns_take(&turns, one));
    }
    assert_true(turns_take(&turns, other));
    turns_leave(&turns, one);
    turns_leave(&turns, other);
}

static void in_a_crowd_each_has_a_few_in_a_turn(void **state)
{
    struct guest *one = join(alice);
    struct guest *other = join(bob);

    (void)state;
    for (int turn = 0; turn < 3; turn++) {
        turns_begin(&turns, TURNS_ROOM);
        for (int i = 0; i < TURNS_PER_USER; i++) {
            assert_true(turns_take(&turns, one));
        }
        assert_false(turns_take(&turns, one));
        assert_true(turns_take(&turns, other));
        assert_false(turns_take(&turns, one));
    }
    turns_leave(&turns, one);
    turns_leave(&turns, other);
}

static void what_comes_later_waits_behind_what_is_postponed(void **state)
{
    struct guest *one = join(alice);
    struct guest *other = join(bob);
    struct watch watch;

    (void)state;
    postpone(one, &watch, 1);
    turns_begin(&turns, TURNS_ROOM);
    assert_false(turns_take(&turns, one));
    assert_ptr_equal(turns_next(&turns), &watch);
    assert_true(turns_take(&turns, one));
    turns_leave(&turns, one);
    turns_leave(&turns, other);
}

static void what_is_postponed_comes_in_order_and_users_in_turn(void **state)
{
    struct guest *guests[] = {join(alice), join(bob), join(carol)};
    struct watch watches[3][MANY];
    int next[3] = {0};

    (void)state;
    for (int i = 0; i < 3; i++) {
        postpone(guests[i], watches[i], MANY - (size_t)i);
    }
    for (int turn = 0; turn < MANY / TURNS_PER_USER; turn++) {
        struct watch *watch;
        turns_begin(&turns, TURNS_ROOM);
        while ((watch = turns_next(&turns))) {
            int i = watch->guest == guests[0] ? 0 : watch->guest == guests[1] ? 1 : 2;
            assert_ptr_equal(watch, &watches[i][next[i]]);
            next[i]++;
        }
        for (int i = 0; i < 3; i++) {
            int most = (turn + 1) * TURNS_PER_USER;
            assert_int_equal(next[i], most < MANY - i ? most : MANY - i);
        }
    }
    assert_null(turns.first);
    for (int i = 0; i < 3; i++) {
        turns_leave(&turns, guests[i]);
    }
}

static void where_there_is_room_again_as_much_comes_as_that(void **state)
{
    struct guest *guest = join(alice);
    struct watch watches[MANY];

    (void)state;
    postpone(guest, watches, MANY);
    turns_begin(&turns, TURNS_ROOM - MANY + 1);
    for (int i = 0; i < MANY - 1; i++) {
        assert_ptr_equal(turns_next(&turns), &watches[i]);
    }
    assert_null(turns_next(&turns));
    turns_begin(&turns, 0);
    assert_ptr_equal(turns_next(&turns), &watches[MANY - 1]);
    turns_leave(&turns, guest);
}

static void users_have_theirs_in_turn_without_a_crowd_too(void **state)
{
    struct guest *one = join(alice);
    struct guest *other = join(bob);
    struct watch watches[MANY];
    struct watch its;

    (void)state;
    postpone(one, watches, MANY);
    postpone(other, &its, 1);
    turns_begin(&turns, 0);
    for (int i = 0; i < TURNS_PER_USER; i++) {
        assert_ptr_equal(turns_next(&turns), &watches[i]);
    }
    assert_ptr_equal(turns_next(&turns), &its);
    for (int i = TURNS_PER_USER; i < MANY; i++) {
        assert_ptr_equal(turns_next(&turns), &watches[i]);
    }
    turns_leave(&turns, one);
    turns_leave(&turns, other);
}

/* Takes out the watches whose numbers are bits of WHICH, of the five of each of two guests. */
static void forget_some(unsigned which)
{
    struct guest *guests[] = {join(alice), join(bob)};
    struct watch watches[2][5];

    postpone(guests[0], watches[0], 5);
    postpone(guests[1], watches[1], 5);
    for (int i = 0; i < 10; i++) {
        if (which & 1U << i) {
            turns_forget(&turns, &watches[i / 5][i % 5]);
            assert_null(watches[i / 5][i % 5].link);
        }
    }
    turns_begin(&turns, TURNS_ROOM);
    for (int i = 0; i < 10; i++) {
        if (!(which & 1U << i)) {
            assert_ptr_equal(turns_next(&turns), &watches[i / 5][i % 5]);
        }
    }
    assert_null(turns_next(&turns));
    assert_null(turns.first);
    turns_leave(&turns, guests[0]);
    turns_leave(&turns, guests[1]);
}

static void any_of_it_can_be_taken_out(void **state)
{
    (void)state;
    for (unsigned which = 0; which < 1U << 10; which++) {
        forget_some(which);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_user_is_one_guest_however_much_is_his, set_up),
        cmocka_unit_test_setup(who_is_alone_never_waits, set_up),
        cmocka_unit_test_setup(nobody_waits_where_there_is_room_for_all, set_up),
        cmocka_unit_test_setup(in_a_crowd_each_has_a_few_in_a_turn, set_up),
        cmocka_unit_test_setup(what_comes_later_waits_behind_what_is_postponed, set_up),
        cmocka_unit_test_setup(what_is_postponed_comes_in_order_and_users_in_turn, set_up),
        cmocka_unit_test_setup(where_there_is_room_again_as_much_comes_as_that, set_up),
        cmocka_unit_test_setup(users_have_theirs_in_turn_without_a_crowd_too, set_up),
        cmocka_unit_test_setup(any_of_it_can_be_taken_out, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
