// SPDX-License-Identifier: MIT
#pragma once

/*
 * What was decided on whom, on its way from a worker, which must not log, to the control plane,
 * which does: a ring of records with one writer and one reader.
 *
 * A client can bring about decisions as fast as it can connect, so what goes into the ring is
 * throttled (throttle.h). That bounds each worker; the control plane throttles what it gets from
 * all of them once more (decisions.h), so that the journal's bound does not depend on their number.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "activation.h"
#include "peer.h"
#include "throttle.h"

enum {
    AUDIT_RECORDS = 512,     /* that wait for the reader, in all rings together */
    AUDIT_RECORDS_MIN = 128, /* in one: more than a burst */
};

/* How many of AUDIT_RECORDS there are for each of N workers. */
static inline size_t audit_share(size_t n)
{
    return n < AUDIT_RECORDS / AUDIT_RECORDS_MIN ? AUDIT_RECORDS / n : AUDIT_RECORDS_MIN;
}

/* For a uid or gid, one that is not known. */
#define AUDIT_UNKNOWN THROTTLE_UNKNOWN

struct audit_record {
    uint64_t
        left_out; /* 0: a decision. Else: so many were left out, on this uid with this verdict */
    enum role role;
    int type; /* of the socket, SOCK_… */
    struct policy_decision decision;
    uid_t uid;
    gid_t gid;
    pid_t pid;                  /* 0: not known */
    char unit[PEER_UNIT_MAX];   /* empty: not known, as */
    char label[PEER_LABEL_MAX]; /* this */
};

struct audit;

/* With room for RECORDS. NULL if there is no memory; audit_free() takes NULL. */
struct audit *audit_new(size_t records);
void audit_free(struct audit *audit);

/*
 * For the worker. NOW is CLOCK_MONOTONIC in microseconds. Both return how many decisions had to be
 * forgotten because the reader is behind.
 */
uint64_t audit_decision(struct audit *audit, uint64_t now, enum role role, int type,
                        const struct peer *peer, struct policy_decision decision);

/* Writes how many decisions were left out where the time is over; FINAL: everywhere. */
uint64_t audit_flush(struct audit *audit, uint64_t now, bool final);

/* When audit_flush() has to be called, CLOCK_MONOTONIC; UINT64_MAX if nothing was left out. */
uint64_t audit_deadline(const struct audit *audit);

/* Whether something was written since this was last asked: the reader wants to know. */
bool audit_has_news(struct audit *audit);

/* For the control plane: takes the oldest record out. Returns whether there was one. */
bool audit_read(struct audit *audit, struct audit_record *record);
