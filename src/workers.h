// SPDX-License-Identifier: MIT
#pragma once

/*
 * The data plane as a whole: workers that share nothing but what is in common.h. Each watches all
 * listening sockets, and the kernel wakes one for each connection that comes; that one serves it to
 * its end. Datagram sockets go from hand to hand (datagrams.h).
 *
 * The control plane speaks to the data plane through the functions here, and hears of it through
 * one descriptor.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "activation.h"
#include "audit.h"
#include "busy_poll.h"
#include "counters.h"
#include "policy.h"
#include "quota.h"

enum { WORKERS_MAX = 256 };

struct workers;
struct worker;

struct workers_config {
    size_t n;                        /* at most; fewer if there is nothing for so many to do */
    const struct activated *sockets; /* the descriptors stay the caller's, but for connected ones */
    size_t n_sockets;
    struct quota_limits limits;
    uint64_t connections_fit; /* more wait until there are descriptors for them */
    struct busy_poll_option busy_poll;
    uint64_t exit_idle_usec; /* stop after this long with nobody connected and nothing owed */
    uint64_t idle_usec;      /* close a connection on which nothing has moved for this long */
    struct policy *policy;   /* for the roles that take one; the workers' from then on, also if
                                workers_new() fails. Or NULL */
};

/* How many there are to be where nobody says a number. */
size_t workers_auto(void);

/* How many of at most N there are for SOCKETS. */
size_t workers_for(size_t n, const struct activated *sockets, size_t n_sockets);

/*
 * Makes the workers, which serve nothing before they are started. The descriptors that others need
 * have to be open by then: clients may take all the rest. Both return 0 or a negative errno. The
 * threads have the caller's signal mask. workers_free() ends them if they still run.
 */
int workers_new(const struct workers_config *config, struct workers **ret);
int workers_start(struct workers *workers);
void workers_free(struct workers *workers);

/*
 * Asks the workers to take nothing new on, to send out what has been taken from clients, and to
 * stop. Clients that do not read keep them for a few seconds at most.
 */
void workers_drain(struct workers *workers);

/*
 * Has the workers stop as they are and keep what they hold, for those who look at workers_get():
 * when all have stopped, and workers_join() has waited for their last word. From then on they may
 * be started again, to serve or, after workers_drain(), to come to an end; workers_resume() is to
 * be called before if they are to take on what is new.
 */
void workers_yield(struct workers *workers);
void workers_join(struct workers *workers);
void workers_resume(struct workers *workers);

/* NULL if there are no more than INDEX. */
struct worker *workers_get(const struct workers *workers, size_t index);

/* Asks each worker to go round its loop; and whether all have, since they were last asked. */
void workers_ask_round(struct workers *workers);
bool workers_went_round(const struct workers *workers);

/*
 * Has the workers, which were made with a policy, put POLICY in force, which they take over.
 * workers_policies() tells how many have come into force everywhere since the start; the one before
 * has to, before the next is set.
 */
void workers_set_policy(struct workers *workers, struct policy *policy);
uint64_t workers_policies(const struct workers *workers);

/* Takes out a record of what was decided on a client. Returns whether there was one. */
bool workers_read_audit(struct workers *workers, struct audit_record *record);

/*
 * Becomes readable when a worker is idle or has stopped, has put a policy in force, has written to
 * the audit, or has done something after workers_ask_activity(). Then workers_take_event() is to be
 * called, which has the workers stop if all of them are idle.
 */
int workers_event_fd(const struct workers *workers);
void workers_take_event(struct workers *workers);

/* Whether all have stopped: everything that was taken on is settled, or was dropped and counted, or
 * is kept as workers_yield() says. */
bool workers_stopped(const struct workers *workers);

/* Asks for an event as soon as a worker has something to do. */
void workers_ask_activity(struct workers *workers);

/* What all have counted together. */
void workers_count(const struct workers *workers, struct counters *ret);
