// SPDX-License-Identifier: MIT
#include "quota.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <search.h>
#include <stdlib.h>

struct quota {
    struct quota_limits limits;
    uint64_t reserve; /* places that are root's */
    pthread_mutex_t lock;
    void *accounts; /* tsearch(3), by uid */
    _Atomic uint64_t connections;
};

static uint64_t at_least(uint64_t value, uint64_t least)
{
    return value > least ? value : least;
}

static uint64_t at_most(uint64_t value, uint64_t most)
{
    return value < most ? value : most;
}

struct quota_limits quota_limits_complete(struct quota_limits limits, uint64_t connections)
{
    if (limits.connections == 0) {
        limits.connections = connections;
    }
    connections = at_most(connections, limits.connections);
    if (limits.connections_per_user == 0) {
        limits.connections_per_user =
            at_most(at_least(connections / QUOTA_USER_SHARE, QUOTA_USER_CONNECTIONS), connections);
    }
    if (limits.bytes_per_user == 0) {
        limits.bytes_per_user =
            at_least(at_most(limits.connections_per_user, connections) * QUOTA_CONNECTION_BYTES,
                     QUOTA_USER_BYTES);
    }
    if (limits.datagrams_per_user == 0) {
        limits.datagrams_per_user = QUOTA_USER_DATAGRAMS;
    }
    if (limits.addresses_per_user == 0) {
        limits.addresses_per_user = QUOTA_USER_ADDRESSES;
    }
    return limits;
}

struct quota *quota_new(struct quota_limits limits)
{
    struct quota *quota = calloc(1, sizeof(*quota));

    if (!quota) {
        return NULL;
    }
    quota->limits = limits;
    quota->reserve = limits.connections / QUOTA_ROOT_SHARE;
    if (pthread_mutex_init(&quota->lock, NULL) != 0) {
        free(quota);
        return NULL;
    }
    return quota;
}

void quota_free(struct quota *quota)
{
    if (!quota) {
        return;
    }
    assert(!quota->accounts);
    pthread_mutex_destroy(&quota->lock);
    free(quota);
}

static int compare(const void *a, const void *b)
{
    uid_t one = ((const struct account *)a)->uid;
    uid_t other = ((const struct account *)b)->uid;

    return one < other ? -1 : one > other;
}

/* Under the lock: the account of UID, which nobody may hold yet; NULL if there is no memory. */
static struct account *find_or_make(struct quota *quota, uid_t uid)
{
    const struct account wanted = {.uid = uid};
    struct account *const *found = tfind(&wanted, &quota->accounts, compare);
    struct account *account;

    if (found) {
        return *found;
    }
    account = calloc(1, sizeof(*account));
    if (!account) {
        return NULL;
    }
    account->quota = quota;
    account->uid = uid;
    account->short_of = quota->limits.bytes_per_user / 2;
    if (!tsearch(account, &quota->accounts, compare)) {
        free(account);
        return NULL;
    }
    return account;
}

/* Under the lock. */
static void forget_unheld(struct account *account)
{
    if (account->holders > 0) {
        return;
    }
    assert(account->connections == 0 && account->bytes == 0 && account->datagrams == 0 &&
           account->addresses == 0);
    tdelete(account, &account->quota->accounts, compare);
    free(account);
}

struct account *account_hold(struct quota *quota, uid_t uid)
{
    struct account *account;

    pthread_mutex_lock(&quota->lock);
    account = find_or_make(quota, uid);
    if (account) {
        account->holders++;
    }
    pthread_mutex_unlock(&quota->lock);
    return account;
}

void account_release(struct account *account)
{
    struct quota *quota = account->quota;

    pthread_mutex_lock(&quota->lock);
    account->holders--;
    forget_unheld(account);
    pthread_mutex_unlock(&quota->lock);
}

uint64_t quota_connections(const struct quota *quota)
{
    return atomic_load_explicit(&quota->connections, memory_order_relaxed);
}

/* Under the lock, which is why what it says holds until that is given back. */
static int find_place(const struct quota *quota, uid_t uid, uint64_t connections)
{
    uint64_t places = quota->limits.connections - (uid == 0 ? 0 : quota->reserve);

    if (quota_connections(quota) >= places) {
        return -EUSERS;
    }
    return connections >= quota->limits.connections_per_user ? -EDQUOT : 0;
}

static int take_place(struct account *account)
{
    struct quota *quota = account->quota;
    int r = find_place(quota, account->uid, account->connections);

    if (r < 0) {
        return r;
    }
    atomic_store_explicit(&quota->connections, quota_connections(quota) + 1, memory_order_relaxed);
    account->connections++;
    account->holders++;
    return 0;
}

int quota_enter(struct quota *quota, uid_t uid, struct account **ret)
{
    struct account *account;
    int r = -ENOMEM;

    pthread_mutex_lock(&quota->lock);
    account = find_or_make(quota, uid);
    if (account) {
        r = take_place(account);
        forget_unheld(account);
    }
    pthread_mutex_unlock(&quota->lock);
    if (r == 0) {
        *ret = account;
    }
    return r;
}

int quota_check(struct quota *quota, uid_t uid)
{
    const struct account wanted = {.uid = uid};
    struct account *const *found;
    int r;

    pthread_mutex_lock(&quota->lock);
    found = tfind(&wanted, &quota->accounts, compare);
    r = find_place(quota, uid, found ? (*found)->connections : 0);
    pthread_mutex_unlock(&quota->lock);
    return r;
}

void quota_leave(struct account *account)
{
    struct quota *quota = account->quota;

    pthread_mutex_lock(&quota->lock);
    account->connections--;
    account->holders--;
    atomic_store_explicit(&quota->connections, quota_connections(quota) - 1, memory_order_relaxed);
    forget_unheld(account);
    pthread_mutex_unlock(&quota->lock);
}

static uint64_t get(const _Atomic uint64_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

static void add(_Atomic uint64_t *value, uint64_t more)
{
    atomic_fetch_add_explicit(value, more, memory_order_relaxed);
}

static void subtract(_Atomic uint64_t *value, uint64_t less)
{
    atomic_fetch_sub_explicit(value, less, memory_order_relaxed);
}

/* Adds if that is no more than MAX then. Not added and taken back, which would refuse others. */
static bool add_within(_Atomic uint64_t *value, uint64_t more, uint64_t max)
{
    uint64_t before = get(value);

    do {
        if (before + more > max) {
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(value, &before, before + more,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

void account_owe(struct account *account, size_t bytes)
{
    add(&account->bytes, bytes);
}

void account_settle(struct account *account, size_t bytes)
{
    subtract(&account->bytes, bytes);
}

bool account_owe_datagram(struct account *account, size_t bytes)
{
    const struct quota_limits *limits = &account->quota->limits;

    if (!add_within(&account->datagrams, 1, limits->datagrams_per_user)) {
        return false;
    }
    if (add_within(&account->datagram_bytes, bytes, QUOTA_USER_DATAGRAM_BYTES)) {
        if (add_within(&account->bytes, bytes, limits->bytes_per_user)) {
            return true;
        }
        subtract(&account->datagram_bytes, bytes);
    }
    subtract(&account->datagrams, 1);
    return false;
}

void account_adopt_datagram(struct account *account, size_t bytes)
{
    add(&account->datagrams, 1);
    add(&account->datagram_bytes, bytes);
    add(&account->bytes, bytes);
}

void account_settle_datagram(struct account *account, size_t bytes)
{
    subtract(&account->datagrams, 1);
    subtract(&account->datagram_bytes, bytes);
    subtract(&account->bytes, bytes);
}

bool account_add_address(struct account *account)
{
    return add_within(&account->addresses, 1, account->quota->limits.addresses_per_user);
}

void account_drop_address(struct account *account)
{
    subtract(&account->addresses, 1);
}
