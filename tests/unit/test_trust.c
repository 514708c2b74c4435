// SPDX-License-Identifier: MIT
#include "unit.h"

#include <stdlib.h>

#include "trust.h"

enum {
    CAPACITY = 128 * 1024 * 1024,
    CREDIT = CAPACITY / TRUST_SHARE,
    HALF = CAPACITY / 2,
    ROOM = 2024, /* of a reply */
    HONEST = 1000,
    HOSTILE = 2000,
    TURN_USEC = 100,
};

/* A send buffer of which half is in use by somebody who does not read. */
struct scene {
    struct trust trust;
    size_t unread;
    uint64_t now;
};

static int begin(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));

    if (!scene) {
        return -1;
    }
    scene->unread = HALF;
    *state = scene;
    return 0;
}

static int end(void **state)
{
    free(*state);
    return 0;
}

static void look(struct scene *scene)
{
    scene->now += TURN_USEC;
    trust_look(&scene->trust, scene->unread, CAPACITY, scene->now);
}

/* UID sends N messages, is answered, and reads the answers if READS. Returns how many there were.
 */
static unsigned visit(struct scene *scene, uid_t uid, unsigned n, bool reads)
{
    unsigned answered = 0;

    look(scene);
    for (unsigned i = 0; i < n; i++) {
        answered += trust_take(&scene->trust, uid, ROOM, CAPACITY);
    }
    scene->unread += (size_t)answered * ROOM;
    look(scene);
    scene->unread -= reads ? (size_t)answered * ROOM : 0;
    return answered;
}

static void who_reads_is_answered_without_an_end(void **state)
{
    struct scene *scene = *state;

    for (int turn = 0; turn < 100000; turn++) {
        assert_int_equal(visit(scene, HONEST, 16, true), 16);
    }
}

static void who_does_not_read_takes_a_bounded_part(void **state)
{
    struct scene *scene = *state;

    for (int turn = 0; turn < 1000000; turn++) {
        (void)visit(scene, HOSTILE, 16, false);
    }
    assert_true(scene->unread >= HALF + CREDIT / 2);
    assert_true(scene->unread <= HALF + TRUST_CREDITS * CREDIT);
}

static void beside_who_reads_that_is_no_more(void **state)
{
    struct scene *scene = *state;

    for (int turn = 0; turn < 1000000; turn++) {
        (void)visit(scene, HOSTILE, (unsigned)turn % 3, false);
        assert_int_equal(visit(scene, HONEST, 1 + (unsigned)turn % 64, true),
                         1 + (unsigned)turn % 64);
    }
    assert_true(scene->unread <= HALF + TRUST_CREDITS * CREDIT);
}

static void beside_who_has_much_on_its_way_that_is_no_more(void **state)
{
    struct scene *scene = *state;

    for (int turn = 0; turn < 20000; turn++) {
        size_t on_its_way = (size_t)(turn % 7) * (CREDIT / 4);
        look(scene);
        scene->unread += on_its_way;
        (void)visit(scene, HOSTILE, 300, false);
        scene->unread -= on_its_way;
        look(scene);
    }
    assert_true(scene->unread <= HALF + TRUST_CREDITS * CREDIT);
}

static void who_was_taken_for_one_that_does_not_read_is_answered_again(void **state)
{
    struct scene *scene = *state;
    unsigned answered = 0;
    int turns = 0;

    assert_int_equal(visit(scene, HONEST, 600, true), 600);
    scene->unread += CREDIT; /* of others */
    while (visit(scene, HONEST, 16, true) > 0) {
        assert_true(++turns < 1000);
    }
    for (turns = 0; visit(scene, HONEST, 16, true) < 16; turns++) {
        assert_true(turns < 2 * TRUST_AGAIN_USEC / TURN_USEC);
    }
    for (turns = 0; turns < 10000; turns++) {
        answered += visit(scene, HONEST, 16, true);
    }
    assert_true(answered >= 16 * 9900);
}

static void who_reads_is_trusted_soon_although_another_begins_not_to(void **state)
{
    struct scene *scene = *state;
    unsigned answered = 0;

    for (int turn = 0; turn < 100000; turn++) {
        (void)visit(scene, HOSTILE, 64, false);
        answered += visit(scene, HONEST, 16, true);
    }
    /* He went by way of the debts for less than a hundredth of the time. */
    assert_true(answered >= 16 * 99000);
    assert_true(scene->unread <= HALF + TRUST_CREDITS * CREDIT);
}

static void who_reads_what_is_more_than_his_credit_has_become_is_trusted_again(void **state)
{
    struct scene *scene = *state;
    const size_t large = 200 * 1024;
    unsigned answered = 0;

    for (int turn = 0; turn < 10000; turn++) {
        (void)visit(scene, HONEST, 16, false);
    }
    for (int turn = 0; turn < 100000; turn++) {
        look(scene);
        if (trust_take(&scene->trust, HONEST, large, CAPACITY)) {
            scene->unread += large;
            look(scene);
            scene->unread -= large;
            answered++;
        }
    }
    assert_true(answered > 50000);
}

static void who_sends_nothing_when_he_is_tried_keeps_nobody_waiting(void **state)
{
    struct scene *scene = *state;
    int turns = 0;

    while (visit(scene, HOSTILE, 64, false) > 0) {
    }
    while (visit(scene, HONEST, 16, true) == 16 && ++turns < 1000) {
        scene->unread += CREDIT / 50; /* of others */
    }
    for (turns = 0; visit(scene, HONEST, 16, true) < 16; turns++) {
        assert_true(turns < 10 * TRUST_TRIAL_USEC / TURN_USEC);
    }
}

static void more_users_than_there_is_room_for_are_not_answered_directly(void **state)
{
    struct scene *scene = *state;

    look(scene);
    for (uid_t uid = 0; uid < TRUST_USERS; uid++) {
        assert_true(trust_take(&scene->trust, uid, ROOM, CAPACITY));
    }
    assert_false(trust_take(&scene->trust, TRUST_USERS, ROOM, CAPACITY));
    trust_reset(&scene->trust);
    assert_true(trust_take(&scene->trust, TRUST_USERS, ROOM, CAPACITY));
}

static void all_users_together_leave_some_of_the_buffer(void **state)
{
    struct scene *scene = *state;

    for (uid_t uid = 0; uid < TRUST_USERS; uid++) {
        (void)visit(scene, uid, CREDIT / ROOM + 1, false);
    }
    assert_true(scene->unread <= HALF + CAPACITY / TRUST_SHARE_OF_ALL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(beside_who_has_much_on_its_way_that_is_no_more, begin, end),
        cmocka_unit_test_setup_teardown(who_reads_is_trusted_soon_although_another_begins_not_to,
                                        begin, end),
        cmocka_unit_test_setup_teardown(who_sends_nothing_when_he_is_tried_keeps_nobody_waiting,
                                        begin, end),
        cmocka_unit_test_setup_teardown(who_reads_is_answered_without_an_end, begin, end),
        cmocka_unit_test_setup_teardown(
            who_reads_what_is_more_than_his_credit_has_become_is_trusted_again, begin, end),
        cmocka_unit_test_setup_teardown(who_does_not_read_takes_a_bounded_part, begin, end),
        cmocka_unit_test_setup_teardown(beside_who_reads_that_is_no_more, begin, end),
        cmocka_unit_test_setup_teardown(who_was_taken_for_one_that_does_not_read_is_answered_again,
                                        begin, end),
        cmocka_unit_test_setup_teardown(more_users_than_there_is_room_for_are_not_answered_directly,
                                        begin, end),
        cmocka_unit_test_setup_teardown(all_users_together_leave_some_of_the_buffer, begin, end),
    };

    return cmocka_run_group_tests_name("trust", tests, NULL, NULL);
}
