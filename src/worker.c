// SPDX-License-Identifier: MIT
#include "worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "acceptor.h"
#include "connection.h"
#include "datagram.h"
#include "gate.h"
#include "reception.h"
#include "reply.h"
#include "util.h"

/* How long clients have, at the stop, to read what is owed to them. */
enum { DRAIN_USEC = 5 * 1000 * 1000 };

struct worker {
    struct loop loop;
    pthread_t thread;
    bool thread_runs;

    struct acceptors acceptors;
    struct datagram *datagrams;
    uint64_t exit_idle_usec;
    uint64_t drain_until;

    /* Between the planes. */
    struct watch command; /* an eventfd: look at what is asked for */
    int event_fd;
    _Atomic(struct policy *) policy_next; /* to be put in force, or NULL */
    _Atomic uint64_t policies;
    atomic_bool drain_asked;
    atomic_bool activity_asked;
    atomic_bool stopped;
};

static void raise_event(int fd)
{
    const uint64_t one = 1;

    /* An eventfd takes it, or is readable already. */
    (void)!write(fd, &one, sizeof(one));
}

static void pay_debts(struct worker *worker)
{
    for (struct datagram *datagram = worker->datagrams; datagram; datagram = datagram->next) {
        if (datagram->debts.retry_at != UINT64_MAX) {
            uint64_t now = loop_now();
            if (datagram->debts.retry_at <= now) {
                reply_pay(datagram, &worker->loop, now);
            }
        }
    }
}

static bool is_idle(const struct worker *worker)
{
    return !worker->loop.connections && !worker->loop.farewells.first &&
           counter_get(&worker->loop.counters, COUNTER_OWED) == 0;
}

/* Writes to the audit what is due. */
static void keep_audit(struct worker *worker, bool final)
{
    struct gate *gate = worker->loop.gate;

    if (!gate) {
        return;
    }
    if (final || audit_deadline(gate_audit(gate)) <= loop_now()) {
        uint64_t forgotten = audit_flush(gate_audit(gate), loop_now(), final);
        counter_add(&worker->loop.counters, COUNTER_AUDIT_LOST, (int64_t)forgotten);
    }
    if (audit_has_news(gate_audit(gate))) {
        raise_event(worker->event_fd);
    }
}

/* When something has to be done though no event comes: CLOCK_MONOTONIC, or UINT64_MAX. */
static uint64_t next_deadline(const struct worker *worker)
{
    uint64_t until = worker->loop.draining ? worker->drain_until : worker->acceptors.resume_at;

    if (worker->loop.gate && audit_deadline(gate_audit(worker->loop.gate)) < until) {
        until = audit_deadline(gate_audit(worker->loop.gate));
    }
    if (farewell_deadline(&worker->loop.farewells) < until) {
        until = farewell_deadline(&worker->loop.farewells);
    }
    for (const struct datagram *datagram = worker->datagrams; datagram; datagram = datagram->next) {
        if (datagram->debts.retry_at < until) {
            until = datagram->debts.retry_at;
        }
    }
    return until;
}

/* Waits for events and serves them. Returns whether the worker was idle, and stayed so for long
 * enough to leave. */
static bool serve(struct worker *worker)
{
    uint64_t until = next_deadline(worker);
    bool idle = until == UINT64_MAX && is_idle(worker);
    uint64_t now;
    uint64_t wait;
    int events;

    if (idle) {
        wait = worker->exit_idle_usec;
    } else if (until == UINT64_MAX) {
        wait = UINT64_MAX;
    } else {
        now = loop_now();
        wait = until > now ? until - now : 0;
    }
    events = loop_turn(&worker->loop, wait);
    return idle && events == 0;
}

static void begin_drain(struct worker *worker)
{
    struct loop *loop = &worker->loop;

    loop->draining = true;
    worker->drain_until = loop_now() + DRAIN_USEC;
    acceptors_stop(&worker->acceptors, loop);
    for (struct datagram *datagram = worker->datagrams; datagram; datagram = datagram->next) {
        datagram_pause(datagram, loop);
    }
    for (struct connection *connection = loop->connections; connection;
         connection = connection->next) {
        connection_drain(connection);
    }
}

/*
 * Whether the worker is through. When it leaves because it is idle there is no race with a client
 * that arrives: nothing has been taken from the sockets since the last turn saw them empty, so what
 * comes now waits in the kernel, where systemd finds it.
 */
static bool is_through(const struct worker *worker, bool idled)
{
    if (worker->loop.draining) {
        return is_idle(worker) || loop_now() >= worker->drain_until;
    }
    if (!worker->acceptors.first && !worker->datagrams) {
        return is_idle(worker); /* nobody can come after the connection that was passed */
    }
    return idled;
}

static void take_policy(struct worker *worker)
{
    struct policy *policy = atomic_exchange(&worker->policy_next, NULL);

    if (!policy) {
        return;
    }
    gate_set_policy(worker->loop.gate, policy);
    for (struct datagram *datagram = worker->datagrams; datagram; datagram = datagram->next) {
        (void)datagram_follow_policy(datagram, &worker->loop);
    }
    atomic_fetch_add(&worker->policies, 1);
    raise_event(worker->event_fd);
}

static void take_command(struct loop *loop, struct watch *watch, uint32_t events)
{
    struct worker *worker = CONTAINER_OF(watch, struct worker, command);
    uint64_t count;

    (void)events;
    (void)!read(watch->fd, &count, sizeof(count));
    take_policy(worker);
    if (atomic_load(&worker->drain_asked) && !loop->draining) {
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
    for (struct datagram *datagram = worker->datagrams; datagram; datagram = datagram->next) {
        datagram_drop(datagram, loop);
    }
}

static void *worker_run(void *argument)
{
    struct worker *worker = argument;
    bool idled = false;

    while (!is_through(worker, idled)) {
        idled = serve(worker);
        if (!worker->loop.draining) {
            acceptors_regulate(&worker->acceptors, &worker->loop);
        }
        pay_debts(worker);
        if (worker->loop.farewells.first) {
            farewell_end_due(&worker->loop, loop_now());
        }
        keep_audit(worker, false);
        if (atomic_load_explicit(&worker->activity_asked, memory_order_relaxed)) {
            atomic_store(&worker->activity_asked, false);
            raise_event(worker->event_fd);
        }
    }
    drop_rest(worker);
    keep_audit(worker, true);
    atomic_store(&worker->stopped, true);
    raise_event(worker->event_fd);
    return NULL;
}

static int add_socket(struct worker *worker, const struct activated *socket)
{
    struct datagram *datagram;
    int r;

    if (socket->role != ROLE_ECHO && !worker->loop.gate) {
        return -EINVAL;
    }
    switch (socket->kind) {
    case SOCKET_LISTENING:
        return acceptors_add(&worker->acceptors, &worker->loop, socket);
    case SOCKET_DATAGRAM:
        datagram = malloc(sizeof(*datagram));
        if (!datagram) {
            return -ENOMEM;
        }
        r = datagram_init(datagram, &worker->loop, socket);
        datagram->next = worker->datagrams;
        worker->datagrams = datagram;
        return r < 0 ? r : datagram_resume(datagram, &worker->loop);
    case SOCKET_CONNECTED:
        counter_add(&worker->loop.counters, COUNTER_ACCEPTED, 1);
        return reception_connection(&worker->loop, socket->role, socket->fd, socket->type);
    }
    return -EINVAL;
}

static int worker_init(struct worker *worker, const struct worker_config *config)
{
    const char *notify;
    int r;

    *worker = (struct worker){
        .exit_idle_usec = config->exit_idle_usec,
        .acceptors = {.resume_at = UINT64_MAX},
        .command = {.ready = take_command, .fd = -1},
        .event_fd = -1,
    };
    r = loop_init(&worker->loop, config->connections_max, config->connections_fit);
    if (r < 0) {
        policy_unref(config->policy);
        return r;
    }
    r = config->policy ? gate_new(config->policy, AUDIT_RECORDS, &worker->loop.gate) : 0;
    if (r < 0) {
        return r;
    }
    /* A client must not have the daemon speak to the service manager. */
    notify =
        getenv("NOTIFY_SOCKET"); // NOLINT(concurrency-mt-unsafe): nobody changes the environment
    r = notify && notify[0] == '/' ? off_limits_add(&worker->loop.off_limits, notify) : 0;
    if (r < 0) {
        return r;
    }
    worker->command.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    worker->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (worker->command.fd < 0 || worker->event_fd < 0) {
        return -errno;
    }
    r = loop_watch(&worker->loop, &worker->command, EPOLLIN);
    for (size_t i = 0; i < config->n_sockets && r >= 0; i++) {
        r = add_socket(worker, &config->sockets[i]);
    }
    return r;
}

int worker_new(const struct worker_config *config, struct worker **ret)
{
    struct worker *worker = malloc(sizeof(*worker));
    int r;

    if (!worker) {
        policy_unref(config->policy);
        return -ENOMEM;
    }
    r = worker_init(worker, config);
    if (r < 0) {
        worker_free(worker);
        return r;
    }
    *ret = worker;
    return 0;
}

int worker_start(struct worker *worker)
{
    int r = pthread_create(&worker->thread, NULL, worker_run, worker);

    worker->thread_runs = r == 0;
    return -r;
}

void worker_free(struct worker *worker)
{
    if (!worker) {
        return;
    }
    if (worker->thread_runs) {
        worker_drain(worker);
        pthread_join(worker->thread, NULL);
    }
    drop_rest(worker);
    acceptors_deinit(&worker->acceptors);
    while (worker->datagrams) {
        struct datagram *datagram = worker->datagrams;
        worker->datagrams = datagram->next;
        free(datagram);
    }
    gate_free(worker->loop.gate);
    policy_unref(atomic_load(&worker->policy_next));
    fd_close(&worker->command.fd);
    fd_close(&worker->event_fd);
    loop_deinit(&worker->loop);
    free(worker);
}

void worker_drain(struct worker *worker)
{
    atomic_store(&worker->drain_asked, true);
    raise_event(worker->command.fd);
}

void worker_set_policy(struct worker *worker, struct policy *policy)
{
    struct policy *before = atomic_exchange(&worker->policy_next, policy);

    policy_unref(before); /* the worker has not come to it */
    raise_event(worker->command.fd);
}

uint64_t worker_policies(const struct worker *worker)
{
    return atomic_load(&worker->policies);
}

bool worker_read_audit(struct worker *worker, struct audit_record *record)
{
    return worker->loop.gate && audit_read(gate_audit(worker->loop.gate), record);
}

int worker_event_fd(const struct worker *worker)
{
    return worker->event_fd;
}

void worker_clear_event(struct worker *worker)
{
    uint64_t count;

    (void)!read(worker->event_fd, &count, sizeof(count));
}

bool worker_stopped(const struct worker *worker)
{
    return atomic_load(&worker->stopped);
}

void worker_ask_activity(struct worker *worker)
{
    atomic_store(&worker->activity_asked, true);
}

const struct counters *worker_counters(const struct worker *worker)
{
    return &worker->loop.counters;
}
