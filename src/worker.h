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
#include "counters.h"

struct worker;

struct worker_config {
    const struct activated *sockets; /* the descriptors stay the caller's, but for connected ones */
    size_t n_sockets;
    uint64_t connections_max; /* more are refused */
    uint64_t connections_fit; /* more wait until there are descriptors for them */
    uint64_t exit_idle_usec;  /* stop after this long with nobody connected and nothing owed */
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

/* Becomes readable when the worker has stopped, or has done something after worker_ask_activity().
 */
int worker_event_fd(const struct worker *worker);
void worker_clear_event(struct worker *worker);

/* Whether the worker has stopped: everything that it took on is settled, or was dropped and
 * counted. */
bool worker_stopped(const struct worker *worker);

/* Asks for one event as soon as the worker has something to do. */
void worker_ask_activity(struct worker *worker);

const struct counters *worker_counters(const struct worker *worker);
