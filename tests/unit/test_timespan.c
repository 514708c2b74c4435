// SPDX-License-Identifier: MIT
#include "unit.h"

#include <errno.h>

#include "timespan.h"
#include "util.h"

static void spans_are_read_as_systemd_writes_them(void **state)
{
    static const struct {
        const char *text;
        uint64_t usec;
    } cases[] = {
        {"0", 0},
        {"90", 90000000},
        {"90s", 90000000},
        {"90 s", 90000000},
        {" 5min ", 300000000},
        {"1h 30min", 5400000000},
        {"1h30min", 5400000000},
        {"1.5s", 1500000},
        {".5s", 500000},
        {"0.000001s", 1},
        {"0.0000019s", 1},
        {"250ms", 250000},
        {"7us", 7},
        {"7µs", 7},
        {"2 weeks 1 day", 15 * UINT64_C(86400000000)},
        {"1y", UINT64_C(31557600000000)},
        {"infinity", TIMESPAN_INFINITY},
        {" infinity ", TIMESPAN_INFINITY},
    };

    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        uint64_t usec = 12345;
        if (timespan_parse(cases[i].text, &usec) != 0 || usec != cases[i].usec) {
            fail_msg("\"%s\" was read as %ju", cases[i].text, (uintmax_t)usec);
        }
    }
}

static void what_is_no_span_is_refused_and_changes_nothing(void **state)
{
    static const char *const cases[] = {"",          " ",         "s",     "-1s",       "+1s",
                                        "5x",        "5 minutos", "1.s.",  "1,5",       "0x10s",
                                        "infinityx", "inf",       "5min,", "1 infinity"};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        uint64_t usec = 12345;
        if (timespan_parse(cases[i], &usec) != -EINVAL || usec != 12345) {
            fail_msg("\"%s\" was taken for a time span", cases[i]);
        }
    }
}

static void a_span_that_does_not_fit_is_out_of_range(void **state)
{
    static const char *const cases[] = {"18446744073709551616us", "18446744073709551615us",
                                        "600000y", "99999999999999999999999999", "584542y 584542y"};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        uint64_t usec = 12345;
        if (timespan_parse(cases[i], &usec) != -ERANGE || usec != 12345) {
            fail_msg("\"%s\" was not out of range", cases[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spans_are_read_as_systemd_writes_them),
        cmocka_unit_test(what_is_no_span_is_refused_and_changes_nothing),
        cmocka_unit_test(a_span_that_does_not_fit_is_out_of_range),
    };

    return cmocka_run_group_tests_name("timespan", tests, NULL, NULL);
}
