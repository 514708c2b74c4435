// SPDX-License-Identifier: MIT
#pragma once

/*
 * The data plane: a thread with an epoll set that serves sockets. It never blocks, never logs,
 * looks nothing up; the control plane speaks to it through the few functions here and hears of it
 * through one descriptor.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "activation.h"
#include "audit.h"
#include "busy_poll.h"
#include "counters.h"
#include "policy.h"

struct worker;

struct worker_config {
    const struct activated *sockets; /* the descriptors stay the caller's, but for connected ones */
    size_t n_sockets;
    uint64_t connections_max; /* more are refused */
    uint64_t connections_fit; /* more wait until there are descriptors for them */
    struct busy_poll_option busy_poll;
    uint64_t exit_idle_usec; /* stop after this long with nobody connected and nothing owed */
    struct policy *policy;   /* for the roles that take one; the worker's from then on, also if
                                worker_new() fails. Or NULL */
};

/*
 * Makes a worker, which serves nothing before it is started. The descriptors that others need have
 * to be open by then: clients may take all the rest. Both return 0 or a negative errno. The thread
 * has the caller's signal mask. worker_free() ends it if it still runs.
 */
int worker_new(const struct worker_config *config, struct worker **ret);
int worker_start(struct worker *worker);
void worker_free(struct worker *worker);

/*
 * Asks the worker to take nothing new on, to send out what has been taken from clients, and to
 * stop. Clients that do not read keep it for a few seconds at most.
 */
void worker_drain(struct worker *worker);

/*
 * Has the worker, which was made with a policy, put POLICY in force, which it takes over.
 * worker_policies() tells how many it has put in force so since the start.
 */
void worker_set_policy(struct worker *worker, struct policy *policy);
uint64_t worker_policies(const struct worker *worker);

/* Takes out the oldest record of what was decided on a client. Returns whether there was one. */
bool worker_read_audit(struct worker *worker, struct audit_record *record);

/*
 * Becomes readable when the worker has stopped, has put a policy in force, has written to the
 * audit, or has done something after worker_ask_activity().
 */
int worker_event_fd(const struct worker *worker);
void worker_clear_event(struct worker *worker);

/* Whether the worker has stopped: everything that it took on is settled, or was dropped and
 * counted. */
bool worker_stopped(const struct worker *worker);

/* Asks for one event as soon as the worker has something to do. */
void worker_ask_activity(struct worker *worker);

const struct counters *worker_counters(const struct worker *worker);
