// SPDX-License-Identifier: MIT

/* What of a text from outside is shown. */

#include "text.h"

#include <stdio.h>
#include <string.h>

#include "unit.h"

static void assert_cleaned(const char *text, const char *expected)
{
    char copy[64];

    snprintf(copy, sizeof(copy), "%s", text);
    text_clean(copy);
    assert_string_equal(copy, expected);
}

static void letters_of_any_script_stay(void **state)
{
    (void)state;
    assert_cleaned("", "");
    assert_cleaned("/run/uds-echo/stream.sock", "/run/uds-echo/stream.sock");
    assert_cleaned("é 한국어 \U0001f600 e\u0301", "é 한국어 \U0001f600 e\u0301");
}

static void controls_of_both_sets_are_replaced(void **state)
{
    (void)state;
    assert_cleaned("a\x1b[31m\n\t\x7f", "a?[31m???");
    assert_cleaned("\xc2\x80\xc2\x9b"
                   "31m\xc2\x9f"
                   "b",
                   "??31m?b");
    assert_cleaned("\u00a0", "\u00a0");
}

static void what_turns_the_direction_of_writing_is_replaced(void **state)
{
    static const char *const marks[] = {"\u200e", "\u200f", "\u202a", "\u202b", "\u202c", "\u202d",
                                        "\u202e", "\u2066", "\u2067", "\u2068", "\u2069", "\u061c"};
    (void)state;
    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
        assert_cleaned(marks[i], "?");
    }
}

static void what_is_no_utf8_is_replaced_byte_by_byte_where_it_is_no_character(void **state)
{
    (void)state;
    assert_cleaned("\xff\xfe", "??");
    assert_cleaned("a\xe2\x82", "a?");     /* cut off */
    assert_cleaned("\xc0\xaf", "?");       /* longer than it need be */
    assert_cleaned("\xed\xa0\x80x", "?x"); /* half of a pair */
    assert_cleaned("\xf4\x90\x80\x80", "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(letters_of_any_script_stay),
        cmocka_unit_test(controls_of_both_sets_are_replaced),
        cmocka_unit_test(what_turns_the_direction_of_writing_is_replaced),
        cmocka_unit_test(what_is_no_utf8_is_replaced_byte_by_byte_where_it_is_no_character),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
