// SPDX-License-Identifier: MIT
#pragma once

/*
 * The data plane, one of its threads: an epoll set that serves sockets. It never blocks, never
 * logs, looks nothing up. What it shares with other workers is in common.h; the control plane
 * speaks to all of them together (workers.h), and nobody else speaks to this.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "activation.h"
#include "audit.h"
#include "busy_poll.h"
#include "common.h"
#include "counters.h"
#include "policy.h"

struct worker;

struct worker_config {
    const struct activated *sockets; /* the descriptors stay the caller's, but for connected ones */
    size_t n_sockets;
    struct common *common; /* of all workers; what is common to them is set up one by one */
    size_t index;          /* this one's place there */
    int event_fd;          /* an eventfd of the caller's that says: look at the workers */
    struct busy_poll_option busy_poll;
    uint64_t exit_idle_usec;
    uint64_t idle_usec;    /* when a connection is closed */
    struct policy *policy; /* for the roles that take one, or NULL */
};

/*
 * Makes a worker, which serves nothing before it is started: all that listens, its share of the
 * datagram sockets, and the first one also connections that were passed. Both return 0 or a
 * negative errno. The thread has the caller's signal mask.
 */
int worker_new(const struct worker_config *config, struct worker **ret);
int worker_start(struct worker *worker);

/* Waits until the thread has ended, if it was started. All workers have to have ended before the
 * first is freed. */
void worker_join(struct worker *worker);
void worker_free(struct worker *worker);

/*
 * Asks the worker to take nothing new on, to send out what has been taken from clients, and to
 * stop. Clients that do not read keep it for a few seconds at most.
 */
void worker_drain(struct worker *worker);

/*
 * How a worker and the control plane come to agree on the end of those that are idle. A worker that
 * has been idle for exit_idle_usec says so, and no more than that: others may be at work, and the
 * next client may come to this one.
 */
enum worker_state {
    WORKER_SERVING,
    WORKER_IDLE,    /* nobody connected and nothing owed, for exit_idle_usec */
    WORKER_HELD,    /* takes nothing new, and is idle still: it may go */
    WORKER_BUSY,    /* takes nothing new, but is not idle */
    WORKER_STOPPED, /* everything that it took on is settled, or was dropped and counted */
};

enum worker_order {
    WORKER_SERVE, /* as from the beginning */
    WORKER_HOLD,  /* leave in the kernel what arrives, become WORKER_HELD or WORKER_BUSY */
    WORKER_LEAVE, /* for those that are held: become WORKER_STOPPED */
};

enum worker_state worker_state(const struct worker *worker);
void worker_order(struct worker *worker, enum worker_order order);

/*
 * Has the worker, which was made with a policy, put POLICY in force, which it takes over.
 * worker_policies() tells how many it has put in force so since the start; one that is overtaken by
 * the next before the worker has come to it is none.
 */
void worker_set_policy(struct worker *worker, struct policy *policy);
uint64_t worker_policies(const struct worker *worker);

/* Takes out the oldest record of what was decided on a client. Returns whether there was one. */
bool worker_read_audit(struct worker *worker, struct audit_record *record);

/* Asks for one event as soon as the worker has something to do. */
void worker_ask_activity(struct worker *worker);

const struct counters *worker_counters(const struct worker *worker);
