// SPDX-License-Identifier: MIT
#include "unit.h"

#include <errno.h>
#include <pthread.h>

#include "quota.h"

enum { ALICE = 1001, BOB = 1002, ROOT = 0 };

static struct quota *quota_of(struct quota_limits limits)
{
    struct quota *quota = quota_new(quota_limits_complete(limits, 1000));

    assert_non_null(quota);
    return quota;
}

static void a_user_has_a_third_of_the_places_by_itself(void **state)
{
    struct quota_limits limits = quota_limits_complete((struct quota_limits){0}, 12000);

    (void)state;
    assert_int_equal(limits.connections, 12000);
    assert_int_equal(limits.connections_per_user, 4000);
    assert_int_equal(limits.bytes_per_user, 4000 * 4096);
    assert_true(limits.datagrams_per_user > 0);
    assert_true(limits.addresses_per_user > 0);
}

static void where_there_are_few_places_a_user_still_gets_some(void **state)
{
    struct quota_limits limits =
        quota_limits_complete((struct quota_limits){.connections = 3}, 16000);

    (void)state;
    assert_int_equal(limits.connections_per_user, 3);
    assert_int_equal(limits.bytes_per_user, 1024 * 1024);
    limits = quota_limits_complete((struct quota_limits){0}, 40);
    assert_int_equal(limits.connections_per_user, 16);
}

static void what_is_given_is_kept(void **state)
{
    struct quota_limits limits = quota_limits_complete(
        (struct quota_limits){
            .connections = 5000, .connections_per_user = 4999, .bytes_per_user = 7},
        1000);

    (void)state;
    assert_int_equal(limits.connections, 5000);
    assert_int_equal(limits.connections_per_user, 4999);
    assert_int_equal(limits.bytes_per_user, 7);
}

static void one_user_at_the_limit_leaves_others_their_places(void **state)
{
    struct quota *quota = quota_of((struct quota_limits){.connections_per_user = 2});
    struct account *alice[2];
    struct account *bob = NULL;
    struct account *none = NULL;

    (void)state;
    assert_int_equal(quota_enter(quota, ALICE, &alice[0]), 0);
    assert_int_equal(quota_enter(quota, ALICE, &alice[1]), 0);
    assert_ptr_equal(alice[0], alice[1]);
    assert_int_equal(quota_enter(quota, ALICE, &none), -EDQUOT);
    assert_null(none);
    assert_int_equal(quota_enter(quota, BOB, &bob), 0);
    assert_int_equal(quota_connections(quota), 3);

    quota_leave(alice[0]);
    assert_int_equal(quota_enter(quota, ALICE, &alice[0]), 0);
    quota_leave(alice[0]);
    quota_leave(alice[1]);
    quota_leave(bob);
    assert_int_equal(quota_connections(quota), 0);
    quota_free(quota);
}

static void root_has_places_of_its_own_and_no_more_than_its_share(void **state)
{
    struct quota *quota =
        quota_of((struct quota_limits){.connections = 32, .connections_per_user = 30});
    struct account *accounts[32];
    struct account *none = NULL;
    size_t n = 0;

    (void)state;
    while (n < 30) {
        assert_int_equal(quota_enter(quota, n < 29 ? ALICE : BOB, &accounts[n]), 0);
        n++;
    }
    assert_int_equal(quota_enter(quota, BOB, &none), -EUSERS);
    assert_int_equal(quota_enter(quota, ROOT, &accounts[n++]), 0);
    assert_int_equal(quota_enter(quota, ROOT, &accounts[n++]), 0);
    assert_int_equal(quota_enter(quota, ROOT, &none), -EUSERS);
    while (n > 0) {
        quota_leave(accounts[--n]);
    }
    /* It has no more than others have. */
    for (n = 0; n < 30; n++) {
        assert_int_equal(quota_enter(quota, ROOT, &accounts[n]), 0);
    }
    assert_int_equal(quota_enter(quota, ROOT, &none), -EDQUOT);
    while (n > 0) {
        quota_leave(accounts[--n]);
    }
    quota_free(quota);
}

static void who_has_much_unread_is_short(void **state)
{
    struct quota *quota = quota_of((struct quota_limits){.bytes_per_user = 1000});
    struct account *alice = account_hold(quota, ALICE);
    struct account *bob = account_hold(quota, BOB);

    (void)state;
    account_owe(alice, 499);
    assert_false(account_is_short(alice));
    account_owe(alice, 2000); /* what cannot be helped */
    assert_true(account_is_short(alice));
    assert_false(account_is_short(bob));
    account_settle(alice, 2000);
    assert_false(account_is_short(alice));
    account_settle(alice, 499);
    account_release(alice);
    account_release(bob);
    quota_free(quota);
}

static void datagrams_are_bounded_in_number_bytes_and_addresses(void **state)
{
    struct quota *quota = quota_of((struct quota_limits){
        .bytes_per_user = 1000, .datagrams_per_user = 3, .addresses_per_user = 1});
    struct account *alice = account_hold(quota, ALICE);

    (void)state;
    assert_true(account_add_address(alice));
    assert_false(account_add_address(alice));
    assert_true(account_owe_datagram(alice, 999));
    assert_false(account_owe_datagram(alice, 2));
    assert_true(account_owe_datagram(alice, 1));
    assert_true(account_owe_datagram(alice, 0));
    assert_false(account_owe_datagram(alice, 0));
    account_settle_datagram(alice, 999);
    assert_true(account_owe_datagram(alice, 999));
    account_settle_datagram(alice, 999);
    account_settle_datagram(alice, 1);
    account_settle_datagram(alice, 0);
    account_drop_address(alice);
    assert_true(account_add_address(alice));
    account_drop_address(alice);
    account_release(alice);
    quota_free(quota);
}

static void datagrams_are_bounded_also_where_much_else_is_not(void **state)
{
    struct quota *quota =
        quota_of((struct quota_limits){.bytes_per_user = 1024 * (uint64_t)QUOTA_USER_BYTES});
    struct account *alice = account_hold(quota, ALICE);

    (void)state;
    assert_true(account_owe_datagram(alice, QUOTA_USER_DATAGRAM_BYTES));
    assert_false(account_owe_datagram(alice, 1));
    account_owe(alice, 1);
    account_settle(alice, 1);
    account_settle_datagram(alice, QUOTA_USER_DATAGRAM_BYTES);
    assert_true(account_owe_datagram(alice, 1));
    account_settle_datagram(alice, 1);
    account_release(alice);
    quota_free(quota);
}

enum { THREADS = 4, ROUNDS = 20000 };

struct crowd {
    struct quota *quota;
    _Atomic uint64_t inside;
    _Atomic uint64_t most;
    _Atomic uint64_t refused;
    _Atomic uid_t next;
};

static void *come_and_go(void *argument)
{
    struct crowd *crowd = argument;
    uid_t uid = atomic_fetch_add(&crowd->next, 1);

    for (int i = 0; i < ROUNDS; i++) {
        uint64_t inside;
        uint64_t most = atomic_load(&crowd->most);
        struct account *account = NULL;
        if (quota_enter(crowd->quota, uid / 2, &account) < 0) {
            atomic_fetch_add(&crowd->refused, 1);
            continue;
        }
        inside = atomic_fetch_add(&crowd->inside, 1) + 1;
        while (inside > most && !atomic_compare_exchange_weak(&crowd->most, &most, inside)) {
        }
        atomic_fetch_sub(&crowd->inside, 1);
        quota_leave(account);
    }
    return NULL;
}

static void threads_never_take_more_places_than_there_are(void **state)
{
    struct crowd crowd = {.quota = quota_of((struct quota_limits){.connections = THREADS - 1})};
    pthread_t threads[THREADS];

    (void)state;
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, &crowd), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_in_range(atomic_load(&crowd.most), 1, THREADS - 1);
    assert_int_equal(quota_connections(crowd.quota), 0);
    quota_free(crowd.quota); /* which asserts that no account is left */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_user_has_a_third_of_the_places_by_itself),
        cmocka_unit_test(where_there_are_few_places_a_user_still_gets_some),
        cmocka_unit_test(what_is_given_is_kept),
        cmocka_unit_test(one_user_at_the_limit_leaves_others_their_places),
        cmocka_unit_test(root_has_places_of_its_own_and_no_more_than_its_share),
        cmocka_unit_test(who_has_much_unread_is_short),
        cmocka_unit_test(datagrams_are_bounded_in_number_bytes_and_addresses),
        cmocka_unit_test(datagrams_are_bounded_also_where_much_else_is_not),
        cmocka_unit_test(threads_never_take_more_places_than_there_are),
    };

    return cmocka_run_group_tests_name("quota", tests, NULL, NULL);
}
