// SPDX-License-Identifier: MIT
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "debtor.h"

/*
 * A send buffer that is half full, and two users: one with many addresses reads nothing, the
 * other reads all, but is kept from it for some time now and then, as on a busy machine. The clock
 * is the test's own.
 */

enum {
    CAPACITY = 128 * 1024 * 1024,
    HALF = CAPACITY / 2,
    HONEST = 1000,
    HOSTILE = 2000,
    HONEST_ADDRESSES = 16,
    HOSTILE_ADDRESSES = QUOTA_USER_ADDRESSES,
    SIZE = 20000,
    SECOND = 1000 * 1000,
    READING_USEC = 30,      /* it takes so long to read */
    BUSY_USEC = 20 * 1000,  /* or so long */
    OFTEN = 10,             /* every so many times */
    LONG_USEC = 2 * SECOND, /* and so long rarely */
    RARELY = 2000,
    OWE_USEC = 50 * 1000,
};

struct scene {
    struct quota *quota;
    struct debts debts;
    uint64_t now;
    size_t queued;
    size_t on_its_way; /* of these, to the honest user */
    uint64_t read_at;  /* when he reads it */
    unsigned sent;     /* replies to him */
    unsigned turns;    /* of his */
    unsigned hostile;  /* replies to the other */
    size_t most;       /* bytes that were unread with him away */
    uint64_t owed_at;  /* when the other is owed more */
    bool is_late;
    unsigned last; /* the honest user's address that was sent something last */
    bool has_mute; /* the honest user has an address at which nobody reads */
    unsigned mute; /* replies to that */
};

static struct sender sender_of(uid_t uid, unsigned number)
{
    struct sender sender = {.uid = uid, .size = sizeof(sa_family_t) + sizeof(number)};

    sender.address.ss_family = AF_UNIX;
    memcpy((char *)&sender.address + sizeof(sa_family_t), &number, sizeof(number));
    return sender;
}

static unsigned number_of(const struct sender *sender)
{
    unsigned number;

    memcpy(&number, (const char *)&sender->address + sizeof(sa_family_t), sizeof(number));
    return number;
}

static uint64_t find_delay(const struct scene *scene)
{
    return scene->turns % RARELY == 0 && scene->is_late ? LONG_USEC
           : scene->turns % OFTEN == 0                  ? BUSY_USEC
                                                        : READING_USEC;
}

static int put(void *context, const struct sender *sender, const void *data, size_t length)
{
    struct scene *scene = context;

    (void)data;
    assert_true(scene->queued < CAPACITY);
    scene->queued += length + DEBT_ROOM;
    if (sender->uid == HOSTILE) {
        scene->hostile++;
        return 0;
    }
    if (scene->has_mute && number_of(sender) == 0) {
        scene->mute++;
        return 0;
    }
    if (scene->on_its_way == 0) {
        scene->turns++;
        scene->read_at = scene->now + find_delay(scene);
    }
    scene->on_its_way += length + DEBT_ROOM;
    scene->sent++;
    scene->last = number_of(sender);
    return 0;
}

static size_t queued(void *context)
{
    return ((const struct scene *)context)->queued;
}

static int begin(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));

    if (!scene) {
        return -1;
    }
    scene->quota = quota_new(quota_limits_complete((struct quota_limits){0}, 100));
    debts_init(&scene->debts, scene->quota);
    scene->queued = HALF;
    scene->now = SECOND;
    *state = scene;
    return scene->quota ? 0 : -1;
}

static int end(void **state)
{
    struct scene *scene = *state;

    debts_deinit(&scene->debts);
    quota_free(scene->quota);
    free(scene);
    return 0;
}

/* UID is owed a reply at each of N addresses at which nothing is owed. */
static void owe(struct scene *scene, uid_t uid, unsigned n)
{
    static const char data[SIZE];

    for (unsigned i = 0; i < n; i++) {
        struct sender sender = sender_of(uid, i);
        if (debts_owed_to(&scene->debts, &sender) == 0) {
            (void)debts_add(&scene->debts, &sender, data, sizeof(data), scene->now);
        }
    }
}

static void run(struct scene *scene, unsigned seconds, bool has_hostile)
{
    const struct debt_channel channel = {
        .send = put, .queued = queued, .context = scene, .capacity = CAPACITY};
    uint64_t end = scene->now + (uint64_t)seconds * SECOND;

    while (scene->now < end) {
        if (has_hostile && scene->now >= scene->owed_at) {
            owe(scene, HOSTILE, HOSTILE_ADDRESSES);
            scene->owed_at = scene->now + OWE_USEC;
        }
        owe(scene, HONEST, scene->on_its_way == 0 ? HONEST_ADDRESSES : 0);
        if (scene->on_its_way > 0 && scene->read_at <= scene->debts.retry_at) {
            scene->now = scene->read_at;
            scene->queued -= scene->on_its_way;
            scene->on_its_way = 0;
            scene->most = scene->queued > scene->most ? scene->queued : scene->most;
        } else {
            scene->now = scene->debts.retry_at;
            debts_pay(&scene->debts, scene->now, &channel);
            assert_true(scene->debts.retry_at > scene->now);
        }
    }
}

static void who_reads_is_answered_all_the_time(void **state)
{
    struct scene *scene = *state;

    run(scene, 10, false);
    /* Of each ten turns one takes long. */
    assert_true(scene->turns >= 10 * SECOND / (BUSY_USEC / OFTEN + 4 * EXCLUSIVE_LOOK_USEC) / 4);
    assert_true(scene->sent >= scene->turns * 4);
    assert_true(scene->most <= HALF);
}

static void beside_who_does_not_read_he_is_as_well(void **state)
{
    struct scene *scene = *state;
    unsigned alone;

    run(scene, 10, false);
    alone = scene->sent;
    scene->sent = 0;
    run(scene, 10, true);
    assert_true(scene->sent >= alone / 2);
    assert_true(scene->hostile > 0);
    assert_true(scene->most <= HALF + CAPACITY / 64);
}

static void some_long_stalls_of_his_give_the_other_little_more(void **state)
{
    struct scene *scene = *state;

    scene->is_late = true;
    run(scene, 60, true);
    assert_true(scene->turns > 60 * 20);
    assert_int_equal(exclusive_find(&scene->debts.exclusive, HONEST).lost, 0);
    assert_true(exclusive_find(&scene->debts.exclusive, HOSTILE).lost > 0);
    assert_true(scene->most <= HALF + CAPACITY / 32 + CAPACITY / 256);
}

static void an_address_of_his_that_does_not_read_costs_his_others_little(void **state)
{
    struct scene *scene = *state;
    unsigned alone;

    run(scene, 10, false);
    alone = scene->sent;
    scene->sent = 0;
    scene->has_mute = true;
    run(scene, 10, false);
    assert_in_range(scene->mute, 1, 32);
    assert_true(scene->sent >= alone * 3 / 4);
}

static void who_is_known_to_read_is_answered_directly_until_it_is_anothers_turn(void **state)
{
    struct scene *scene = *state;
    const struct debt_channel channel = {
        .send = put, .queued = queued, .context = scene, .capacity = CAPACITY};
    struct debts *debts = &scene->debts;

    for (int i = 0; i < 10; i++) {
        debts_note(debts, scene->queued, ++scene->now);
        assert_false(debts_may_pass(debts, HOSTILE, SIZE, CAPACITY));
        assert_false(debts_may_pass(debts, HONEST, SIZE, CAPACITY));
        assert_null(debts->exclusive.current);
    }
    run(scene, 1, false);
    while (debts->datagrams > 0 || scene->on_its_way > 0) {
        scene->queued -= scene->on_its_way;
        scene->on_its_way = 0;
        scene->now = debts->retry_at;
        debts_pay(debts, scene->now, &channel);
    }
    scene->now += SECOND;
    debts_note(debts, scene->queued, scene->now);
    assert_false(debts_may_pass(debts, HONEST, CAPACITY / 2, CAPACITY));
    assert_null(debts->exclusive.current);
    assert_true(debts_may_pass(debts, HONEST, SIZE, CAPACITY));
    assert_false(debts_may_pass(debts, HOSTILE, SIZE, CAPACITY));
    scene->queued += SIZE;

    owe(scene, HOSTILE, 1);
    scene->now += EXCLUSIVE_SLICE_USEC / 2;
    debts_note(debts, scene->queued - SIZE, scene->now);
    assert_true(debts_may_pass(debts, HONEST, SIZE, CAPACITY));
    scene->now += EXCLUSIVE_SLICE_USEC / 2;
    scene->queued -= SIZE;
    debts_note(debts, scene->queued, scene->now);
    assert_false(debts_may_pass(debts, HONEST, SIZE, CAPACITY));
    assert_int_equal(debts->retry_at, scene->now);
    debts_pay(debts, scene->now, &channel);
    assert_int_equal(scene->hostile, 1);
    assert_false(debts_may_pass(debts, HONEST, SIZE, CAPACITY));

    /* He has not read, and all has been read: then it is another's turn. */
    scene->now += SECOND;
    debts_pay(debts, scene->now, &channel);
    scene->queued = HALF;
    owe(scene, HOSTILE, 2);
    scene->now += SECOND;
    debts_note(debts, scene->queued, scene->now);
    assert_false(debts_may_pass(debts, HONEST, SIZE, CAPACITY));
}

static void the_addresses_of_one_user_take_turns(void **state)
{
    struct scene *scene = *state;
    const struct debt_channel channel = {
        .send = put, .queued = queued, .context = scene, .capacity = CAPACITY};

    for (unsigned i = 0; i < 10; i++) {
        struct sender sender = sender_of(HONEST, i % 2);
        assert_int_equal(debts_add(&scene->debts, &sender, "", 0, scene->now), 0);
    }
    for (unsigned i = 0; i < EXCLUSIVE_KNOWN; i++) {
        scene->now = scene->debts.retry_at;
        debts_pay(&scene->debts, scene->now, &channel);
        scene->queued = HALF;
        assert_int_equal(scene->sent, i + 1);
        assert_int_equal(scene->last, i % 2);
    }
}

/* The hostile user is sent a reply, and does not read it in time. */
static void lose(struct scene *scene, const struct debt_channel *channel)
{
    owe(scene, HOSTILE, 1);
    while (exclusive_find(&scene->debts.exclusive, HOSTILE).failures == 0) {
        scene->now = scene->debts.retry_at;
        debts_pay(&scene->debts, scene->now, channel);
        assert_int_equal(scene->hostile, 1);
        assert_int_equal(scene->debts.senders, 1);
    }
}

static void below_the_half_all_is_forgotten(void **state)
{
    struct scene *scene = *state;
    const struct debt_channel channel = {
        .send = put, .queued = queued, .context = scene, .capacity = CAPACITY};

    lose(scene, &channel);
    scene->queued = HALF - 1;
    debts_pay(&scene->debts, scene->now, &channel);
    assert_int_equal(exclusive_find(&scene->debts.exclusive, HOSTILE).failures, 0);
    assert_null(scene->debts.exclusive.current);
}

static void who_has_not_read_all_is_remembered_for_a_while(void **state)
{
    struct scene *scene = *state;
    const struct debt_channel channel = {
        .send = put, .queued = queued, .context = scene, .capacity = CAPACITY};

    lose(scene, &channel);
    assert_int_equal(scene->debts.senders, 1);
    debts_pay(&scene->debts, scene->debts.retry_at, &channel);
    assert_int_equal(scene->debts.senders, 0);
    assert_true(scene->debts.retry_at == UINT64_MAX);
}

static void all_known_users_have_their_turns(void **state)
{
    struct scene *scene = *state;
    const struct debt_channel channel = {
        .send = put, .queued = queued, .context = scene, .capacity = CAPACITY};

    for (uid_t uid = HONEST; uid < HONEST + 5; uid++) {
        owe(scene, uid, HONEST_ADDRESSES);
    }
    /* Each time all is read at once. */
    for (int i = 0; i < 5; i++) {
        scene->now = scene->debts.retry_at;
        debts_pay(&scene->debts, scene->now, &channel);
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
    const struct debt_channel channel = {
        .send = put, .queued = queued, .context = scene, .capacity = CAPACITY};
    struct debtor *debtor;

    lose(scene, &channel);
    owe(scene, HOSTILE, 1);
    debtor = scene->debts.debtors;
    debtor->retry_at = UINT64_MAX; /* as after many losses */
    debts_note_end(&scene->debts, scene->now);
    assert_int_equal(scene->debts.retry_at, scene->now);
    scene->queued = 0;
    debts_pay(&scene->debts, scene->now, &channel);
    assert_int_equal(scene->hostile, 2);
    assert_int_equal(scene->debts.senders, 0);

    /* It is looked whether it is over although nobody has a turn for long. */
    scene->queued = HALF;
    scene->hostile = 0;
    lose(scene, &channel);
    owe(scene, HOSTILE, 1);
    scene->debts.debtors->retry_at = UINT64_MAX;
    debts_pay(&scene->debts, scene->now, &channel);
    assert_true(scene->debts.retry_at <= scene->now + DEBT_RETRY_USEC_MAX);
}

static void large_replies_leave_some_of_the_buffer(void **state)
{
    static const char data[512 * 1024];
    struct scene *scene = *state;
    const struct debt_channel channel = {
        .send = put, .queued = queued, .context = scene, .capacity = CAPACITY};

    for (uint64_t end = scene->now + (uint64_t)5 * SECOND; scene->now < end;) {
        for (uid_t uid = HOSTILE; uid < HOSTILE + 30; uid++) {
            struct sender sender = sender_of(uid, uid);
            if (debts_owed_to(&scene->debts, &sender) == 0) {
                (void)debts_add(&scene->debts, &sender, data, sizeof(data), scene->now);
            }
        }
        scene->now = scene->debts.retry_at;
        debts_pay(&scene->debts, scene->now, &channel);
        scene->on_its_way = 0; /* nobody reads anything */
    }
    /* There is some left for who has not lost anything. */
    scene->now += SECOND;
    scene->sent = 0;
    run(scene, 1, false);
    assert_true(scene->sent > 100);
    assert_in_range(scene->queued, HALF + 16 * sizeof(data),
                    CAPACITY - CAPACITY / DEBT_LEFT_SHARE / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_reads_is_answered_all_the_time, begin, end),
        cmocka_unit_test_setup_teardown(beside_who_does_not_read_he_is_as_well, begin, end),
        cmocka_unit_test_setup_teardown(
            an_address_of_his_that_does_not_read_costs_his_others_little, begin, end),
        cmocka_unit_test_setup_teardown(
            who_is_known_to_read_is_answered_directly_until_it_is_anothers_turn, begin, end),
        cmocka_unit_test_setup_teardown(the_addresses_of_one_user_take_turns, begin, end),
        cmocka_unit_test_setup_teardown(who_has_not_read_all_is_remembered_for_a_while, begin, end),
        cmocka_unit_test_setup_teardown(when_it_is_over_nobody_waits_any_more, begin, end),
        cmocka_unit_test_setup_teardown(large_replies_leave_some_of_the_buffer, begin, end),
        cmocka_unit_test_setup_teardown(below_the_half_all_is_forgotten, begin, end),
        cmocka_unit_test_setup_teardown(all_known_users_have_their_turns, begin, end),
        cmocka_unit_test_setup_teardown(some_long_stalls_of_his_give_the_other_little_more, begin,
                                        end),
    };

    return cmocka_run_group_tests_name("crowd", tests, NULL, NULL);
}
