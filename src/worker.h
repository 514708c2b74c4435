// SPDX-License-Identifier: MIT
#pragma once

/*
 * The data plane, one of its threads: an epoll set that serves sockets. It never waits but for
 * events, never logs, looks nothing up but the way back to a datagram's sender whose address is a
 * path (sender.h). What it shares with other workers is in common.h; the control plane
 * speaks to all of them together (workers.h), by what each finds in its orders (orders.h).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "activation.h"
#include "audit.h"
#include "busy_poll.h"
#include "common.h"
#include "counters.h"
#include "datagrams.h"
#include "idle.h"
#include "orders.h"
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

/* The way to a worker, from any thread. */
struct orders *worker_orders(struct worker *worker);

/*
 * What a worker holds, for those who take it away or bring it while its thread does not run: after
 * WORKER_YIELD and worker_join(), or before worker_start(), which may follow again.
 */
struct loop *worker_loop(struct worker *worker);
struct datagrams *worker_datagrams(struct worker *worker);
struct idle *worker_idle(struct worker *worker);

/* Takes out the oldest record of what was decided on a client. Returns whether there was one. */
bool worker_read_audit(struct worker *worker, struct audit_record *record);

const struct counters *worker_counters(const struct worker *worker);
