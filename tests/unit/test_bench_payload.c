// SPDX-License-Identifier: MIT
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "bench_payload.h"

enum { SIZE = 100, CONNECTION = 3, MESSAGE = 17 };

static unsigned char header[PAYLOAD_HEADER];
static char error[PAYLOAD_ERROR_MAX];

/* MESSAGE of CONNECTION as it is sent. */
static void write_message(struct payload *payload, unsigned connection, uint64_t message,
                          unsigned char *ret)
{
    struct payload_loan loan;

    memcpy(ret, payload_lend(payload, &loan, connection, message, 0), payload->size);
    payload_return(&loan);
}

static bool is_expected(const struct payload *payload, const unsigned char *data)
{
    return payload_check(payload, CONNECTION, MESSAGE, 0, data, payload->size, header, error);
}

static void a_message_is_right_whole_and_in_pieces(void **state)
{
    struct payload payload;
    unsigned char data[SIZE];

    (void)state;
    assert_int_equal(payload_init(&payload, SIZE), 0);
    write_message(&payload, CONNECTION, MESSAGE, data);
    assert_true(is_expected(&payload, data));
    for (size_t piece = 1; piece < SIZE; piece++) {
        for (size_t at = 0; at < SIZE; at += piece) {
            size_t n = at + piece < SIZE ? piece : SIZE - at;
            assert_true(
                payload_check(&payload, CONNECTION, MESSAGE, at, data + at, n, header, error));
        }
    }
    payload_deinit(&payload);
}

static void any_wrong_byte_is_named(void **state)
{
    struct payload payload;
    unsigned char data[SIZE];
    char expected[PAYLOAD_ERROR_MAX];

    (void)state;
    assert_int_equal(payload_init(&payload, SIZE), 0);
    for (size_t i = 0; i < SIZE; i++) {
        for (unsigned flip = 1; flip < 256; flip++) {
            write_message(&payload, CONNECTION, MESSAGE, data);
            data[i] ^= (unsigned char)flip;
            assert_false(is_expected(&payload, data));
            snprintf(expected, sizeof(expected), "byte %zu is 0x%02x, not 0x%02x", i + 1, data[i],
                     data[i] ^ flip);
            assert_string_equal(error, expected);
        }
    }
    payload_deinit(&payload);
}

static void another_message_is_named(void **state)
{
    struct payload payload;
    unsigned char data[SIZE];

    (void)state;
    assert_int_equal(payload_init(&payload, SIZE), 0);
    write_message(&payload, CONNECTION, MESSAGE + 1, data);
    assert_false(is_expected(&payload, data));
    assert_string_equal(error, "message 18 came where 17 should have");
    write_message(&payload, CONNECTION + 1, MESSAGE, data);
    assert_false(is_expected(&payload, data));
    assert_string_equal(error, "message 17 of connection 4 came where 17 of this one should have");
    payload_deinit(&payload);
}

static void the_rest_of_another_message_is_wrong_too(void **state)
{
    struct payload payload;
    unsigned char data[SIZE];
    unsigned char other[SIZE];

    (void)state;
    assert_int_equal(payload_init(&payload, SIZE), 0);
    write_message(&payload, CONNECTION, MESSAGE, data);
    for (uint64_t number = MESSAGE + 1; number < MESSAGE + 10; number++) {
        write_message(&payload, CONNECTION, number, other);
        memcpy(data + SIZE / 2, other + SIZE / 2, SIZE / 2);
        assert_false(is_expected(&payload, data));
    }
    payload_deinit(&payload);
}

static void the_smallest_message_is_a_header(void **state)
{
    struct payload payload;
    unsigned char data[PAYLOAD_HEADER];
    unsigned connection;
    uint64_t message;

    (void)state;
    assert_int_equal(payload_init(&payload, PAYLOAD_HEADER), 0);
    write_message(&payload, CONNECTION, MESSAGE, data);
    assert_true(is_expected(&payload, data));
    assert_true(payload_identify(data, &connection, &message));
    assert_int_equal(connection, CONNECTION);
    assert_int_equal(message, MESSAGE);
    payload_deinit(&payload);
    payload_deinit(&payload);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_right_whole_and_in_pieces),
        cmocka_unit_test(any_wrong_byte_is_named),
        cmocka_unit_test(another_message_is_named),
        cmocka_unit_test(the_rest_of_another_message_is_wrong_too),
        cmocka_unit_test(the_smallest_message_is_a_header),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
