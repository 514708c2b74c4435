// SPDX-License-Identifier: MIT
#include "unit.h"

#include "busy_poll.h"

enum { HARDLY = 2 * 1000, SHORT = 20 * 1000, LONG = 1000 * 1000 };

static void sleep_often(struct busy_poll *poll, unsigned n, uint64_t nsec)
{
    for (unsigned i = 0; i < n; i++) {
        busy_poll_slept(poll, nsec);
    }
}

/* How many short waits it takes until looking is worth it. */
static unsigned short_waits_needed(struct busy_poll poll)
{
    unsigned n = 0;

    while (!busy_poll_is_worth(&poll)) {
        busy_poll_slept(&poll, SHORT);
        n++;
        assert_true(n < 1000000);
    }
    return n;
}

static void off_is_never(void **state)
{
    struct busy_poll poll = busy_poll_new((struct busy_poll_option){.usec = 0});

    (void)state;
    sleep_often(&poll, 10000, 0);
    assert_false(busy_poll_is_worth(&poll));
}

static void a_fixed_time_is_always(void **state)
{
    struct busy_poll poll = busy_poll_new((struct busy_poll_option){.usec = 7});

    (void)state;
    assert_true(busy_poll_is_worth(&poll));
    assert_int_equal(poll.span_nsec, 7000);
    busy_poll_missed(&poll);
    sleep_often(&poll, 3, LONG);
    assert_true(busy_poll_is_worth(&poll));
}

static void by_itself_only_after_short_waits(void **state)
{
    struct busy_poll poll = busy_poll_new((struct busy_poll_option){.automatic = true});
    unsigned needed = short_waits_needed(poll);

    (void)state;
    assert_false(busy_poll_is_worth(&poll));
    assert_in_range(needed, 2, 20);
    sleep_often(&poll, 10000, LONG);
    assert_false(busy_poll_is_worth(&poll));
    /* A long one among them begins the count anew. */
    sleep_often(&poll, needed - 1, SHORT);
    busy_poll_slept(&poll, LONG);
    sleep_often(&poll, needed - 1, SHORT);
    assert_false(busy_poll_is_worth(&poll));
    busy_poll_slept(&poll, SHORT);
    assert_true(busy_poll_is_worth(&poll));
}

static void in_vain_makes_it_rarer_up_to_a_bound(void **state)
{
    struct busy_poll poll = busy_poll_new((struct busy_poll_option){.automatic = true});
    unsigned before = short_waits_needed(poll);

    (void)state;
    for (int i = 0; i < 6; i++) {
        unsigned needed;
        sleep_often(&poll, before, SHORT);
        busy_poll_missed(&poll);
        assert_false(busy_poll_is_worth(&poll));
        needed = short_waits_needed(poll);
        assert_true(needed > before);
        before = needed;
    }
    for (int i = 0; i < 100; i++) {
        busy_poll_missed(&poll);
    }
    assert_in_range(short_waits_needed(poll), before, 10000);
}

static void hits_bring_it_back(void **state)
{
    struct busy_poll poll = busy_poll_new((struct busy_poll_option){.automatic = true});
    unsigned first = short_waits_needed(poll);

    (void)state;
    for (int i = 0; i < 8; i++) {
        busy_poll_missed(&poll);
    }
    sleep_often(&poll, short_waits_needed(poll), SHORT);
    for (int i = 0; i < 100; i++) {
        busy_poll_hit(&poll);
        assert_true(busy_poll_is_worth(&poll));
    }
    busy_poll_missed(&poll);
    assert_int_equal(short_waits_needed(poll), first);
}

static void waits_that_are_hardly_any_count_for_nothing(void **state)
{
    struct busy_poll poll = busy_poll_new((struct busy_poll_option){.automatic = true});
    unsigned needed = short_waits_needed(poll);

    (void)state;
    for (unsigned i = 0; i < needed; i++) {
        sleep_often(&poll, 10000, HARDLY);
        assert_false(busy_poll_is_worth(&poll));
        busy_poll_slept(&poll, SHORT);
    }
    assert_true(busy_poll_is_worth(&poll));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(off_is_never),
        cmocka_unit_test(a_fixed_time_is_always),
        cmocka_unit_test(by_itself_only_after_short_waits),
        cmocka_unit_test(in_vain_makes_it_rarer_up_to_a_bound),
        cmocka_unit_test(hits_bring_it_back),
        cmocka_unit_test(waits_that_are_hardly_any_count_for_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
