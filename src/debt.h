// SPDX-License-Identifier: MIT
#pragma once

/*
 * Debts of a datagram socket: replies that could not be sent because the sender does not read.
 *
 * A datagram sender cannot be held back alone, so what is owed to it waits here, in order, within a
 * bound for each sender and one for all; beyond these a reply is dropped, and counted by the
 * caller. The kernel has no event that tells when one peer of an unconnected socket has room again,
 * and a helper socket that could be connected to it may be in another network namespace than the
 * peer's abstract address (PrivateNetwork=). So each debtor is tried again after a while, soon at
 * first and more and more rarely as long as it takes nothing.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum {
    DEBT_DATAGRAMS_PER_SENDER = 1024,
    DEBT_BYTES_PER_SENDER = 8 * 1024 * 1024, /* the first reply owed may be larger */
    DEBT_SENDERS = 1024,
    DEBT_BYTES = 64 * 1024 * 1024,
    DEBT_RETRY_USEC_MIN = 50,
    DEBT_RETRY_USEC_MAX = 50 * 1000,
};

struct debtor;

struct debts {
    void *by_address; /* tsearch(3) */
    struct debtor *debtors;
    size_t senders;
    size_t datagrams;
    size_t bytes;
    uint64_t retry_at; /* CLOCK_MONOTONIC in microseconds; UINT64_MAX without debts */
};

void debts_init(struct debts *debts);
void debts_deinit(struct debts *debts);

/* Whether a reply to this address has to wait behind others. */
bool debts_owed_to(const struct debts *debts, const struct sockaddr *address, socklen_t size);

/*
 * Owes LENGTH bytes at DATA to ADDRESS; NOW is CLOCK_MONOTONIC in microseconds. Returns 0, -ENOBUFS
 * beyond a bound, or -ENOMEM; nothing is kept if it fails.
 */
int debts_add(struct debts *debts, const struct sockaddr *address, socklen_t size, const void *data,
              size_t length, uint64_t now);

/*
 * Sends one reply. Returns 0 if it is settled, whether it was sent or can never be; -EAGAIN if it
 * must wait on.
 */
typedef int (*debts_send)(void *context, const struct sockaddr *address, socklen_t size,
                          const void *data, size_t length);

/* Tries every debtor whose time has come. */
void debts_pay(struct debts *debts, uint64_t now, debts_send send, void *context);
