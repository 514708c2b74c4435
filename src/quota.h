// SPDX-License-Identifier: MIT
#pragma once

/*
 * What each user holds. All that a client can make the daemon keep is counted here, on the uid that
 * the kernel says is its own, and bounded: connections, bytes that it has not read, datagrams that
 * it has not read, addresses to which these are owed. So a user who is at a limit, by whatever
 * means, stands in nobody's way but his own.
 *
 * Users whom the kernel does not name share an account: those who are not mapped in this user
 * namespace, and whoever comes over a network. Root is bounded as everybody is, but of the places
 * for connections some are for root alone: who wants to see what is the matter gets in.
 *
 * An account exists as long as somebody holds it. It is looked up when a connection comes or goes,
 * or a debtor does, under a lock that is held for nothing else; what it counts for messages is
 * atomic.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    QUOTA_ROOT_SHARE = 16,          /* a sixteenth of the places is root's */
    QUOTA_USER_SHARE = 3,           /* by itself a user has a third of them at most, */
    QUOTA_USER_CONNECTIONS = 16,    /* but so many if there are */
    QUOTA_CONNECTION_BYTES = 4096,  /* by itself a user may owe so many for each of these, */
    QUOTA_USER_BYTES = 1024 * 1024, /* but at least so many in all */
    QUOTA_USER_DATAGRAMS = 16 * 1024,
    QUOTA_USER_DATAGRAM_BYTES = 16 * 1024 * 1024, /* at most; a fourth of what a socket may owe */
    QUOTA_USER_ADDRESSES = 256,
};

struct quota_limits {
    uint64_t connections; /* of all users */
    uint64_t connections_per_user;
    uint64_t bytes_per_user;
    uint64_t datagrams_per_user;
    uint64_t addresses_per_user;
};

struct quota;

/* What one user holds. */
struct account {
    struct quota *quota;
    uid_t uid;
    uint64_t short_of;      /* bytes, see account_is_short() */
    size_t holders;         /* under the lock, as the next */
    uint64_t connections;   /* connections */
    _Atomic uint64_t bytes; /* that wait to be read: in the daemon's memory, or beyond SO_SNDBUF */
    _Atomic uint64_t datagrams;      /* of these, */
    _Atomic uint64_t datagram_bytes; /* and their bytes */
    _Atomic uint64_t addresses;      /* to which these are owed */
};

/*
 * The limits where some are not given, which are 0: connections_per_user from CONNECTIONS, which is
 * how many there is room for, and bytes_per_user from that.
 */
struct quota_limits quota_limits_complete(struct quota_limits limits, uint64_t connections);

/* Returns NULL if there is no memory. quota_free() takes NULL; nobody may hold an account then. */
struct quota *quota_new(struct quota_limits limits);
void quota_free(struct quota *quota);

/*
 * Takes one of the places for connections on the account of UID, which is held from then on and
 * goes to RET. Returns 0, -EUSERS if there is no place, -EDQUOT if this user has no more, or
 * -ENOMEM.
 */
int quota_enter(struct quota *quota, uid_t uid, struct account **ret);

/* What quota_enter() would return now, but takes nothing. */
int quota_check(struct quota *quota, uid_t uid);

/* Gives the place back, and lets go of the account. */
void quota_leave(struct account *account);

/* How many places are taken. */
uint64_t quota_connections(const struct quota *quota);

/* Holds the account of UID, and lets go of it. Returns NULL if there is no memory. */
struct account *account_hold(struct quota *quota, uid_t uid);
void account_release(struct account *account);

/*
 * Of connections. Who has much unread already is given nothing more to hold, if it can be helped:
 * account_is_short() says when. What cannot be helped is always taken, so there may be one message
 * more for each worker.
 */
void account_owe(struct account *account, size_t bytes);
void account_settle(struct account *account, size_t bytes);
static inline bool account_is_short(const struct account *account)
{
    return atomic_load_explicit(&account->bytes, memory_order_relaxed) >= account->short_of;
}

/* Whether it is, and that will change: who has nothing unread has to be given something. */
static inline bool account_has_to_wait(const struct account *account)
{
    return account_is_short(account) &&
           atomic_load_explicit(&account->bytes, memory_order_relaxed) > 0;
}

/* Of datagrams: returns whether the account takes one of BYTES, or one more address. One that was
 * taken before, by another process, is always taken. */
bool account_owe_datagram(struct account *account, size_t bytes);
void account_adopt_datagram(struct account *account, size_t bytes);
void account_settle_datagram(struct account *account, size_t bytes);
bool account_add_address(struct account *account);
void account_drop_address(struct account *account);
