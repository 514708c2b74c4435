// SPDX-License-Identifier: MIT
#include "worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/epoll.h>

#include "acceptor.h"
#include "arrivals.h"
#include "connection.h"
#include "datagrams.h"
#include "gate.h"
#include "idle.h"
#include "util.h"

/* How long clients have, at the stop, to read what is owed to them. */
enum { DRAIN_USEC = 5 * 1000 * 1000 };

struct worker {
    struct loop loop;
    pthread_t thread;
    bool thread_runs;

    struct acceptors acceptors;
    struct datagrams datagrams;
    struct idle idle;
    uint64_t exit_idle_usec;
    uint64_t drain_until;
    bool nobody_comes;        /* after the connections that were passed */
    bool leaves;              /* it was told to, with nothing left to do, */
    bool yields;              /* or with all that it holds */
    enum worker_order obeyed; /* the last one */
    struct orders orders;
    int event_fd;
};

static bool is_idle(const struct worker *worker)
{
    return !worker->loop.connections && !worker->loop.farewells.first &&
           counter_get(&worker->loop.counters, COUNTER_OWED) == 0;
}

/* Writes to the audit what is due. */
static void keep_audit(struct worker *worker, bool final)
{
    if (worker->loop.gate && gate_keep_audit(worker->loop.gate, &worker->loop.counters, final)) {
        event_raise(worker->event_fd);
    }
}

/* When something has to be done though no event comes: CLOCK_MONOTONIC, or UINT64_MAX. */
static uint64_t next_deadline(const struct worker *worker)
{
    uint64_t until = worker->loop.draining ? worker->drain_until : worker->acceptors.resume_at;
    uint64_t datagrams = datagrams_deadline(&worker->datagrams);
    uint64_t farewells = farewell_deadline(&worker->loop.farewells);
    struct gate *gate = worker->loop.gate;

    until = datagrams < until ? datagrams : until;
    until = farewells < until ? farewells : until;
    if (worker->loop.stalled > 0 && worker->loop.stalled_until < until) {
        until = worker->loop.stalled_until;
    }
    return gate && gate_deadline(gate) < until ? gate_deadline(gate) : until;
}

static enum worker_state state_of(const struct worker *worker)
{
    return orders_state(&worker->orders);
}

static void say(struct worker *worker, enum worker_state state)
{
    orders_say(&worker->orders, state);
}

/* Waits for events and serves them. Returns how many there were. */
static int serve(struct worker *worker)
{
    uint64_t until = next_deadline(worker);
    bool idle = until == UINT64_MAX && is_idle(worker);
    uint64_t now = until != UINT64_MAX ? loop_now() : 0;
    uint64_t wait = until > now ? until - now : 0;
    int events;

    if (idle && state_of(worker) == WORKER_SERVING) {
        wait = worker->exit_idle_usec;
    }
    worker->loop.own_event = false;
    events = loop_turn(&worker->loop, wait);
    worker->loop.quiet &= !worker->loop.own_event || events > 1;
    if (idle && events == 0 && state_of(worker) == WORKER_SERVING) {
        say(worker, WORKER_IDLE);
    } else if (state_of(worker) == WORKER_IDLE &&
               (events > 1 || !worker->loop.own_event || !is_idle(worker))) {
        say(worker, WORKER_SERVING);
    }
    return events;
}

static void stop_taking(struct worker *worker)
{
    acceptors_stop(&worker->acceptors, &worker->loop);
    arrivals_close(&worker->loop);
    datagrams_pause(&worker->datagrams, &worker->loop);
}

/*
 * Does as it was told. After a turn, so that no event of what is not watched any more stands behind
 * this: what was not taken by now waits in the kernel. That is why there is no race with a client
 * that arrives while the worker leaves: systemd finds it there.
 */
static void obey(struct worker *worker)
{
    enum worker_order order = atomic_load(&worker->orders.order);

    if (order == worker->obeyed || worker->loop.draining) {
        return;
    }
    worker->obeyed = order;
    switch (order) {
    case WORKER_SERVE:
        arrivals_open(&worker->loop);
        acceptors_resume(&worker->acceptors, &worker->loop);
        datagrams_resume(&worker->datagrams, &worker->loop);
        say(worker, state_of(worker) == WORKER_HELD ? WORKER_IDLE : WORKER_SERVING);
        break;
    case WORKER_HOLD:
        stop_taking(worker);
        say(worker, state_of(worker) == WORKER_IDLE && is_idle(worker) &&
                            next_deadline(worker) == UINT64_MAX
                        ? WORKER_HELD
                        : WORKER_BUSY);
        break;
    case WORKER_LEAVE:
        worker->leaves = true;
        break;
    case WORKER_YIELD:
        stop_taking(worker);
        worker->yields = true;
        break;
    }
}

static void begin_drain(struct worker *worker)
{
    struct loop *loop = &worker->loop;

    loop->draining = true;
    worker->drain_until = loop_now() + DRAIN_USEC;
    stop_taking(worker);
    for (struct connection *connection = loop->connections; connection;
         connection = connection->next) {
        connection_drain(connection);
    }
}

static bool is_through(const struct worker *worker)
{
    if (worker->yields) {
        return true;
    }
    return worker->loop.draining ? is_idle(worker) || loop_now() >= worker->drain_until
                                 : worker->leaves || (worker->nobody_comes && is_idle(worker));
}

static void take_orders(struct loop *loop, struct watch *watch, uint32_t events)
{
    struct worker *worker = CONTAINER_OF(watch, struct worker, orders.watch);
    struct policy *policy = orders_take(&worker->orders);

    (void)events;
    loop->own_event = true;
    if (policy) {
        gate_set_policy(loop->gate, policy);
        orders_report_policy(&worker->orders);
    }
    arrivals_take(loop);
    datagrams_take(&worker->datagrams, loop);
    if (atomic_load(&worker->orders.drain) && !loop->draining) {
        begin_drain(worker);
    }
}

/* Lets go of all that clients have not taken, and counts it. */
static void drop_rest(struct worker *worker)
{
    struct loop *loop = &worker->loop;

    while (loop->connections) {
        counter_add(&loop->counters, COUNTER_UNFINISHED, 1);
        connection_free(loop, loop->connections);
    }
    farewell_end_all(loop);
    datagrams_drop(&worker->datagrams, loop);
}

/* What is to be done between two turns; the last one had EVENTS. */
static void tend(struct worker *worker, int events)
{
    struct loop *loop = &worker->loop;

    if (!loop->draining && worker->obeyed == WORKER_SERVE) {
        acceptors_regulate(&worker->acceptors, loop);
        if (loop->common->n > 1) {
            datagrams_share(&worker->datagrams, loop, events);
        }
    }
    datagrams_tend(&worker->datagrams, loop);
    idle_tend(&worker->idle, loop);
    if (loop->stalled > 0 && loop_now() >= loop->stalled_until) {
        connection_resume_next(loop);
    }
    if (loop->farewells.first) {
        farewell_end_due(loop, loop_now());
    }
    keep_audit(worker, false);
    orders_report_activity(&worker->orders);
}

static void *worker_run(void *argument)
{
    struct worker *worker = argument;
    char name[16]; /* as much as the kernel keeps */

    snprintf(name, sizeof(name), "worker-%zu", worker->loop.index);
    (void)pthread_setname_np(pthread_self(), name);
    idle_tend(&worker->idle, &worker->loop); /* of connections that were there before it ran */
    while (!is_through(worker)) {
        tend(worker, serve(worker));
        obey(worker);
    }
    if (!worker->yields) {
        drop_rest(worker);
    }
    keep_audit(worker, true);
    say(worker, WORKER_STOPPED);
    return NULL;
}

/* SOCKET is the one with the number NUMBER of its kind. */
static int add_socket(struct worker *worker, const struct activated *socket, size_t number)
{
    struct loop *loop = &worker->loop;

    if (socket->role != ROLE_ECHO && !loop->gate) {
        return -EINVAL;
    }
    switch (socket->kind) {
    case SOCKET_LISTENING:
        worker->nobody_comes = false;
        return acceptors_add(&worker->acceptors, loop, socket);
    case SOCKET_DATAGRAM:
        worker->nobody_comes = false;
        return number % loop->common->n != loop->index
                   ? 0
                   : datagrams_add(&worker->datagrams, loop, socket);
    case SOCKET_CONNECTED:
        if (loop->index > 0) {
            return 0;
        }
        arrivals_admit(loop, socket->role, socket->fd, socket->type);
        return 0;
    case SOCKET_HANDOVER:
        return 0;
    }
    return -EINVAL;
}

static int add_sockets(struct worker *worker, const struct worker_config *config)
{
    size_t counts[] = {[SOCKET_LISTENING] = 0,
                       [SOCKET_CONNECTED] = 0,
                       [SOCKET_DATAGRAM] = 0,
                       [SOCKET_HANDOVER] = 0};
    int r = 0;

    worker->nobody_comes = true;
    for (size_t i = 0; i < config->n_sockets && r >= 0; i++) {
        const struct activated *socket = &config->sockets[i];
        r = add_socket(worker, socket, counts[socket->kind]++);
    }
    return r;
}

static int worker_init(struct worker *worker, const struct worker_config *config)
{
    int r;

    *worker = (struct worker){
        .exit_idle_usec = config->exit_idle_usec,
        .acceptors = {.resume_at = UINT64_MAX},
        .orders = {.watch.fd = -1},
        .idle = {.timer.fd = -1},
        .event_fd = config->event_fd,
    };
    r = loop_init(&worker->loop, config->common, config->index, config->busy_poll);
    if (r == 0 && config->policy) {
        r = gate_new(policy_ref(config->policy), audit_share(config->common->n),
                     &worker->loop.gate);
    }
    if (r < 0) {
        return r;
    }
    if ((r = orders_init(&worker->orders, &worker->loop, config->event_fd, take_orders)) < 0 ||
        (r = idle_init(&worker->idle, &worker->loop, config->idle_usec)) < 0) {
        return r;
    }
    return add_sockets(worker, config);
}

int worker_new(const struct worker_config *config, struct worker **ret)
{
    struct worker *worker = malloc(sizeof(*worker));
    int r = worker ? worker_init(worker, config) : -ENOMEM;

    if (r < 0) {
        worker_free(worker);
        return r;
    }
    *ret = worker;
    return 0;
}

int worker_start(struct worker *worker)
{
    int r;

    worker->yields = false;
    say(worker, WORKER_SERVING);
    r = pthread_create(&worker->thread, NULL, worker_run, worker);
    worker->thread_runs = r == 0;
    return -r;
}

void worker_join(struct worker *worker)
{
    if (worker->thread_runs) {
        pthread_join(worker->thread, NULL);
        worker->thread_runs = false;
    }
}

void worker_free(struct worker *worker)
{
    if (!worker) {
        return;
    }
    arrivals_drop(&worker->loop);
    datagrams_pause(&worker->datagrams, &worker->loop);
    drop_rest(worker);
    acceptors_deinit(&worker->acceptors);
    datagrams_deinit(&worker->datagrams);
    gate_free(worker->loop.gate);
    idle_deinit(&worker->idle);
    orders_deinit(&worker->orders);
    loop_deinit(&worker->loop);
    free(worker);
}

struct orders *worker_orders(struct worker *worker)
{
    return &worker->orders;
}

struct loop *worker_loop(struct worker *worker)
{
    return &worker->loop;
}

struct datagrams *worker_datagrams(struct worker *worker)
{
    return &worker->datagrams;
}

struct idle *worker_idle(struct worker *worker)
{
    return &worker->idle;
}

bool worker_read_audit(struct worker *worker, struct audit_record *record)
{
    return worker->loop.gate && audit_read(gate_audit(worker->loop.gate), record);
}

const struct counters *worker_counters(const struct worker *worker)
{
    return &worker->loop.counters;
}
