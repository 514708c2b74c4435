// SPDX-License-Identifier: MIT
#include "unit.h"

#include <syslog.h>

#include "log.h"
#include "options.h"
#include "timespan.h"
#include "util.h"

static enum options_verdict parse(struct options *options, const char *argument)
{
    char *argv[] = {(char *)(uintptr_t) "uds-echod", (char *)(uintptr_t)argument, NULL};

    return options_parse(argument ? 2 : 1, argv, options);
}

static void without_arguments_nothing_is_limited(void **state)
{
    struct options options;

    (void)state;
    assert_int_equal(parse(&options, NULL), OPTIONS_RUN);
    assert_int_equal(options.limits.connections, 0);
    assert_int_equal(options.limits.connections_per_user, 0);
    assert_int_equal(options.limits.bytes_per_user, 0);
    assert_true(options.exit_idle_usec == TIMESPAN_INFINITY);
    assert_true(options.idle_usec == TIMESPAN_INFINITY);
    assert_int_equal(options.workers, 0);
    assert_int_equal(options.log_level, LOG_INFO);
    assert_true(options.busy_poll.automatic);
}

static void options_are_read(void **state)
{
    struct options options;

    (void)state;
    assert_int_equal(parse(&options, "--connections-max=17"), OPTIONS_RUN);
    assert_int_equal(options.limits.connections, 17);
    assert_int_equal(parse(&options, "--connections-max=4294967295"), OPTIONS_RUN);
    assert_int_equal(options.limits.connections, UINT32_MAX);
    assert_int_equal(parse(&options, "--connections-max-per-user=5"), OPTIONS_RUN);
    assert_int_equal(options.limits.connections_per_user, 5);
    assert_int_equal(parse(&options, "--bytes-max-per-user=1234"), OPTIONS_RUN);
    assert_int_equal(options.limits.bytes_per_user, 1234);
    assert_int_equal(parse(&options, "--bytes-max-per-user=500K"), OPTIONS_RUN);
    assert_int_equal(options.limits.bytes_per_user, 500 * 1024);
    assert_int_equal(parse(&options, "--bytes-max-per-user=4294967295T"), OPTIONS_RUN);
    assert_true(options.limits.bytes_per_user == (uint64_t)UINT32_MAX << 40);
    assert_int_equal(parse(&options, "--idle-timeout=2h"), OPTIONS_RUN);
    assert_true(options.idle_usec == (uint64_t)7200 * 1000000);
    assert_int_equal(parse(&options, "--idle-timeout=infinity"), OPTIONS_RUN);
    assert_true(options.idle_usec == TIMESPAN_INFINITY);
    assert_int_equal(parse(&options, "--busy-poll=off"), OPTIONS_RUN);
    assert_false(options.busy_poll.automatic);
    assert_int_equal(options.busy_poll.usec, 0);
    assert_int_equal(parse(&options, "--busy-poll=1000000"), OPTIONS_RUN);
    assert_false(options.busy_poll.automatic);
    assert_int_equal(options.busy_poll.usec, 1000000);
    assert_int_equal(parse(&options, "--busy-poll=auto"), OPTIONS_RUN);
    assert_true(options.busy_poll.automatic);
    assert_int_equal(parse(&options, "--exit-idle-time=1min 30s"), OPTIONS_RUN);
    assert_int_equal(options.exit_idle_usec, 90000000);
    assert_int_equal(parse(&options, "--workers=1"), OPTIONS_RUN);
    assert_int_equal(options.workers, 1);
    assert_int_equal(parse(&options, "--workers=256"), OPTIONS_RUN);
    assert_int_equal(options.workers, 256);
    assert_int_equal(parse(&options, "--workers=auto"), OPTIONS_RUN);
    assert_int_equal(options.workers, 0);
    assert_int_equal(parse(&options, "--log-level=warning"), OPTIONS_RUN);
    assert_int_equal(options.log_level, LOG_WARNING);
    assert_int_equal(parse(&options, "--log-level=7"), OPTIONS_RUN);
    assert_int_equal(options.log_level, LOG_DEBUG);
}

static void what_is_wrong_is_refused(void **state)
{
    static const char *const cases[] = {
        "--connections-max",
        "--connections-max=",
        "--connections-max=0",
        "--connections-max=-1",
        "--connections-max= 1",
        "--connections-max=1k",
        "--connections-max=4294967296",
        "--connections-max-per-user",
        "--connections-max-per-user=0",
        "--connections-max-per-user=1K",
        "--bytes-max-per-user=",
        "--bytes-max-per-user=0",
        "--bytes-max-per-user=K",
        "--bytes-max-per-user=1k",
        "--bytes-max-per-user=1KB",
        "--bytes-max-per-user=1.5M",
        "--bytes-max-per-user=-1",
        "--bytes-max-per-user=99999999999",
        "--bytes-max-per-user=12345678901234567",
        "--idle-timeout=",
        "--idle-timeout=0",
        "--idle-timeout=5x",
        "--busy-poll=",
        "--busy-poll=on",
        "--busy-poll=50us",
        "--busy-poll=1000001",
        "--exit-idle-time=",
        "--exit-idle-time=5x",
        "--workers",
        "--workers=",
        "--workers=0",
        "--workers=257",
        "--workers=-1",
        "--workers=Auto",
        "--workers=2.5",
        "--log-level=8",
        "--log-level=loud",
        "--log-level=",
        "--version=1",
        "--unknown",
        "-x",
        "/run/some.sock",
    };

    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        struct options options;
        if (parse(&options, cases[i]) != OPTIONS_INVALID) {
            fail_msg("%s was accepted", cases[i]);
        }
    }
}

static void help_and_version_are_answered(void **state)
{
    struct options options;

    (void)state;
    assert_int_equal(parse(&options, "--help"), OPTIONS_DONE);
    assert_int_equal(parse(&options, "-h"), OPTIONS_DONE);
    assert_int_equal(parse(&options, "--version"), OPTIONS_DONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_arguments_nothing_is_limited),
        cmocka_unit_test(options_are_read),
        cmocka_unit_test(what_is_wrong_is_refused),
        cmocka_unit_test(help_and_version_are_answered),
    };

    return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
