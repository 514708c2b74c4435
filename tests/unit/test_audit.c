// SPDX-License-Identifier: MIT
#include "unit.h"

#include <string.h>
#include <sys/socket.h>

#include "audit.h"

enum { SECOND = 1000 * 1000 };

static struct peer peer;
static struct audit_record record;

/* Decides on the client UID at NOW. Returns how many records were dropped. */
static uint64_t decide(struct audit *audit, uint64_t now, uid_t uid, bool allow)
{
    peer.identity = (struct identity){.has_uid = true, .uid = uid};
    return audit_decision(audit, now, ROLE_AUTH, SOCK_STREAM, &peer,
                          (struct policy_decision){.allow = allow, .line = 7});
}

static unsigned read_all(struct audit *audit)
{
    unsigned n = 0;

    while (audit_read(audit, &record)) {
        n++;
    }
    return n;
}

static void a_decision_is_read_as_it_was_written(void **state)
{
    struct audit *audit = audit_new(AUDIT_RECORDS);

    (void)state;
    assert_non_null(audit);
    assert_false(audit_read(audit, &record));
    assert_false(audit_has_news(audit));
    strcpy(peer.unit, "a.service");
    strcpy(peer.label, "some label");
    peer.pid = 4711;
    peer.identity = (struct identity){
        .has_uid = true,
        .uid = 1000,
        .has_gid = true,
        .gid = 100,
        .unit = peer.unit,
        .label = peer.label,
    };
    assert_int_equal(audit_decision(audit, 1, ROLE_WHOAMI, SOCK_DGRAM, &peer,
                                    (struct policy_decision){.allow = true, .line = 3}),
                     0);
    assert_true(audit_has_news(audit));
    assert_false(audit_has_news(audit));
    assert_true(audit_read(audit, &record));
    assert_int_equal(record.left_out, 0);
    assert_int_equal(record.role, ROLE_WHOAMI);
    assert_int_equal(record.type, SOCK_DGRAM);
    assert_true(record.decision.allow);
    assert_int_equal(record.decision.line, 3);
    assert_int_equal(record.uid, 1000);
    assert_int_equal(record.gid, 100);
    assert_int_equal(record.pid, 4711);
    assert_string_equal(record.unit, "a.service");
    assert_string_equal(record.label, "some label");
    assert_false(audit_read(audit, &record));
    audit_free(audit);
}

static void what_is_absent_is_not_in_the_record(void **state)
{
    struct audit *audit = audit_new(AUDIT_RECORDS);

    (void)state;
    strcpy(peer.unit, "of-somebody-else.service");
    peer.pid = 0;
    peer.identity = (struct identity){.uid = 5, .gid = 6};
    (void)audit_decision(audit, 1, ROLE_AUTH, SOCK_STREAM, &peer, (struct policy_decision){0});
    assert_true(audit_read(audit, &record));
    assert_int_equal(record.uid, AUDIT_UNKNOWN);
    assert_int_equal(record.gid, AUDIT_UNKNOWN);
    assert_int_equal(record.pid, 0);
    assert_string_equal(record.unit, "");
    assert_string_equal(record.label, "");
    audit_free(audit);
}

static void a_client_cannot_fill_the_journal_and_what_is_left_out_is_counted(void **state)
{
    struct audit *audit = audit_new(AUDIT_RECORDS);
    uint64_t now = 5 * SECOND;

    (void)state;
    for (int i = 0; i < 10000; i++) {
        assert_int_equal(decide(audit, now, 1000, false), 0);
    }
    assert_int_equal(read_all(audit), THROTTLE_BURST);
    assert_int_equal(audit_deadline(audit), now + THROTTLE_WINDOW_USEC);
    assert_int_equal(audit_flush(audit, now + THROTTLE_WINDOW_USEC - 1, false), 0);
    assert_int_equal(read_all(audit), 0);
    assert_int_equal(audit_deadline(audit), now + THROTTLE_WINDOW_USEC);

    assert_int_equal(audit_flush(audit, now + THROTTLE_WINDOW_USEC, false), 0);
    assert_int_equal(audit_deadline(audit), UINT64_MAX);
    assert_int_equal(read_all(audit), 1);
    assert_int_equal(record.left_out, 10000 - THROTTLE_BURST);
    assert_int_equal(record.uid, 1000);
    assert_false(record.decision.allow);

    /* And a new time begins. */
    assert_int_equal(decide(audit, now + THROTTLE_WINDOW_USEC, 1000, false), 0);
    assert_int_equal(read_all(audit), 1);
    assert_int_equal(record.left_out, 0);
    audit_free(audit);
}

static void one_client_hides_neither_another_nor_its_own_refusals(void **state)
{
    struct audit *audit = audit_new(AUDIT_RECORDS);

    (void)state;
    for (int i = 0; i < 10000; i++) {
        (void)decide(audit, 1, 1000, true);
    }
    assert_int_equal(read_all(audit), THROTTLE_BURST);
    (void)decide(audit, 2, 1000, false);
    assert_int_equal(read_all(audit), 1);
    assert_false(record.decision.allow);
    (void)decide(audit, 2, 1001, true);
    assert_int_equal(read_all(audit), 1);
    assert_int_equal(record.uid, 1001);
    audit_free(audit);
}

static void at_the_end_all_that_was_left_out_is_told(void **state)
{
    struct audit *audit = audit_new(AUDIT_RECORDS);

    (void)state;
    for (int i = 0; i < THROTTLE_BURST + 5; i++) {
        (void)decide(audit, 1, 1000, true);
        (void)decide(audit, 1, 1000, false);
    }
    (void)read_all(audit);
    assert_int_equal(audit_flush(audit, 2, true), 0);
    assert_int_equal(read_all(audit), 2);
    assert_int_equal(record.left_out, 5);
    audit_free(audit);
}

static void a_reader_that_is_behind_costs_records_and_they_are_counted(void **state)
{
    struct audit *audit = audit_new(AUDIT_RECORDS);
    unsigned dropped = 0;

    (void)state;
    for (uid_t uid = 0; uid < AUDIT_RECORDS + 10; uid++) {
        dropped += (unsigned)decide(audit, uid * (uint64_t)THROTTLE_WINDOW_USEC, uid, true);
    }
    assert_int_equal(dropped, 10);
    assert_int_equal(read_all(audit), AUDIT_RECORDS);
    assert_int_equal(record.uid, AUDIT_RECORDS - 1);
    audit_free(audit);
}

static void many_users_at_once_are_bounded_too(void **state)
{
    struct audit *audit = audit_new(AUDIT_RECORDS);
    uint64_t told = 0;
    unsigned left_out = 0;

    (void)state;
    for (uid_t uid = 0; uid < 100000; uid++) {
        assert_int_equal(decide(audit, 1, uid, false), 0);
        while (audit_read(audit, &record)) {
            told++;
        }
    }
    assert_true(told <= 2 * (THROTTLE_WINDOWS + THROTTLE_BURST));
    assert_int_equal(audit_flush(audit, 1 + THROTTLE_WINDOW_USEC, false), 0);
    while (audit_read(audit, &record)) {
        left_out++;
        told += record.left_out;
        assert_int_equal(record.uid, AUDIT_UNKNOWN);
    }
    assert_int_equal(left_out, 2); /* of uids that are handed out one by one, and by the range */
    assert_int_equal(told, 100000);
    audit_free(audit);
}

static void one_user_with_many_uids_does_not_hide_others(void **state)
{
    struct audit *audit = audit_new(AUDIT_RECORDS);

    (void)state;
    for (uid_t uid = 100000; uid < 165536; uid++) {
        (void)decide(audit, 1, uid, false);
        (void)read_all(audit);
    }
    for (uid_t uid = 1000; uid < 1050; uid++) {
        (void)decide(audit, 2, uid, false);
        assert_int_equal(read_all(audit), 1);
        assert_int_equal(record.uid, uid);
    }
    audit_free(audit);
}

static void what_is_left_out_is_told_by_verdict_and_role(void **state)
{
    struct audit *audit = audit_new(AUDIT_RECORDS);
    uint64_t left_out[2][2] = {{0}};

    (void)state;
    for (uid_t uid = 0; uid < 20000; uid++) {
        peer.identity = (struct identity){.has_uid = true, .uid = uid};
        for (int kind = 0; kind < 4; kind++) {
            (void)audit_decision(audit, 1, kind / 2 ? ROLE_WHOAMI : ROLE_AUTH, SOCK_STREAM, &peer,
                                 (struct policy_decision){.allow = kind % 2});
            (void)read_all(audit);
        }
    }
    (void)audit_flush(audit, 2, true);
    while (audit_read(audit, &record)) {
        left_out[record.role == ROLE_WHOAMI][record.decision.allow] += record.left_out;
    }
    for (int kind = 0; kind < 4; kind++) {
        assert_true(left_out[kind / 2][kind % 2] > 19000 && left_out[kind / 2][kind % 2] < 20000);
    }
    audit_free(audit);
}

static void a_count_waits_until_the_reader_has_room_for_it(void **state)
{
    struct audit *audit = audit_new(AUDIT_RECORDS);
    uint64_t later = 1 + THROTTLE_WINDOW_USEC;

    (void)state;
    for (int i = 0; i < THROTTLE_BURST + 7; i++) {
        (void)decide(audit, 1, 1000, false);
    }
    (void)read_all(audit);
    for (uid_t uid = 0; uid < AUDIT_RECORDS; uid++) {
        (void)decide(audit, uid * (uint64_t)THROTTLE_WINDOW_USEC, uid + 70000, true);
    }
    assert_int_equal(audit_flush(audit, later, false), 0);
    assert_int_equal(audit_deadline(audit), later + THROTTLE_RETRY_USEC);
    assert_int_equal(read_all(audit), AUDIT_RECORDS);
    assert_int_equal(audit_flush(audit, later + THROTTLE_RETRY_USEC, false), 0);
    assert_int_equal(read_all(audit), 1);
    assert_int_equal(record.left_out, 7);
    audit_free(audit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_decision_is_read_as_it_was_written),
        cmocka_unit_test(what_is_absent_is_not_in_the_record),
        cmocka_unit_test(a_client_cannot_fill_the_journal_and_what_is_left_out_is_counted),
        cmocka_unit_test(one_client_hides_neither_another_nor_its_own_refusals),
        cmocka_unit_test(at_the_end_all_that_was_left_out_is_told),
        cmocka_unit_test(a_reader_that_is_behind_costs_records_and_they_are_counted),
        cmocka_unit_test(many_users_at_once_are_bounded_too),
        cmocka_unit_test(one_user_with_many_uids_does_not_hide_others),
        cmocka_unit_test(what_is_left_out_is_told_by_verdict_and_role),
        cmocka_unit_test(a_count_waits_until_the_reader_has_room_for_it),
    };

    return cmocka_run_group_tests_name("audit", tests, NULL, NULL);
}
