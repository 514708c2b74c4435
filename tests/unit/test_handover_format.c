// SPDX-License-Identifier: MIT
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "handover_format.h"

static const struct sockaddr_un own = {.sun_family = AF_UNIX, .sun_path = "/run/own.sock"};
static const struct sockaddr_un other = {.sun_family = AF_UNIX, .sun_path = "\0other"};

static const struct handover_record records[] = {
    {.kind = HANDOVER_CONNECTION, .uid = 1000, .type = SOCK_STREAM, .role = ROLE_AUTH},
    {.kind = HANDOVER_CONNECTION,
     .uid = 0,
     .type = SOCK_SEQPACKET,
     .idle_usec = 123456789,
     .owes = true,
     .data = "",
     .length = 0},
    {.kind = HANDOVER_CONNECTION,
     .uid = 7,
     .type = SOCK_STREAM,
     .owes = true,
     .data = "123456789",
     .length = 9},
    {.kind = HANDOVER_CONNECTION, .uid = 7, .type = SOCK_SEQPACKET, .oversize = true},
    {.kind = HANDOVER_FAREWELL, .uid = 8, .type = SOCK_SEQPACKET, .owes = true},
    {.kind = HANDOVER_FAREWELL,
     .uid = 8,
     .type = SOCK_STREAM,
     .role = ROLE_WHOAMI,
     .owes = true,
     .data = "UID=8\n",
     .length = 6},
    {.kind = HANDOVER_DATAGRAM,
     .uid = 9,
     .type = SOCK_DGRAM,
     .own = &own,
     .own_size = sizeof(own),
     .sender = &other,
     .sender_size = 8,
     .brief = true,
     .data = "hello",
     .length = 5},
};

enum { N_RECORDS = sizeof(records) / sizeof(records[0]) };

/* N of them, packed; the caller frees it. */
static char *pack(const struct handover_record *some, size_t n, size_t *size)
{
    FILE *file = tmpfile();
    char *data;
    long length;

    assert_non_null(file);
    handover_begin(file);
    for (size_t i = 0; i < n; i++) {
        handover_write(file, &some[i]);
    }
    assert_int_equal(handover_complete(file, n), 0);
    fseek(file, 0, SEEK_END);
    length = ftell(file);
    rewind(file);
    data = malloc((size_t)length);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, (size_t)length, file), length);
    fclose(file);
    *size = (size_t)length;
    return data;
}

static void assert_same(const void *a, size_t a_size, const void *b, size_t b_size)
{
    assert_int_equal(a_size, b_size);
    if (a_size > 0) {
        assert_memory_equal(a, b, a_size);
    }
}

static void what_is_packed_is_unpacked(void **state)
{
    struct handover_reader reader;
    struct handover_record got;
    size_t size = 0;
    char *data = pack(records, N_RECORDS, &size);

    (void)state;
    assert_int_equal(handover_open(&reader, data, size), 0);
    for (size_t i = 0; i < N_RECORDS; i++) {
        assert_true(handover_next(&reader, &got));
        assert_int_equal(got.kind, records[i].kind);
        assert_int_equal(got.uid, records[i].uid);
        assert_int_equal(got.type, records[i].type);
        assert_int_equal(got.role, records[i].role);
        assert_int_equal(got.idle_usec, records[i].idle_usec);
        assert_int_equal(got.owes, records[i].owes);
        assert_int_equal(got.oversize, records[i].oversize);
        assert_int_equal(got.brief, records[i].brief);
        assert_same(got.own, got.own_size, records[i].own, records[i].own_size);
        assert_same(got.sender, got.sender_size, records[i].sender, records[i].sender_size);
        assert_same(got.data, got.length, records[i].data, records[i].length);
    }
    assert_false(handover_next(&reader, &got));
    free(data);
}

static void nothing_is_taken_of_what_is_cut_off_or_longer(void **state)
{
    struct handover_reader reader;
    size_t size = 0;
    char *data = pack(records, N_RECORDS, &size);
    char *longer = calloc(1, size + 8);

    (void)state;
    for (size_t length = 0; length < size; length++) {
        char *part = malloc(length > 0 ? length : 1); /* so that a sanitizer sees what is beyond */
        memcpy(part, data, length);
        assert_int_equal(handover_open(&reader, part, length), -EBADMSG);
        free(part);
    }
    memcpy(longer, data, size);
    assert_int_equal(handover_open(&reader, longer, size + 8), -EBADMSG);
    free(longer);
    free(data);
}

static void only_a_connection_that_is_owed_nothing_has_a_message_beyond_the_buffer(void **state)
{
    static const struct handover_record wrong[] = {
        {.kind = HANDOVER_CONNECTION, .type = SOCK_STREAM, .oversize = true},
        {.kind = HANDOVER_CONNECTION, .type = SOCK_SEQPACKET, .oversize = true, .owes = true},
        {.kind = HANDOVER_FAREWELL, .type = SOCK_SEQPACKET, .oversize = true},
    };
    struct handover_reader reader;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        size_t size = 0;
        char *data = pack(&wrong[i], 1, &size);
        assert_int_equal(handover_open(&reader, data, size), -EBADMSG);
        free(data);
    }
}

static void another_version_is_told_from_nonsense(void **state)
{
    struct handover_reader reader;
    size_t size = 0;
    char *data = pack(records, N_RECORDS, &size);

    (void)state;
    data[8]++;
    assert_int_equal(handover_open(&reader, data, size), -EPROTONOSUPPORT);
    data[0]++;
    assert_int_equal(handover_open(&reader, data, size), -EBADMSG);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_packed_is_unpacked),
        cmocka_unit_test(nothing_is_taken_of_what_is_cut_off_or_longer),
        cmocka_unit_test(only_a_connection_that_is_owed_nothing_has_a_message_beyond_the_buffer),
        cmocka_unit_test(another_version_is_told_from_nonsense),
    };

    return cmocka_run_group_tests_name("handover_format", tests, NULL, NULL);
}
