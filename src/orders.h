// SPDX-License-Identifier: MIT
#pragma once

/*
 * Between the planes: what the control plane asks of one worker, and what that answers. Both sides
 * only leave word, and raise an event for the other to come and look; neither waits.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "loop.h"
#include "policy.h"

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
    WORKER_STOPPED, /* its thread is about to end */
};

enum worker_order {
    WORKER_SERVE, /* as from the beginning */
    WORKER_HOLD,  /* leave in the kernel what arrives, become WORKER_HELD or WORKER_BUSY */
    WORKER_LEAVE, /* for those that are held: become WORKER_STOPPED */
    WORKER_YIELD, /* stop as you are, and keep what you hold */
};

struct orders {
    struct watch watch;              /* an eventfd: look at what is asked for */
    int event_fd;                    /* the control plane's */
    _Atomic(struct policy *) policy; /* to be put in force, or NULL */
    _Atomic uint64_t policies;       /* how many have been */
    _Atomic uint64_t rounds_asked;
    _Atomic uint64_t rounds_done;
    _Atomic enum worker_order order;
    _Atomic enum worker_state state;
    atomic_bool drain;
    atomic_bool activity;
};

/* READY is called in LOOP when there is something to look at. Returns 0 or a negative errno;
 * orders_deinit() is right after either. */
int orders_init(struct orders *orders, struct loop *loop, int event_fd,
                void (*ready)(struct loop *loop, struct watch *watch, uint32_t events));
void orders_deinit(struct orders *orders);

/* --- For the control plane. --- */

enum worker_state orders_state(const struct orders *orders);
void orders_give(struct orders *orders, enum worker_order order);

/*
 * Asks the worker to take nothing new on, to send out what has been taken from clients, and to
 * stop. Clients that do not read keep it for a few seconds at most.
 */
void orders_drain(struct orders *orders);

/*
 * Has the worker, which was made with a policy, put POLICY in force, which it takes over.
 * orders_policies() tells how many it has put in force so since the start; one that is overtaken by
 * the next before the worker has come to it is none.
 */
void orders_set_policy(struct orders *orders, struct policy *policy);
uint64_t orders_policies(const struct orders *orders);

/* Asks for one event as soon as the worker has something to do. */
void orders_ask_activity(struct orders *orders);

/* Asks the worker to go round its loop; and whether it has, since the last time it was asked. */
void orders_ask_round(struct orders *orders);
bool orders_went_round(const struct orders *orders);

/* --- For the worker. --- */

/* Makes orders_policies() and orders_went_round() true. Returns a policy to be put in force, or
 * NULL. */
struct policy *orders_take(struct orders *orders);
void orders_report_policy(struct orders *orders);
void orders_say(struct orders *orders, enum worker_state state);

/* To be called after each turn: something was done. */
static inline void orders_report_activity(struct orders *orders)
{
    if (atomic_load_explicit(&orders->activity, memory_order_relaxed)) {
        atomic_store(&orders->activity, false);
        event_raise(orders->event_fd);
    }
}
