// SPDX-License-Identifier: MIT
#include "bench_engine.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "bench_lane.h"
#include "bench_loop.h"
#include "client.h"
#include "session.h"
#include "timespan.h"
#include "util.h"

enum {
    WARM_UP_USEC_MAX = 100 * 1000,
    TICK_NSEC = 100 * 1000 * 1000,
    UNIX_BUFFER = 128 * 1024, /* bytes of a message that a socket's buffer has room for as it is */
};

struct engine {
    const struct engine_options *options;
    struct engine_found *found;
    struct target *target;
    bool welcomed; /* the service says so on each connection */
    int *fds;      /* of all connections; -1: taken over by a lane, or not open */
    struct lane *lanes;
    struct bare_loop *loops; /* one for each lane: its clients must not outnumber it */
    unsigned n_lanes;        /* that are made */
    unsigned n_loops;
    atomic_bool failed;
};

uint64_t engine_warm_up_usec(uint64_t duration_usec)
{
    return duration_usec / 10 < WARM_UP_USEC_MAX ? duration_usec / 10 : WARM_UP_USEC_MAX;
}

__attribute__((format(printf, 3, 4))) static int engine_fail(struct engine *engine, int status,
                                                             const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(engine->found->error, sizeof(engine->found->error), format, arguments);
    va_end(arguments);
    return status;
}

/* A connection could not be made, or its first message did not come back. */
static int fail_to_connect(struct engine *engine, unsigned number, bool connected, int r)
{
    switch (-r) {
    case EBADMSG:
        return engine_fail(engine, STATUS_WRONG,
                           "connection %u: what came back first is not what was sent", number);
    case EACCES:
    case EPERM:
        return engine_fail(engine, STATUS_REFUSED, "connection %u: %s", number,
                           connected ? "refused by the service (Access denied)" : strerror(-r));
    case ETIMEDOUT:
        return engine_fail(engine, connected ? STATUS_WRONG : STATUS_UNREACHABLE,
                           "connection %u: %s within %.3g s", number,
                           connected ? "nothing came back" : "not taken up",
                           (double)engine->options->timeout_usec / 1e6);
    case ECONNRESET:
        return engine_fail(engine, STATUS_WRONG,
                           "connection %u: the service has closed it without an answer", number);
    case EMFILE:
    case ENFILE:
    case ENOMEM:
        return engine_fail(engine, STATUS_WRONG, "connection %u: %s", number, strerror(-r));
    default:
        return engine_fail(engine, STATUS_UNREACHABLE, "connection %u: %s", number,
                           target_error(engine->target, r));
    }
}

/* Connects once, and takes off what the service says of its own; not after Ctrl-C. */
static int open_connection(struct engine *engine, unsigned i)
{
    static const char message[] = {'u', 'd', 's', '-', 'e', 'c', 'h', 'o'};
    const struct engine_options *options = engine->options;
    int size = options->point.size < INT32_MAX / 2 ? (int)options->point.size * 2 : INT32_MAX;
    struct session session;
    int r = session_open(&session, engine->target, options->timeout_usec);

    if (r == -EINTR) {
        return STATUS_OK;
    }
    if (r < 0) {
        return fail_to_connect(engine, i + 1, false, r);
    }
    if (session.type != SOCK_STREAM && options->point.size > UNIX_BUFFER) {
        (void)setsockopt(session.fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    }
    r = session_exchange(&session, message, sizeof(message), options->timeout_usec);
    if (r < 0) {
        session_close(&session);
        return r == -EINTR ? STATUS_OK : fail_to_connect(engine, i + 1, true, r);
    }
    engine->welcomed = session.welcomed;
    engine->fds[i] = session.fd;
    return STATUS_OK;
}

/* One connection in advance, where each message is to have its own: what is there? */
static int try_connection(struct engine *engine)
{
    int status = open_connection(engine, 0);

    fd_close(&engine->fds[0]);
    if (engine->target->type == SOCK_DGRAM) {
        return engine_fail(engine, STATUS_USAGE,
                           "a datagram socket has no connections (--connect)");
    }
    return status;
}

static bool is_stopped(const struct engine *engine)
{
    return atomic_load_explicit(engine->options->stop, memory_order_relaxed);
}

static int open_connections(struct engine *engine)
{
    int status = STATUS_OK;

    if (engine->options->point.connect) {
        return try_connection(engine);
    }
    for (unsigned i = 0; i < engine->options->point.connections && status == STATUS_OK; i++) {
        if (is_stopped(engine)) {
            return STATUS_OK;
        }
        status = open_connection(engine, i);
    }
    return status;
}

/* A lane for the connections from FIRST until END. */
static int add_lane(struct engine *engine, unsigned first, unsigned end)
{
    struct bare_loop *loop = engine->loops + engine->n_loops;
    const struct engine_options *options = engine->options;
    const struct bench_point *point = &options->point;
    unsigned n = end - first;
    struct lane_options lane = {
        .size = point->size,
        .window = point->window,
        .rate = point->rate * n / point->connections,
        .one_queue = engine->target && engine->target->family == AF_UNIX &&
                     engine->target->type == SOCK_DGRAM,
        .visit = point->connect ? engine->target : NULL,
        .welcomed = engine->welcomed,
        .busy_poll = options->busy_poll,
        .timeout_nsec = options->timeout_usec >= TIMESPAN_INFINITY / 1000
                            ? UINT64_MAX
                            : options->timeout_usec * 1000,
        .stop = options->stop,
        .failed = &engine->failed,
    };
    int type = engine->target ? engine->target->type : options->bare_type;
    int r;

    if (!engine->target) {
        r = point->connect ? bare_loop_listen(loop, type, point->size, options->busy_poll)
                           : bare_loop_start(loop, type, n, point->size, options->busy_poll,
                                             &engine->fds[first]);
        if (r < 0) {
            return r;
        }
        engine->n_loops++;
        lane.visit = point->connect ? &loop->address : NULL;
    }
    r = lane_init(&engine->lanes[engine->n_lanes++], &lane, type, &engine->fds[first], n,
                  first + 1);
    for (unsigned i = first; i < end; i++) {
        engine->fds[i] = -1;
    }
    return r;
}

static int add_lanes(struct engine *engine)
{
    unsigned connections = engine->options->point.connections;
    unsigned n = engine->options->threads < connections ? engine->options->threads : connections;
    int r = 0;

    engine->lanes = calloc(n, sizeof(*engine->lanes));
    engine->loops = calloc(n, sizeof(*engine->loops));
    if (!engine->lanes || !engine->loops) {
        r = -ENOMEM;
    }
    for (uint64_t i = 0; i < n && r == 0; i++) {
        r = add_lane(engine, (unsigned)(i * connections / n),
                     (unsigned)((i + 1) * connections / n));
    }
    return r == 0 ? STATUS_OK : engine_fail(engine, STATUS_WRONG, "%s", strerror(-r));
}

/* Waits for the end of a lane, and ticks meanwhile. */
static void join_lane(const struct engine *engine, struct lane *lane)
{
    struct timespec until;

    while (lane->running && engine->options->tick) {
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += TICK_NSEC;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        lane->running = pthread_timedjoin_np(lane->thread, NULL, &until) == ETIMEDOUT;
        engine->options->tick(engine->options->context);
    }
    if (lane->running) {
        pthread_join(lane->thread, NULL);
        lane->running = false;
    }
}

static void gather(struct engine *engine, uint64_t start, uint64_t deadline)
{
    struct engine_found *found = engine->found;
    uint64_t end = start;

    for (unsigned i = 0; i < engine->n_lanes; i++) {
        const struct lane *lane = &engine->lanes[i];
        histogram_add(&found->latency, lane->latency);
        found->echoed += lane->traffic.echoed;
        found->within += lane->traffic.within;
        found->unsent += lane_unsent(lane);
        end = lane->finished > end ? lane->finished : end;
    }
    /* What came after the deadline was awaited, but does not count for the throughput. */
    end = end > deadline ? deadline : end;
    found->seconds = (double)(end - start) / 1e9;
}

static int run_lanes(struct engine *engine)
{
    const struct engine_options *options = engine->options;
    uint64_t origin = now_nsec();
    uint64_t start = origin + engine_warm_up_usec(options->duration_usec) * 1000;
    uint64_t deadline = start + options->duration_usec * 1000;
    int r = 0;

    for (unsigned i = 0; i < engine->n_lanes && r == 0; i++) {
        /* With a rate, the lanes take turns. */
        double shift = options->point.rate > 0 ? i * 1e9 / options->point.rate : 0;
        r = lane_start(&engine->lanes[i], origin + (uint64_t)shift, start, deadline);
    }
    if (r < 0) {
        atomic_store(&engine->failed, true);
    }
    for (unsigned i = 0; i < engine->n_lanes; i++) {
        join_lane(engine, &engine->lanes[i]);
    }
    if (r < 0) {
        return engine_fail(engine, STATUS_WRONG, "%s", strerror(-r));
    }
    for (unsigned i = 0; i < engine->n_lanes; i++) {
        if (engine->lanes[i].traffic.error[0] != '\0') {
            return engine_fail(engine, STATUS_WRONG, "%s", engine->lanes[i].traffic.error);
        }
    }
    gather(engine, start, deadline);
    return STATUS_OK;
}

static void engine_deinit(struct engine *engine)
{
    for (unsigned i = 0; i < engine->n_lanes; i++) {
        lane_deinit(&engine->lanes[i]);
    }
    for (unsigned i = 0; i < engine->n_loops; i++) {
        bare_loop_stop(&engine->loops[i]);
    }
    for (unsigned i = 0; engine->fds && i < engine->options->point.connections; i++) {
        fd_close(&engine->fds[i]);
    }
    free(engine->lanes);
    free(engine->loops);
    free(engine->fds);
}

int engine_run(struct target *target, const struct engine_options *options,
               struct engine_found *found)
{
    struct engine engine = {.options = options, .found = found, .target = target};
    unsigned n = options->point.connections;
    int status = STATUS_OK;

    *found = (struct engine_found){0};
    histogram_init(&found->latency);
    engine.fds = malloc(n * sizeof(*engine.fds));
    if (!engine.fds) {
        return engine_fail(&engine, STATUS_WRONG, "%s", strerror(ENOMEM));
    }
    for (unsigned i = 0; i < n; i++) {
        engine.fds[i] = -1;
    }
    if (target) {
        status = open_connections(&engine);
    }
    if (status == STATUS_OK && !is_stopped(&engine)) {
        status = add_lanes(&engine);
    }
    if (status == STATUS_OK && !is_stopped(&engine)) {
        status = run_lanes(&engine);
    }
    found->interrupted = is_stopped(&engine);
    engine_deinit(&engine);
    return status;
}
