// SPDX-License-Identifier: MIT
#include "unit.h"

#include "departure.h"

/* The workers yield for a program that a reload has found. */
static const struct departure executes = {.phase = DEPARTURE_EXECUTES};

static void a_restart_during_a_reload_is_a_restart(void **state)
{
    struct departure departure = executes;

    (void)state;
    departure_restart(&departure);
    assert_int_equal(departure.phase, DEPARTURE_RESTARTS);
    assert_false(departure.stop_asked);
    departure_stop(&departure); /* comes after it where the service manager restarts a unit */
    assert_int_equal(departure.phase, DEPARTURE_RESTARTS);
}

static void a_stop_during_a_reload_stays_a_stop(void **state)
{
    struct departure departure = executes;

    (void)state;
    departure_stop(&departure);
    assert_true(departure.stop_asked);
    departure_restart(&departure);
    assert_int_equal(departure.phase, DEPARTURE_EXECUTES);
    assert_true(departure.stop_asked);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_restart_during_a_reload_is_a_restart),
        cmocka_unit_test(a_stop_during_a_reload_stays_a_stop),
    };

    return cmocka_run_group_tests_name("departure", tests, NULL, NULL);
}
