// SPDX-License-Identifier: MIT

/* A stream as a pipe: bytes go and come at the same time, in any amount, through two buffers. */

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "send.h"
#include "timespan.h"
#include "util.h"

enum { BUFFER_MAX = 256 * 1024 };

/* --- A stream. ---------------------------------------------------------------------------------
 */

struct pipe {
    struct send *send;
    char out[BUFFER_MAX]; /* from standard input, on its way to the service */
    size_t out_length;
    size_t out_done;
    bool input_ended;
    bool closed_writing;
    bool cut; /* the service has closed before it had taken all */
    char in[BUFFER_MAX];
    char first_out[sizeof(SESSION_DENIED)]; /* the first bytes each way, to know a greeting by */
    size_t first_out_length;
    char first_in[sizeof(SESSION_DENIED)];
    size_t first_in_length;
    bool greeted;
};

static void remember(char *first, size_t *first_length, size_t room, const char *data,
                     size_t length)
{
    size_t take = room - *first_length < length ? room - *first_length : length;

    memcpy(first + *first_length, data, take);
    *first_length += take;
}

/* Reads more of standard input. Returns 0 or a negative errno. */
static int pipe_read(struct pipe *pipe)
{
    ssize_t n = read(STDIN_FILENO, pipe->out, sizeof(pipe->out));

    if (n < 0) {
        if (errno == EINTR || errno == EAGAIN) {
            return 0;
        }
        complain("Standard input could not be read: %s.", strerror(errno));
        return -ECANCELED;
    }
    pipe->out_length = (size_t)n;
    pipe->out_done = 0;
    pipe->input_ended = n == 0;
    return 0;
}

static int pipe_send(struct pipe *pipe)
{
    struct send *send_state = pipe->send;
    const char *data = pipe->out + pipe->out_done;
    ssize_t n = send(send_state->session.fd, data, pipe->out_length - pipe->out_done,
                     MSG_DONTWAIT | MSG_NOSIGNAL);

    if (n < 0) {
        if (errno == EPIPE) {
            /* The service takes no more; what it has to say about that is still to be read. */
            pipe->cut = pipe->input_ended = pipe->closed_writing = true;
            pipe->out_length = pipe->out_done = 0;
            return 0;
        }
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    }
    remember(pipe->first_out, &pipe->first_out_length, sizeof(pipe->first_out), data, (size_t)n);
    tally_add(&send_state->sent, data, (size_t)n);
    pipe->out_done += (size_t)n;
    return 0;
}

/* Looks at the first bytes that come back, until it is clear whether they are a greeting. */
static int pipe_greet(struct pipe *pipe, const char *data, size_t length)
{
    size_t before = pipe->first_in_length;
    size_t taken;

    remember(pipe->first_in, &pipe->first_in_length, sizeof(pipe->first_in) - 1, data, length);
    taken = pipe->first_in_length - before;
    switch (session_greeting(pipe->first_in, pipe->first_in_length, pipe->first_out,
                             pipe->first_out_length)) {
    case GREETING_MORE:
        return 0;
    case GREETING_DENIED:
        return -EACCES;
    case GREETING_WELCOME:
        pipe->greeted = true;
        if (pipe->first_in_length > strlen(SESSION_WELCOME)) {
            int r = send_write(pipe->send, pipe->first_in + strlen(SESSION_WELCOME),
                               pipe->first_in_length - strlen(SESSION_WELCOME));
            if (r < 0) {
                return r;
            }
        }
        return send_write(pipe->send, data + taken, length - taken);
    case GREETING_NONE:
        break;
    }
    pipe->greeted = true;
    {
        int r = send_write(pipe->send, pipe->first_in, pipe->first_in_length);
        return r < 0 ? r : send_write(pipe->send, data + taken, length - taken);
    }
}

/* Returns 0, -ENODATA at the end, or another negative errno. */
static int pipe_receive(struct pipe *pipe)
{
    ssize_t n = recv(pipe->send->session.fd, pipe->in, sizeof(pipe->in), MSG_DONTWAIT);

    if (n < 0) {
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    }
    if (n == 0) {
        /* What looked like the beginning of a greeting was an echo. */
        if (!pipe->greeted) {
            int r = send_write(pipe->send, pipe->first_in, pipe->first_in_length);
            return r < 0 ? r : -ENODATA;
        }
        return -ENODATA;
    }
    return pipe->greeted ? send_write(pipe->send, pipe->in, (size_t)n)
                         : pipe_greet(pipe, pipe->in, (size_t)n);
}

/* Waits for what can be done next, and does it. Returns as pipe_receive(). */
static int pipe_turn(struct pipe *pipe)
{
    const struct send *state = pipe->send;
    bool pending = pipe->out_done < pipe->out_length;
    bool owed = pending || pipe->input_ended || state->sent.bytes > state->received.bytes;
    struct pollfd events[2] = {
        {.fd = state->session.fd, .events = (short)(POLLIN | (pending ? POLLOUT : 0))},
        {.fd = pending || pipe->input_ended ? -1 : STDIN_FILENO, .events = POLLIN},
    };
    uint64_t msec = (state->common.timeout_usec + 999) / 1000;
    bool patient = !owed || state->common.timeout_usec == TIMESPAN_INFINITY || msec > INT32_MAX;
    int n = poll(events, 2, patient ? -1 : (int)msec);
    int r = 0;

    if (n == 0) {
        return -ETIMEDOUT;
    }
    if (n < 0) {
        return errno == EINTR ? 0 : -errno;
    }
    if (events[1].revents != 0) {
        r = pipe_read(pipe);
    }
    if (r == 0 && pending && events[0].revents & (POLLOUT | POLLERR | POLLHUP)) {
        r = pipe_send(pipe);
    }
    if (r == 0 && pipe->input_ended && !pipe->closed_writing &&
        pipe->out_done == pipe->out_length) {
        pipe->closed_writing = true;
        r = shutdown(state->session.fd, SHUT_WR) < 0 && errno != ENOTCONN ? -errno : 0;
    }
    if (r == 0 && events[0].revents & (POLLIN | POLLHUP | POLLERR)) {
        r = pipe_receive(pipe);
    }
    /* More than was sent is no echo, and may never end. */
    return r == 0 && state->received.bytes > state->sent.bytes ? -EBADMSG : r;
}

int send_stream(struct send *send)
{
    CLEANUP(free_pointer) struct pipe *pipe = calloc(1, sizeof(*pipe));
    int r = 0;

    if (!pipe) {
        return -ENOMEM;
    }
    pipe->send = send;
    if (send->text) {
        int length = snprintf(pipe->out, sizeof(pipe->out), "%s\n", send->text);
        if (length < 0 || (size_t)length >= sizeof(pipe->out)) {
            return -EMSGSIZE;
        }
        pipe->out_length = (size_t)length;
        pipe->input_ended = true;
    }
    while (r == 0) {
        r = pipe_turn(pipe);
    }
    /* An end before all was sent is none that the service came to by itself. */
    return r != -ENODATA ? r : pipe->cut || !pipe->closed_writing ? -ECONNRESET : 0;
}
