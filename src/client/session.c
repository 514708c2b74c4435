// SPDX-License-Identifier: MIT
#include "session.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"
#include "wait.h"

int session_open(struct session *session, struct target *target, uint64_t timeout_usec)
{
    int fd = target_connect(target, timeout_usec);

    *session = (struct session){.fd = fd, .type = target->type};
    return fd < 0 ? fd : 0;
}

void session_close(struct session *session)
{
    fd_close(&session->fd);
}

/* Whether SIZE bytes at DATA are the beginning of WORD, or more than that. */
static bool begins(const void *data, size_t size, const char *word)
{
    size_t length = strlen(word);

    return memcmp(data, word, size < length ? size : length) == 0;
}

enum greeting session_greeting(const void *data, size_t size, const void *sent, size_t length)
{
    static const struct {
        const char *word;
        enum greeting meaning;
    } words[] = {{SESSION_WELCOME, GREETING_WELCOME}, {SESSION_DENIED, GREETING_DENIED}};

    for (size_t i = 0; i < ELEMENTS(words); i++) {
        if (size == 0 || !begins(data, size, words[i].word) ||
            (length > 0 && begins(sent, length, words[i].word))) {
            continue;
        }
        return size < strlen(words[i].word) ? GREETING_MORE : words[i].meaning;
    }
    return GREETING_NONE;
}

/* What is on its way in one direction. */
struct progress {
    size_t sent;
    bool all_sent;   /* or given up, because the service takes no more */
    size_t received; /* into the buffer */
    bool message;    /* something has come back, be it empty */
};

static int send_some(const struct session *session, const char *message, size_t length,
                     struct progress *progress)
{
    ssize_t n = send(session->fd, message + progress->sent, length - progress->sent,
                     MSG_DONTWAIT | MSG_NOSIGNAL);

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return 0;
    }
    if (n < 0 && errno != EPIPE) {
        return -errno;
    }
    /* EPIPE: why may be in what has come back. */
    progress->sent += n > 0 ? (size_t)n : 0;
    progress->all_sent = n < 0 || session->type != SOCK_STREAM || progress->sent == length;
    return 0;
}

/*
 * Looks for a greeting at the beginning of what has come back and takes it off. A message is one
 * whole, or none.
 */
static int take_greeting(struct session *session, char *buffer, const char *message, size_t length,
                         struct progress *progress)
{
    bool whole = session->type != SOCK_STREAM;
    enum greeting greeting = whole ? session_greeting(buffer, progress->received, "", 0)
                                   : session_greeting(buffer, progress->received, message, length);

    if (whole && progress->received == length && memcmp(buffer, message, length) == 0) {
        greeting = GREETING_NONE;
    }
    switch (greeting) {
    case GREETING_MORE:
        session->greeted = whole;
        return 0;
    case GREETING_DENIED:
        return -EACCES;
    case GREETING_WELCOME:
        session->greeted = true;
        session->welcomed = true;
        progress->received -= strlen(SESSION_WELCOME);
        memmove(buffer, buffer + strlen(SESSION_WELCOME), progress->received);
        progress->message = false;
        return 0;
    case GREETING_NONE:
        break;
    }
    session->greeted = true;
    return 0;
}

/* Whether the service has closed the connection: nothing that is received then is no message. */
static bool has_ended(const struct session *session)
{
    struct pollfd event = {.fd = session->fd, .events = POLLRDHUP};

    return session->type == SOCK_STREAM || poll(&event, 1, 0) > 0;
}

ssize_t session_receive(int fd, int type, void *buffer, size_t size)
{
    int flags = MSG_DONTWAIT | (type == SOCK_STREAM ? 0 : MSG_TRUNC);
    ssize_t n = recv(fd, buffer, size, flags);

    /* The kernel looks for a message first and then whether that was the end (unix_dgram_recvmsg()
     * in Linux 6.18): a last message may have come in between, which another look finds. */
    if (n == 0 && type == SOCK_SEQPACKET) {
        ssize_t again = recv(fd, buffer, size, flags);
        n = again > 0 ? again : n;
    }
    return n < 0 ? -errno : n;
}

static int receive_some(struct session *session, char *buffer, size_t size, const char *message,
                        size_t length, struct progress *progress)
{
    ssize_t n = session_receive(session->fd, session->type, buffer + progress->received,
                                size - progress->received);

    if (n < 0) {
        return n == -EAGAIN || n == -EINTR ? 0 : (int)n;
    }
    if (n == 0 && session->type != SOCK_DGRAM && (length > 0 || has_ended(session))) {
        return -ECONNRESET;
    }
    if ((size_t)n > size - progress->received) {
        return -EBADMSG;
    }
    progress->received += (size_t)n;
    progress->message = true;
    return session->greeted ? 0 : take_greeting(session, buffer, message, length, progress);
}

static bool is_complete(const struct session *session, const struct progress *progress,
                        size_t length)
{
    if (session->type == SOCK_STREAM) {
        return progress->received >= length && (session->greeted || length == 0);
    }
    return progress->message;
}

int session_exchange(struct session *session, const void *message, size_t length,
                     uint64_t timeout_usec)
{
    size_t size = length + sizeof(SESSION_DENIED);
    CLEANUP(free_pointer) char *buffer = malloc(size);
    uint64_t deadline = wait_deadline(timeout_usec);
    struct progress progress = {0};

    if (!buffer) {
        return -ENOMEM;
    }
    while (!progress.all_sent || !is_complete(session, &progress, length)) {
        int r =
            wait_for(session->fd, (short)(POLLIN | (progress.all_sent ? 0 : POLLOUT)), deadline);
        if (r == 0 && !progress.all_sent) {
            r = send_some(session, message, length, &progress);
        }
        if (r == 0 && !is_complete(session, &progress, length)) {
            r = receive_some(session, buffer, size, message, length, &progress);
        }
        if (r < 0) {
            return r;
        }
        /* More than was sent is no echo. */
        if (session->type == SOCK_STREAM && session->greeted && progress.received > progress.sent) {
            return -EBADMSG;
        }
    }
    return progress.received == length && memcmp(buffer, message, length) == 0 ? 0 : -EBADMSG;
}
