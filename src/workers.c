// SPDX-License-Identifier: MIT
#include "workers.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "common.h"
#include "util.h"
#include "worker.h"

struct workers {
    struct common *common;
    int event_fd;
    bool draining;
    enum worker_order order; /* the last one to all */
    size_t n;
    struct worker *each[];
};

static struct orders *orders_of(const struct workers *workers, size_t index)
{
    return worker_orders(workers->each[index]);
}

/* How many cores this process may run on: the machine's, or what CPUAffinity=, AllowedCPUs= or a
 * container leaves of them. */
static size_t count_cores(void)
{
    enum { CORES_MAX = 1 << 16 };

    /* The kernel refuses a set that is smaller than its own (sched_setaffinity(2)). */
    for (size_t room = CPU_SETSIZE; room <= CORES_MAX; room *= 4) {
        CLEANUP(free_pointer) cpu_set_t *set = CPU_ALLOC(room);
        if (!set) {
            break;
        }
        if (sched_getaffinity(0, CPU_ALLOC_SIZE(room), set) == 0) {
            return (size_t)CPU_COUNT_S(CPU_ALLOC_SIZE(room), set);
        }
    }
    return 1;
}

/*
 * Half of the cores, because the other ends of the sockets run on the same machine and need as much
 * as the service does; one up to three cores, where more would only take turns.
 */
size_t workers_auto(void)
{
    enum { AUTO_MAX = 32 };
    size_t half = count_cores() / 2;

    return half < 1 ? 1 : half > AUTO_MAX ? AUTO_MAX : half;
}

size_t workers_for(size_t n, const struct activated *sockets, size_t n_sockets)
{
    size_t datagrams = 0;

    for (size_t i = 0; i < n_sockets; i++) {
        if (sockets[i].kind == SOCKET_LISTENING) {
            return n;
        }
        datagrams += sockets[i].kind == SOCKET_DATAGRAM;
    }
    /* Connections that were passed are served by one worker, a datagram socket by one at a time. */
    return datagrams < 1 ? 1 : datagrams < n ? datagrams : n;
}

/* By itself only if the clients have a core for each worker, too: who polls keeps one. They may run
 * where the service must not. */
static struct busy_poll_option busy_poll_for(struct busy_poll_option option, size_t n)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    if (option.automatic && cores > 0 && (size_t)cores < 2 * n) {
        option = (struct busy_poll_option){.usec = 0};
    }
    return option;
}

static int add_workers(struct workers *workers, const struct workers_config *config)
{
    struct worker_config one = {
        .sockets = config->sockets,
        .n_sockets = config->n_sockets,
        .common = workers->common,
        .event_fd = workers->event_fd,
        .busy_poll = busy_poll_for(config->busy_poll, workers->common->n),
        .exit_idle_usec = config->exit_idle_usec,
        .idle_usec = config->idle_usec,
        .policy = config->policy,
    };
    int r = 0;

    while (workers->n < workers->common->n && r >= 0) {
        one.index = workers->n;
        r = worker_new(&one, &workers->each[workers->n]);
        workers->n += r >= 0;
    }
    return r;
}

static int workers_init(struct workers *workers, const struct workers_config *config, size_t n)
{
    const char *notify;
    int r;

    *workers = (struct workers){.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    if (workers->event_fd < 0) {
        return -errno;
    }
    workers->common = common_new(n, config->limits, config->connections_fit);
    if (!workers->common) {
        return -ENOMEM;
    }
    /* A client must not have the daemon speak to the service manager. */
    notify =
        getenv("NOTIFY_SOCKET"); // NOLINT(concurrency-mt-unsafe): nobody changes the environment
    r = notify && notify[0] == '/' ? off_limits_add(&workers->common->off_limits, notify) : 0;
    return r < 0 ? r : add_workers(workers, config);
}

int workers_new(const struct workers_config *config, struct workers **ret)
{
    size_t n = workers_for(config->n, config->sockets, config->n_sockets);
    struct workers *workers = malloc(sizeof(*workers) + n * sizeof(void *));
    int r = workers ? workers_init(workers, config, n) : -ENOMEM;

    policy_unref(config->policy);
    if (r < 0) {
        workers_free(workers);
        return r;
    }
    *ret = workers;
    return 0;
}

int workers_start(struct workers *workers)
{
    int r = 0;

    for (size_t i = 0; i < workers->n && r >= 0; i++) {
        r = worker_start(workers->each[i]);
    }
    return r;
}

void workers_join(struct workers *workers)
{
    for (size_t i = 0; i < workers->n; i++) {
        worker_join(workers->each[i]);
    }
}

void workers_free(struct workers *workers)
{
    if (!workers) {
        return;
    }
    workers_drain(workers);
    /* Each may reach for others until it has ended. */
    workers_join(workers);
    for (size_t i = 0; i < workers->n; i++) {
        worker_free(workers->each[i]);
    }
    common_free(workers->common);
    fd_close(&workers->event_fd);
    free(workers);
}

void workers_drain(struct workers *workers)
{
    workers->draining = true;
    for (size_t i = 0; i < workers->n; i++) {
        orders_drain(orders_of(workers, i));
    }
}

void workers_set_policy(struct workers *workers, struct policy *policy)
{
    for (size_t i = 0; i < workers->n; i++) {
        orders_set_policy(orders_of(workers, i), policy_ref(policy));
    }
    policy_unref(policy);
}

uint64_t workers_policies(const struct workers *workers)
{
    uint64_t least = UINT64_MAX;

    for (size_t i = 0; i < workers->n; i++) {
        uint64_t policies = orders_policies(orders_of(workers, i));
        least = policies < least ? policies : least;
    }
    return least;
}

bool workers_read_audit(struct workers *workers, struct audit_record *record)
{
    for (size_t i = 0; i < workers->n; i++) {
        if (worker_read_audit(workers->each[i], record)) {
            return true;
        }
    }
    return false;
}

int workers_event_fd(const struct workers *workers)
{
    return workers->event_fd;
}

static size_t count_in(const struct workers *workers, enum worker_state state)
{
    size_t n = 0;

    for (size_t i = 0; i < workers->n; i++) {
        n += orders_state(orders_of(workers, i)) == state;
    }
    return n;
}

static void order_all(struct workers *workers, enum worker_order order)
{
    workers->order = order;
    for (size_t i = 0; i < workers->n; i++) {
        orders_give(orders_of(workers, i), order);
    }
}

/*
 * None may leave while another serves: clients to come would find fewer, and at last one. And when
 * all have said that they are idle, somebody may have come in the meantime, to one that said so
 * before. So they are held first: then nothing is taken, what comes waits in the kernel, and what
 * they say holds.
 */
static void agree_on_the_end(struct workers *workers)
{
    size_t held;

    switch (workers->order) {
    case WORKER_SERVE:
        if (count_in(workers, WORKER_IDLE) == workers->n) {
            order_all(workers, WORKER_HOLD);
        }
        break;
    case WORKER_HOLD:
        held = count_in(workers, WORKER_HELD);
        if (held + count_in(workers, WORKER_BUSY) == workers->n) {
            order_all(workers, held == workers->n ? WORKER_LEAVE : WORKER_SERVE);
        }
        break;
    case WORKER_LEAVE:
    case WORKER_YIELD:
        break;
    }
}

void workers_take_event(struct workers *workers)
{
    uint64_t count;

    (void)!read(workers->event_fd, &count, sizeof(count));
    if (!workers->draining) {
        agree_on_the_end(workers);
    }
}

void workers_yield(struct workers *workers)
{
    order_all(workers, WORKER_YIELD);
}

void workers_resume(struct workers *workers)
{
    order_all(workers, WORKER_SERVE);
}

struct worker *workers_get(const struct workers *workers, size_t index)
{
    return index < workers->n ? workers->each[index] : NULL;
}

void workers_ask_round(struct workers *workers)
{
    for (size_t i = 0; i < workers->n; i++) {
        orders_ask_round(orders_of(workers, i));
    }
}

bool workers_went_round(const struct workers *workers)
{
    for (size_t i = 0; i < workers->n; i++) {
        if (!orders_went_round(orders_of(workers, i))) {
            return false;
        }
    }
    return true;
}

bool workers_stopped(const struct workers *workers)
{
    return count_in(workers, WORKER_STOPPED) == workers->n;
}

void workers_ask_activity(struct workers *workers)
{
    for (size_t i = 0; i < workers->n; i++) {
        orders_ask_activity(orders_of(workers, i));
    }
}

void workers_count(const struct workers *workers, struct counters *ret)
{
    *ret = (struct counters){0};
    for (size_t i = 0; i < workers->n; i++) {
        for (enum counter counter = 0; counter < COUNTER_MAX; counter++) {
            uint64_t value = counter_get(worker_counters(workers->each[i]), counter);
            counter_add(ret, counter, (int64_t)value);
        }
    }
}
