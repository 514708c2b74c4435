// SPDX-License-Identifier: MIT
#include "client.h"

#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "pattern.h"
#include "whim.h"
#include "wire.h"

static size_t size_of(const struct swarm *swarm, const struct client *client, uint64_t message)
{
    const struct conduct *conduct = &swarm->conduct;
    int size = conduct->sizes[pattern_random(client->sender, message) % conduct->n_sizes];

    if (size == SIZE_LARGEST) {
        return swarm->largest;
    }
    /* On a stream there are no empty messages. */
    return size == 0 && swarm->type == SOCK_STREAM ? 1 : (size_t)size;
}

/* LENGTH is at most what is missing of the message. */
static void progress(const struct swarm *swarm, const struct client *client, struct progress *way,
                     size_t length)
{
    way->position += length;
    way->done += length;
    if (way->done == size_of(swarm, client, way->message)) {
        way->message++;
        way->done = 0;
    }
}

static size_t rest_of(const struct swarm *swarm, const struct client *client,
                      const struct progress *way)
{
    return size_of(swarm, client, way->message) - way->done;
}

static bool is_all_back(const struct client *client)
{
    return client->in.message == client->out.message && client->in.position == client->out.position;
}

static bool reads(const struct swarm *swarm)
{
    return swarm->conduct.reading == READING_ALWAYS ||
           (swarm->conduct.reading == READING_LATE && swarm->stopping);
}

int client_open(struct swarm *swarm, struct client *client)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                .data.ptr = client};
    int fd = wire_open(swarm, swarm->next_sender);

    if (fd < 0) {
        return fd;
    }
    if (epoll_ctl(swarm->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
        int r = -errno;
        close(fd);
        return r;
    }
    *client = (struct client){.fd = fd, .sender = swarm->next_sender++, .moved = swarm->now};
    swarm->n_open++;
    swarm->tally.connections++;
    return 0;
}

static void client_close(struct swarm *swarm, struct client *client)
{
    if (client->queue) {
        queue_remove(client->queue, client);
    }
    close(client->fd);
    client->fd = -1;
    swarm->n_open--;
    queue_add(&swarm->vacant, client, swarm->now);
}

/* What is missing will not come any more. */
static void lose(struct swarm *swarm, struct client *client)
{
    struct tally *tally = &swarm->tally;

    tally->lost++;
    if (swarm->conduct.reading != READING_NEVER) {
        tally->lost_messages += client->out.message - client->in.message;
        tally->lost_bytes += client->out.position - client->in.position;
    }
    client_close(swarm, client);
}

/* The service has ended the connection. */
static void client_ended(struct swarm *swarm, struct client *client)
{
    if (client->is_shut && is_all_back(client)) {
        swarm->tally.finished++;
    } else if (client->gives_up) {
        /* It has brought that about. */
    } else if (client->in.message == 0 && client->in.position == 0) {
        swarm->tally.refused++;
    } else {
        lose(swarm, client);
        return;
    }
    client_close(swarm, client);
}

static void note_wait(struct swarm *swarm, struct client *client)
{
    uint64_t wait = swarm->now - client->moved;

    if (wait > swarm->tally.longest_wait_usec) {
        swarm->tally.longest_wait_usec = wait;
    }
    client->moved = swarm->now;
}

static void say_what_is_wrong(const struct client *client, const struct pattern_finding *finding)
{
    static const char *const words[] = {
        [PATTERN_LOST] = "bytes are missing before it",
        [PATTERN_REPEATED] = "bytes have come again",
        [PATTERN_SWAPPED] = "bytes are another client's",
        [PATTERN_CHANGED] = "bytes are wrong",
    };

    fprintf(stderr, "client %u, message %llu, byte %llu: %llu %s\n", client->sender,
            (unsigned long long)client->in.message,
            (unsigned long long)(client->in.position + finding->at),
            (unsigned long long)finding->bytes, words[finding->verdict]);
}

static void tally_finding(struct tally *tally, const struct pattern_finding *finding)
{
    uint64_t *const counts[] = {
        [PATTERN_LOST] = &tally->lost_bytes,
        [PATTERN_REPEATED] = &tally->repeated_bytes,
        [PATTERN_SWAPPED] = &tally->swapped_bytes,
        [PATTERN_CHANGED] = &tally->changed_bytes,
    };

    *counts[finding->verdict] += finding->bytes;
}

/*
 * If what has come is a later datagram, those before it were dropped. Goes on with it then. By its
 * length and its bytes: one of a few bytes does not say which it is.
 */
static bool skip_lost(struct swarm *swarm, struct client *client, size_t length)
{
    struct progress later = client->in;

    while (later.message < client->out.message) {
        if (rest_of(swarm, client, &later) == length &&
            pattern_check(swarm->buffer, length, client->sender, later.position).verdict ==
                PATTERN_RIGHT) {
            swarm->tally.lost_messages += later.message - client->in.message;
            swarm->tally.lost_bytes += later.position - client->in.position;
            client->in = later;
            return true;
        }
        progress(swarm, client, &later, rest_of(swarm, client, &later));
    }
    return false;
}

/* So much has come back as it should. */
static void pass(struct swarm *swarm, struct client *client, size_t length)
{
    swarm->tally.answered += client->in.message == 0 && client->in.position == 0;
    swarm->tally.bytes += length;
    do {
        size_t rest = rest_of(swarm, client, &client->in);
        size_t n = length < rest ? length : rest;
        progress(swarm, client, &client->in, n);
        swarm->tally.messages += client->in.done == 0;
        length -= n;
    } while (length > 0);
}

/* More has come than was sent. */
static bool is_surplus(const struct swarm *swarm, const struct client *client, size_t length)
{
    return client->in.position + length > client->out.position ||
           (swarm->type != SOCK_STREAM && client->in.message == client->out.message);
}

/* Whether what has come is a message and not as long as it should be. */
static bool is_cut_off(const struct swarm *swarm, const struct client *client, size_t length)
{
    return swarm->type != SOCK_STREAM && length != rest_of(swarm, client, &client->in);
}

/*
 * LENGTH bytes have come that should be the next ones; of a message, all of it. Returns whether
 * the client can go on.
 */
static bool take(struct swarm *swarm, struct client *client, size_t length)
{
    struct pattern_finding finding;

    if (swarm->type == SOCK_DGRAM && skip_lost(swarm, client, length)) {
        pass(swarm, client, length);
        return true;
    }
    finding = pattern_check(swarm->buffer, length, client->sender, client->in.position);
    if (finding.verdict == PATTERN_RIGHT && is_surplus(swarm, client, length)) {
        finding = (struct pattern_finding){PATTERN_REPEATED, 0, length > 0 ? length : 1};
    } else if (finding.verdict == PATTERN_RIGHT && is_cut_off(swarm, client, length)) {
        finding = (struct pattern_finding){PATTERN_CHANGED, length, 1};
    }
    if (finding.verdict != PATTERN_RIGHT) {
        say_what_is_wrong(client, &finding);
        tally_finding(&swarm->tally, &finding);
        return false;
    }
    pass(swarm, client, length);
    return true;
}

/* Returns whether the client is still there. */
static bool client_receive(struct swarm *swarm, struct client *client)
{
    for (;;) {
        ssize_t n = wire_receive(swarm, client->fd);
        if (n == -EAGAIN) {
            return true;
        }
        if (n < 0) {
            client_ended(swarm, client);
            return false;
        }
        note_wait(swarm, client);
        if (!take(swarm, client, (size_t)n)) {
            client_close(swarm, client);
            return false;
        }
    }
}

static bool may_send(const struct swarm *swarm, const struct client *client)
{
    const struct conduct *conduct = &swarm->conduct;

    return !swarm->stopping && !client->is_shut && !client->is_cut && !client->rests &&
           !client->gives_up && client->out.message < conduct->messages &&
           (conduct->reading != READING_ALWAYS ||
            client->out.message - client->in.message < conduct->window);
}

/* Returns 0, -EAGAIN, or another negative errno if the service has ended the connection. */
static int client_send(struct swarm *swarm, struct client *client)
{
    const struct conduct *conduct = &swarm->conduct;

    while (may_send(swarm, client)) {
        size_t length = rest_of(swarm, client, &client->out);
        ssize_t n;
        pattern_fill(swarm->buffer, length, client->sender, client->out.position);
        n = wire_send(swarm, client->fd, length);
        if (n < 0) {
            return (int)n;
        }
        if (is_all_back(client)) {
            client->moved = swarm->now;
        }
        progress(swarm, client, &client->out, (size_t)n);
        client->rests = conduct->pause_msec > 0 && client->out.done == 0 &&
                        client->out.message % conduct->window == 0;
    }
    return 0;
}

/* Waits before it sends more, if it has to. */
static void client_rest(struct swarm *swarm, struct client *client)
{
    if (client->is_blocked && swarm->type == SOCK_DGRAM && !client->queue) {
        queue_add(&swarm->retries, client, swarm->now);
    }
    if (client->rests && !client->queue &&
        (swarm->conduct.reading != READING_ALWAYS || is_all_back(client))) {
        queue_add(&swarm->pauses, client, swarm->now);
    }
}

static void leave_politely(struct swarm *swarm, struct client *client)
{
    if (swarm->type != SOCK_DGRAM) {
        if (!client->is_shut) {
            client->is_shut = true;
            (void)shutdown(client->fd, SHUT_WR);
        }
        return; /* the service ends it when all is back */
    }
    if (is_all_back(client)) {
        swarm->tally.finished++;
        client_close(swarm, client);
    }
}

/* Some wait for an answer, which they do not read; one to a datagram may never come. */
static void leave_abruptly(struct swarm *swarm, struct client *client)
{
    bool waits = client->sender % 2 == 0 && client->out.message > 0 && swarm->type != SOCK_DGRAM;

    if (!waits || client->is_answered || swarm->stopping) {
        client_close(swarm, client);
    }
}

/* The service answers, or, as nobody can be sure of an answer to datagrams, is asked. */
static bool has_begun(const struct swarm *swarm, const struct client *client)
{
    return swarm->type == SOCK_DGRAM ? client->out.message > 0 : client->in.message > 0;
}

static void leave_at_whim(struct swarm *swarm, struct client *client)
{
    if (swarm->stopping || (client->gives_up && !client->queue)) {
        client_close(swarm, client);
    } else if (!client->gives_up && has_begun(swarm, client)) {
        client->gives_up = true;
        whim(swarm, client->fd, pattern_random(client->sender, UINT32_MAX));
        if (!client->queue) {
            queue_add(&swarm->retries, client, swarm->now);
        }
    }
}

static void client_leave(struct swarm *swarm, struct client *client)
{
    bool has_sent_all = client->out.message >= swarm->conduct.messages || swarm->stopping;

    switch (swarm->conduct.leaving) {
    case LEAVING_POLITELY:
        if (has_sent_all) {
            leave_politely(swarm, client);
        }
        break;
    case LEAVING_ABRUPTLY:
        if (has_sent_all || client->is_blocked) {
            leave_abruptly(swarm, client);
        }
        break;
    case LEAVING_LAST:
        if (swarm->stopping) {
            client_close(swarm, client);
        }
        break;
    case LEAVING_AT_WHIM:
        leave_at_whim(swarm, client);
        break;
    }
}

void client_run(struct swarm *swarm, struct client *client, uint32_t events)
{
    int r;

    client->is_answered |= (events & (EPOLLIN | EPOLLHUP | EPOLLRDHUP | EPOLLERR)) != 0;
    if (!reads(swarm) && events & EPOLLHUP) {
        client_ended(swarm, client);
        return;
    }
    if (reads(swarm) && !client->gives_up && !client_receive(swarm, client)) {
        return;
    }
    r = client_send(swarm, client);
    client->is_blocked = r == -EAGAIN;
    if (r < 0 && r != -EAGAIN) {
        if (r != -EPIPE && r != -ECONNRESET && r != -ECONNREFUSED) {
            errx(1, "client %u could not send: %s", client->sender, strerror(-r));
        }
        if (!reads(swarm) || swarm->type == SOCK_DGRAM) {
            client_ended(swarm, client);
            return;
        }
        client->is_cut = true; /* the end comes after what it is still owed */
    }
    client_rest(swarm, client);
    client_leave(swarm, client);
}

void client_despair(struct swarm *swarm, struct client *client)
{
    fprintf(stderr, "client %u: %llu bytes have not come back\n", client->sender,
            (unsigned long long)(client->out.position - client->in.position));
    lose(swarm, client);
}
