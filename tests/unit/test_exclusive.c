// SPDX-License-Identifier: MIT
#include "unit.h"

#include "exclusive.h"

enum { ALICE = 1000, MALLORY = 2000, LEVEL = 1000, LIMIT = 100 };

static struct exclusive exclusive;
/* What is unread for good. */
static size_t level;

static int begin(void **state)
{
    (void)state;
    exclusive_reset(&exclusive);
    level = LEVEL;
    return 0;
}

/* A turn of UID, who is sent BYTES and reads them after USEC or, if that is longer than he has,
 * not. Returns when it is over. */
static uint64_t turn_of(uid_t uid, uint64_t now, size_t bytes, uint64_t usec)
{
    uint64_t end = now + usec;
    enum exclusive_verdict verdict;

    exclusive_note(&exclusive, level, now);
    exclusive_begin(&exclusive, uid, LIMIT);
    do {
        uint64_t next = exclusive_look_at(&exclusive, now);
        assert_true(next > now);
        now = next;
        verdict = exclusive_look(&exclusive, level + (now >= end ? 0 : bytes), now);
    } while (verdict == EXCLUSIVE_WAITING);
    assert_int_equal(verdict, now >= end ? EXCLUSIVE_READ : EXCLUSIVE_UNREAD);
    level += now >= end ? 0 : bytes;
    assert_int_equal(exclusive_look(&exclusive, level, now), EXCLUSIVE_NOBODY);
    return now;
}

static uint64_t turn(uid_t uid, uint64_t now, uint64_t usec)
{
    return turn_of(uid, now, 1, usec);
}

static void a_turn_lasts_until_all_is_read(void **state)
{
    (void)state;
    assert_int_equal(exclusive_look(&exclusive, 0, 0), EXCLUSIVE_NOBODY);
    exclusive_note(&exclusive, LEVEL, 0);
    exclusive_begin(&exclusive, ALICE, LIMIT);
    assert_int_equal(exclusive_look(&exclusive, LEVEL + 1, 1), EXCLUSIVE_WAITING);
    assert_int_equal(exclusive_look(&exclusive, LEVEL, 2), EXCLUSIVE_READ);
    assert_int_equal(exclusive_find(&exclusive, ALICE).due, 0);
    assert_int_equal(exclusive_find(&exclusive, ALICE).last, 1);
    assert_int_equal(exclusive_find(&exclusive, MALLORY).last, 0);
}

static void who_has_not_read_waits_ever_longer_for_ever_longer_turns(void **state)
{
    uint64_t now = 1000;
    uint64_t waited = 0;
    uint64_t lasted = 0;
    uint64_t all = 0;

    (void)state;
    for (unsigned i = 0; i < 16; i++) {
        uint64_t over = turn_of(MALLORY, now, LIMIT * EXCLUSIVE_TOO_MUCH + 1, UINT32_MAX);
        uint64_t due = exclusive_find(&exclusive, MALLORY).due;
        assert_true(over - now >= lasted);
        assert_true(due - over > waited);
        lasted = over - now;
        waited = due - over;
        all += lasted;
        now = due;
    }
    assert_true(lasted > EXCLUSIVE_PATIENCE_USEC);
    /* He has kept others waiting for less than a hundredth of the time. */
    assert_true(all * 100 < now);

    /* It takes one turn to be taken for one who reads. */
    now = turn(MALLORY, now, 100);
    assert_int_equal(exclusive_find(&exclusive, MALLORY).due, 0);
    assert_false(exclusive_is_known(&(struct exclusive_user){0}));
}

static void who_has_always_read_may_be_kept_from_it_for_a_while(void **state)
{
    const uint64_t stall = (uint64_t)EXCLUSIVE_PATIENCE_USEC << (EXCLUSIVE_PATIENCE_DOUBLED - 1);
    struct exclusive_user alice;
    uint64_t now = 1000;

    (void)state;
    for (int i = 0; i < 10; i++) {
        now = turn(ALICE, now, 60);
    }
    (void)turn(ALICE, now, stall);
    alice = exclusive_find(&exclusive, ALICE);
    assert_int_equal(alice.failures, 0);
    assert_true(exclusive_is_known(&alice));
    (void)turn(MALLORY, now, stall);
    assert_int_equal(exclusive_find(&exclusive, MALLORY).failures, 1);
}

/* UID, who has read in TURNS turns, has another one at TIME. */
static void prepare(uid_t uid, unsigned turns, uint64_t time)
{
    for (unsigned i = 0; i < turns; i++) {
        (void)turn(uid, 1000, 0);
    }
    exclusive_note(&exclusive, LEVEL, time);
    exclusive_begin(&exclusive, uid, LIMIT);
}

static void who_is_known_to_read_is_answered_directly_within_a_limit(void **state)
{
    (void)state;
    assert_false(exclusive_take(&exclusive, ALICE, 1));
    prepare(ALICE, EXCLUSIVE_KNOWN, 5000);
    assert_false(exclusive_take(&exclusive, MALLORY, 1));
    assert_true(exclusive_take(&exclusive, ALICE, LIMIT - 1));
    assert_false(exclusive_take(&exclusive, ALICE, 2));
    assert_true(exclusive_take(&exclusive, ALICE, 1));
    exclusive_note(&exclusive, LEVEL + LIMIT - 10, 5010);
    assert_false(exclusive_take(&exclusive, ALICE, 11));
    assert_true(exclusive_take(&exclusive, ALICE, 10));

    /* So it goes on for a while, and it is looked soon after that whether all is read. */
    assert_int_equal(exclusive_look_at(&exclusive, 5010), 5000 + EXCLUSIVE_SLICE_USEC);
    exclusive_note(&exclusive, LEVEL, 5000 + EXCLUSIVE_SLICE_USEC);
    assert_false(exclusive_take(&exclusive, ALICE, 1));
    assert_int_equal(exclusive_look_at(&exclusive, 5000 + EXCLUSIVE_SLICE_USEC),
                     5000 + EXCLUSIVE_SLICE_USEC + EXCLUSIVE_LOOK_USEC);
    assert_int_equal(exclusive_look(&exclusive, LEVEL, 5000 + EXCLUSIVE_SLICE_USEC),
                     EXCLUSIVE_READ);
}

static void who_keeps_others_waiting_waits_as_long(void **state)
{
    uint64_t now;

    (void)state;
    prepare(ALICE, EXCLUSIVE_PATIENCE_DOUBLED, 5000);
    assert_int_equal(exclusive_look(&exclusive, LEVEL + 1, 50000), EXCLUSIVE_WAITING);
    now = 70000;
    assert_int_equal(exclusive_look(&exclusive, LEVEL, now), EXCLUSIVE_READ);
    assert_int_equal(exclusive_find(&exclusive, ALICE).due, now + (now - 5000));
}

static void who_has_lost_little_does_not_wait_for_long(void **state)
{
    uint64_t now = 1000;

    (void)state;
    for (int i = 0; i < 30; i++) {
        now = turn(ALICE, now, UINT32_MAX);
        assert_true(exclusive_find(&exclusive, ALICE).due <= now + 2 * EXCLUSIVE_AGAIN_USEC);
    }
}

static void a_turn_that_nobody_has_looked_at_is_not_over(void **state)
{
    (void)state;
    prepare(ALICE, 0, 5000);
    assert_int_equal(exclusive_look(&exclusive, LEVEL + 1, 500000), EXCLUSIVE_WAITING);
    assert_int_equal(exclusive_look(&exclusive, LEVEL + 1, 500000 + EXCLUSIVE_PATIENCE_USEC),
                     EXCLUSIVE_UNREAD);
}

static void who_is_not_known_to_read_is_not(void **state)
{
    (void)state;
    prepare(ALICE, EXCLUSIVE_KNOWN - 1, 5000);
    assert_false(exclusive_take(&exclusive, ALICE, 1));
}

static size_t lost(uid_t uid)
{
    return exclusive_find(&exclusive, uid).lost;
}

/* It is nobody's turn, and UNREAD bytes are unread for long enough. */
static void rest(size_t unread)
{
    assert_int_equal(exclusive_look(&exclusive, unread, exclusive.now + 1), EXCLUSIVE_NOBODY);
    (void)exclusive_look(&exclusive, unread, exclusive.now + EXCLUSIVE_SURE_USEC);
}

static void who_has_read_what_he_had_lost_is_forgiven(void **state)
{
    (void)state;
    (void)turn_of(ALICE, 1000, 50, UINT32_MAX);
    (void)turn_of(MALLORY, 1000, 30, UINT32_MAX);
    rest(LEVEL + 80);
    assert_int_equal(lost(ALICE), 50);
    rest(LEVEL + 31);
    assert_int_equal(lost(ALICE), 1);
    assert_int_equal(exclusive_find(&exclusive, ALICE).failures, 1);
    rest(LEVEL + 30);
    assert_int_equal(lost(ALICE), 0);
    assert_int_equal(exclusive_find(&exclusive, ALICE).failures, 0);
    assert_int_equal(exclusive_find(&exclusive, ALICE).due, 0);

    /* The other is not, until he has read his own. */
    assert_int_equal(lost(MALLORY), 30);
    rest(LEVEL + 1);
    assert_int_equal(lost(MALLORY), 1);
    rest(LEVEL);
    assert_int_equal(lost(MALLORY), 0);
    assert_int_equal(exclusive.losers, 0);
}

static void who_is_not_done_yet_is_not_taken_for_another(void **state)
{
    (void)state;
    (void)turn_of(ALICE, 1000, 50, UINT32_MAX);
    (void)turn_of(MALLORY, 1000, 30, UINT32_MAX);
    for (size_t unread = LEVEL + 80; unread > LEVEL + 30; unread -= 10) {
        (void)exclusive_look(&exclusive, unread, exclusive.now + EXCLUSIVE_SURE_USEC / 10);
    }
    rest(LEVEL + 30);
    assert_int_equal(lost(ALICE), 0);
    assert_int_equal(lost(MALLORY), 30);
}

static void what_is_read_before_another_loses_something_is_not_overlooked(void **state)
{
    (void)state;
    (void)turn_of(ALICE, 1000, 50, UINT32_MAX);
    (void)turn_of(ALICE, 1000, 10, UINT32_MAX);
    assert_int_equal(lost(ALICE), 60);
    level = LEVEL; /* she has read all, which nobody has looked at yet */
    (void)turn_of(MALLORY, 1000, 30, UINT32_MAX);
    rest(level);
    assert_int_equal(lost(ALICE), 0);
    assert_int_equal(lost(MALLORY), 30);
    assert_int_equal(exclusive.losers, 1);
}

static void what_is_read_in_anothers_turn_is_taken_into_account(void **state)
{
    (void)state;
    (void)turn_of(ALICE, 1000, 50, UINT32_MAX);
    exclusive_note(&exclusive, LEVEL + 50, 3000);
    exclusive_begin(&exclusive, MALLORY, LIMIT);
    /* He has not read 3, she has read all. */
    assert_int_equal(exclusive_look(&exclusive, LEVEL + 3, 3010), EXCLUSIVE_READ);
    rest(LEVEL + 3);
    assert_int_equal(lost(ALICE), 3);
}

/* Who reads a little to be known, and then as little as he can, gets little in the end. */
static void who_reads_now_and_then_cannot_fill_the_buffer(void **state)
{
    uint64_t now = 1000;

    (void)state;
    while (now < (uint64_t)3600 * 1000 * 1000) {
        struct exclusive_user mallory = exclusive_find(&exclusive, MALLORY);
        now = mallory.due > now ? mallory.due : now;
        if (!exclusive_is_known(&mallory)) {
            now = turn(MALLORY, now, 10);
            continue;
        }
        exclusive_note(&exclusive, level, now);
        exclusive_begin(&exclusive, MALLORY, LIMIT);
        now = turn_of(MALLORY, now, exclusive.limit > 1 ? exclusive.limit : 1, UINT32_MAX);
    }
    assert_in_range(level, LEVEL + LIMIT, LEVEL + LIMIT * (EXCLUSIVE_TOO_MUCH + 1));
}

static void more_users_than_there_is_room_for_share_their_places(void **state)
{
    uint64_t now = 1000;

    (void)state;
    for (uid_t uid = 0; uid < EXCLUSIVE_USERS; uid++) {
        now = turn(MALLORY + uid, now, 100);
    }
    now = turn(ALICE, now, UINT32_MAX);
    assert_int_equal(exclusive_find(&exclusive, ALICE).failures, 1);
    assert_true(exclusive_find(&exclusive, ALICE).due > now);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_turn_lasts_until_all_is_read, begin),
        cmocka_unit_test_setup(who_has_not_read_waits_ever_longer_for_ever_longer_turns, begin),
        cmocka_unit_test_setup(who_has_always_read_may_be_kept_from_it_for_a_while, begin),
        cmocka_unit_test_setup(who_is_known_to_read_is_answered_directly_within_a_limit, begin),
        cmocka_unit_test_setup(who_keeps_others_waiting_waits_as_long, begin),
        cmocka_unit_test_setup(who_has_lost_little_does_not_wait_for_long, begin),
        cmocka_unit_test_setup(a_turn_that_nobody_has_looked_at_is_not_over, begin),
        cmocka_unit_test_setup(who_is_not_known_to_read_is_not, begin),
        cmocka_unit_test_setup(who_has_read_what_he_had_lost_is_forgiven, begin),
        cmocka_unit_test_setup(who_is_not_done_yet_is_not_taken_for_another, begin),
        cmocka_unit_test_setup(what_is_read_before_another_loses_something_is_not_overlooked,
                               begin),
        cmocka_unit_test_setup(what_is_read_in_anothers_turn_is_taken_into_account, begin),
        cmocka_unit_test_setup(who_reads_now_and_then_cannot_fill_the_buffer, begin),
        cmocka_unit_test_setup(more_users_than_there_is_room_for_share_their_places, begin),
    };

    return cmocka_run_group_tests_name("exclusive", tests, NULL, NULL);
}
