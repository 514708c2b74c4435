// SPDX-License-Identifier: MIT
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"

/* Sends what is logged into a pipe, as if that were the journal's stream or as if it were not. */
static void logged(char *text, size_t size, bool journal, int priority, const char *message)
{
    char stream[64];
    struct stat status;
    int saved = dup(STDERR_FILENO);
    int ends[2];
    ssize_t n;

    assert_int_equal(pipe(ends), 0);
    assert_int_equal(fstat(ends[1], &status), 0);
    snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)status.st_dev,
             (uintmax_t)status.st_ino + (journal ? 0 : 1));
    setenv("JOURNAL_STREAM", stream, 1);
    dup2(ends[1], STDERR_FILENO);
    log_open();
    log_line(priority, "%s", message);
    dup2(saved, STDERR_FILENO);
    close(ends[1]);
    n = read(ends[0], text, size - 1);
    text[n > 0 ? n : 0] = '\0';
    close(ends[0]);
    close(saved);
    unsetenv("JOURNAL_STREAM");
    log_open();
}

static void the_journal_is_told_the_priority(void **state)
{
    char text[256];

    (void)state;
    logged(text, sizeof(text), true, LOG_WARNING, "Something.");
    assert_string_equal(text, "<4>Something.\n");
}

static void elsewhere_a_line_is_plain(void **state)
{
    char text[256];

    (void)state;
    logged(text, sizeof(text), false, LOG_WARNING, "Something.");
    assert_string_equal(text, "uds-echod: Something.\n");
}

static void what_is_above_the_level_is_left_out(void **state)
{
    char text[256];

    (void)state;
    log_set_level(LOG_ERR);
    logged(text, sizeof(text), false, LOG_WARNING, "Something.");
    assert_string_equal(text, "");
    logged(text, sizeof(text), false, LOG_ERR, "Something.");
    assert_string_equal(text, "uds-echod: Something.\n");
    log_set_level(LOG_INFO);
}

static void a_line_stays_one_line(void **state)
{
    static char message[5000];
    static char text[8192];

    (void)state;
    logged(text, sizeof(text), false, LOG_ERR, "a\nb\033c\177");
    assert_string_equal(text, "uds-echod: a?b?c?\n");
    memset(message, 'x', sizeof(message) - 1);
    logged(text, sizeof(text), false, LOG_ERR, message);
    assert_true(strlen(text) < 2000);
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

static void levels_are_read_by_name_and_number(void **state)
{
    (void)state;
    assert_int_equal(log_level_parse("emerg"), LOG_EMERG);
    assert_int_equal(log_level_parse("debug"), LOG_DEBUG);
    assert_int_equal(log_level_parse("3"), LOG_ERR);
    assert_int_equal(log_level_parse("33"), -EINVAL);
    assert_int_equal(log_level_parse(""), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_journal_is_told_the_priority),
        cmocka_unit_test(elsewhere_a_line_is_plain),
        cmocka_unit_test(what_is_above_the_level_is_left_out),
        cmocka_unit_test(a_line_stays_one_line),
        cmocka_unit_test(levels_are_read_by_name_and_number),
    };

    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
