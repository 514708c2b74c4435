// SPDX-License-Identifier: MIT
#include "bench_flow.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "session.h"

uint64_t now_nsec(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Says what is wrong with message MESSAGE (0: with none in particular). Returns false. */
__attribute__((format(printf, 4, 5))) static bool flow_fail(const struct flow *flow,
                                                            struct traffic *traffic,
                                                            uint64_t message, const char *format,
                                                            ...)
{
    size_t size = sizeof(traffic->error);
    va_list arguments;
    int n;

    if (message > 0) {
        n = snprintf(traffic->error, size, "connection %u, message %llu: ", flow->number,
                     (unsigned long long)message);
    } else {
        n = snprintf(traffic->error, size, "connection %u: ", flow->number);
    }
    va_start(arguments, format);
    (void)vsnprintf(traffic->error + n, size - (size_t)n, format, arguments);
    va_end(arguments);
    return false;
}

/* Begins the next message if there is one to send now. */
static bool flow_begin(struct flow *flow, struct traffic *traffic)
{
    uint64_t now;

    if (traffic->stopping || flow->begun - flow->back >= traffic->window ||
        (traffic->interval > 0 && flow->begun >= flow->due)) {
        return false;
    }
    now = now_nsec();
    if (flow->begun == flow->back) {
        flow->moved = now;
    }
    flow->since[flow->begun % traffic->window] =
        traffic->interval > 0 ? flow->first + (uint64_t)((double)flow->begun * traffic->interval)
                              : now;
    flow->begun++;
    flow->warm = now < traffic->start ? flow->begun : flow->warm;
    traffic->in_flight++;
    return true;
}

/* How many messages are sent with one call: on a stream as many as may be under way, if they are
 * not large; they need not be told apart by the calls. */
static uint64_t send_at_once(const struct flow *flow, const struct traffic *traffic)
{
    uint64_t fit = traffic->buffer_size / traffic->payload.size;

    if (flow->type != SOCK_STREAM || fit == 0) {
        return 1;
    }
    return fit < traffic->window ? fit : traffic->window;
}

/* Sends what is left of a message. Returns the bytes, or a negative errno. */
static ssize_t send_one(const struct flow *flow, struct traffic *traffic)
{
    struct payload_loan loan;
    const void *data =
        payload_lend(&traffic->payload, &loan, flow->number, flow->gone + 1, flow->sent);
    ssize_t n =
        send(flow->fd, data, traffic->payload.size - flow->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    ssize_t r = n < 0 ? -errno : n;

    payload_return(&loan);
    return r;
}

/* Sends what is left of several, through the buffer, which is free while nothing is received. */
static ssize_t send_many(const struct flow *flow, struct traffic *traffic)
{
    size_t size = traffic->payload.size;
    size_t length = 0;
    ssize_t n;

    for (uint64_t message = flow->gone + 1; message <= flow->begun; message++) {
        size_t skip = message == flow->gone + 1 ? flow->sent : 0;
        struct payload_loan loan;
        memcpy(traffic->buffer + length,
               payload_lend(&traffic->payload, &loan, flow->number, message, skip), size - skip);
        payload_return(&loan);
        length += size - skip;
    }
    n = send(flow->fd, traffic->buffer, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    return n < 0 ? -errno : n;
}

/* Begins what may be sent with the next call. Returns whether there is anything to send. */
static bool flow_load(struct flow *flow, struct traffic *traffic)
{
    uint64_t most = send_at_once(flow, traffic);

    while (flow->begun - flow->gone < most && flow_begin(flow, traffic)) {
    }
    return flow->gone < flow->begun;
}

bool flow_send(struct flow *flow, struct traffic *traffic, bool hold)
{
    flow->blocked = false;
    while (!flow->closed && flow_load(flow, traffic)) {
        ssize_t n = hold                            ? -EAGAIN
                    : flow->begun - flow->gone == 1 ? send_one(flow, traffic)
                                                    : send_many(flow, traffic);
        if (n == -EAGAIN) {
            flow->blocked = true;
            return true;
        }
        if (n == -EPIPE) {
            /* What has come back until then is looked at first. */
            flow->closed = true;
            return true;
        }
        if (n < 0 && n != -EINTR) {
            return flow_fail(flow, traffic, flow->gone + 1, "cannot be sent: %s",
                             strerror((int)-n));
        }
        flow->sent += n > 0 ? (size_t)n : 0;
        flow->gone += flow->sent / traffic->payload.size;
        flow->sent %= traffic->payload.size;
    }
    return true;
}

static void flow_record(struct flow *flow, struct traffic *traffic, uint64_t now)
{
    uint64_t since = flow->since[flow->back % traffic->window];

    flow->back++;
    flow->received = 0;
    traffic->in_flight--;
    traffic->echoed++;
    if (since >= traffic->start) {
        histogram_record(traffic->latency, now > since ? now - since : 0);
    }
    if (now >= traffic->start && now < traffic->deadline) {
        traffic->within++;
    }
}

/* Something has come back although nothing is under way. */
static bool fail_with_surplus(const struct flow *flow, struct traffic *traffic, const void *data,
                              size_t length)
{
    unsigned char header[PAYLOAD_HEADER];
    unsigned connection;
    uint64_t message;

    if (length >= sizeof(header)) {
        memcpy(header, data, sizeof(header));
        if (payload_identify(header, &connection, &message)) {
            return flow_fail(flow, traffic, 0,
                             "message %llu%s came, again or for nothing: all that were sent were "
                             "back already",
                             (unsigned long long)message,
                             connection == flow->number ? "" : " of another connection");
        }
    }
    return flow_fail(flow, traffic, 0, "%zu bytes came back that were not sent", length);
}

/* Compares LENGTH bytes, no more than are missing of the message that is to come back next. */
static bool flow_check(struct flow *flow, struct traffic *traffic, const void *data, size_t length)
{
    char error[PAYLOAD_ERROR_MAX];

    return payload_check(&traffic->payload, flow->number, flow->back + 1, flow->received, data,
                         length, flow->header, error) ||
           flow_fail(flow, traffic, flow->back + 1, "%s", error);
}

static bool take_bytes(struct flow *flow, struct traffic *traffic, size_t length, uint64_t now)
{
    const unsigned char *data = traffic->buffer;

    while (length > 0) {
        size_t rest = traffic->payload.size - flow->received;
        size_t n = length < rest ? length : rest;
        if (flow->back == flow->begun) {
            return fail_with_surplus(flow, traffic, data, length);
        }
        if (!flow_check(flow, traffic, data, n)) {
            return false;
        }
        flow->received += n;
        if (n == rest) {
            flow_record(flow, traffic, now);
        }
        data += n;
        length -= n;
    }
    return true;
}

/* LENGTH is that of the message, of which the buffer holds what fits. */
static bool take_message(struct flow *flow, struct traffic *traffic, size_t length, uint64_t now)
{
    size_t size = traffic->payload.size;

    if (flow->back == flow->begun) {
        return fail_with_surplus(flow, traffic, traffic->buffer, length);
    }
    /* The bytes first: they say whether it is another message. */
    if (!flow_check(flow, traffic, traffic->buffer, length < size ? length : size)) {
        return false;
    }
    if (length != size) {
        return flow_fail(flow, traffic, flow->back + 1, "came back with %zu bytes, not %zu", length,
                         size);
    }
    flow_record(flow, traffic, now);
    return true;
}

static bool fail_without(const struct flow *flow, struct traffic *traffic, const char *what)
{
    if (flow->back == flow->begun) {
        return flow_fail(flow, traffic, 0, "%s", what);
    }
    return flow_fail(flow, traffic, flow->back + 1, "did not come back: %s", what);
}

bool flow_receive(struct flow *flow, struct traffic *traffic)
{
    do {
        ssize_t n = session_receive(flow->fd, flow->type, traffic->buffer, traffic->buffer_size);
        if (n == -EAGAIN || n == -EINTR) {
            return true;
        }
        if (n < 0) {
            return fail_without(flow, traffic, strerror((int)-n));
        }
        if (n == 0 && flow->type != SOCK_DGRAM) {
            return fail_without(flow, traffic, "the service has closed the connection");
        }
        flow->moved = now_nsec();
        if (flow->type != SOCK_STREAM) {
            if (!take_message(flow, traffic, (size_t)n, flow->moved)) {
                return false;
            }
        } else if (!take_bytes(flow, traffic, (size_t)n, flow->moved)) {
            return false;
        } else if ((size_t)n < traffic->buffer_size) {
            return true; /* that was all, and asking again would cost a call */
        }
    } while (flow->back < flow->begun);
    return true;
}

bool flow_is_quiet(struct flow *flow, struct traffic *traffic)
{
    ssize_t n = session_receive(flow->fd, flow->type, traffic->buffer, traffic->buffer_size);
    size_t size = traffic->buffer_size;

    return n <= 0 ||
           fail_with_surplus(flow, traffic, traffic->buffer, (size_t)n < size ? (size_t)n : size);
}

static bool is_over(uint64_t since, uint64_t now, uint64_t timeout_nsec)
{
    return now >= since && now - since >= timeout_nsec;
}

bool flow_is_alive(const struct flow *flow, struct traffic *traffic, uint64_t now,
                   uint64_t timeout_nsec)
{
    double seconds = (double)timeout_nsec / 1e9;
    bool is_unsent = flow->gone == flow->back && flow->sent == 0;

    if (flow->back == flow->begun) {
        return true;
    }
    if (is_over(flow->moved, now, timeout_nsec)) {
        return flow_fail(flow, traffic, flow->back + 1,
                         is_unsent ? "could not be sent within %.3g s"
                                   : "did not come back within %.3g s",
                         seconds);
    }
    /* A service that always sends a little, and never all, would not have it end. */
    if (flow->back < flow->warm && is_over(traffic->start, now, timeout_nsec)) {
        return flow_fail(flow, traffic, flow->back + 1,
                         "did not come back within %.3g s of the warm-up", seconds);
    }
    if (is_over(traffic->deadline, now, timeout_nsec)) {
        return flow_fail(flow, traffic, flow->back + 1,
                         "did not come back within %.3g s of the round's end", seconds);
    }
    return true;
}
