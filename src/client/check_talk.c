// SPDX-License-Identifier: MIT

/* From the connection to the reply: what the kernel's and the service's answers mean. */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "session.h"
#include "util.h"

static bool is_abstract(const struct target *target)
{
    return target->family == AF_UNIX && target->text[0] == '@';
}

/* The type that the socket really has, 0 if that cannot be found out. */
static int real_type(const struct check *check)
{
    struct target target = check->target;
    int fd;

    target.type = 0;
    fd = target_connect(&target, check->timeout_usec);
    fd_close(&fd);
    return target.type;
}

/* The cause behind what the kernel says of an address. */
static enum cause cause_of(const struct target *target, int error)
{
    switch (error) {
    case EPROTOTYPE:
        return CAUSE_WRONG_TYPE;
    case ECONNREFUSED:
    case ECONNRESET: /* vsock(7) */
        return is_abstract(target) ? CAUSE_NO_NAME : CAUSE_NOBODY_LISTENING;
    case ETIMEDOUT:
        return target->family == AF_UNIX ? CAUSE_BACKLOG_FULL : CAUSE_CONNECT_TIMEOUT;
    case EACCES:
    case EPERM:
        return CAUSE_CONNECT_FORBIDDEN;
    case EHOSTUNREACH:
    case EHOSTDOWN:
    case ENETUNREACH:
    case ENETDOWN:
    case EADDRNOTAVAIL:
    case ENODEV:
        return CAUSE_UNREACHABLE;
    case EAFNOSUPPORT:
    case EPROTONOSUPPORT:
    case ESOCKTNOSUPPORT:
        return CAUSE_NOT_SUPPORTED;
    case ENOENT:
        return CAUSE_NO_FILE; /* any more */
    default:
        return CAUSE_SYSTEM_ERROR;
    }
}

static void report_wrong_type(struct check *check, int type)
{
    int wanted = check->target.type;

    check->target.type = type;
    if (type == 0) {
        report_fail(&check->report, CAUSE_WRONG_TYPE, "%s is not a %s socket.", check->target.text,
                    target_type_name(wanted));
        return;
    }
    report_fail(&check->report, CAUSE_WRONG_TYPE, "%s is a %s socket, and not a %s socket.",
                check->target.text, target_type_name(type), target_type_name(wanted));
}

/* Says that the address cannot be had because of check->error. */
static void report_unreached(struct check *check)
{
    struct report *report = &check->report;
    const char *text = check->target.text;
    const char *reason = strerror(check->error);
    enum cause cause = cause_of(&check->target, check->error);
    char span[OUTPUT_TEXT_MAX];

    if (check->target.unresolved) {
        report_fail(report, CAUSE_NAME_NOT_FOUND, "The name of the host in %s is not found: %s.",
                    text, check->target.unresolved);
        return;
    }
    output_time(&report->terminal, (double)check->timeout_usec, span);
    if (cause == CAUSE_NOBODY_LISTENING && check->target.family == AF_UNIX) {
        report_fail(report, cause,
                    "Nobody listens at %s: the file is what an ended service has left behind.",
                    text);
    } else if (cause == CAUSE_NOBODY_LISTENING) {
        report_fail(report, cause, "Nobody listens at %s.", text);
    } else if (cause == CAUSE_NO_NAME) {
        report_fail(report, cause, "Nobody here has the abstract name %s.", text);
    } else if (cause == CAUSE_BACKLOG_FULL) {
        report_fail(report, cause,
                    "The backlog of %s is full: no room in it for a connection within %s.", text,
                    span);
    } else if (cause == CAUSE_CONNECT_TIMEOUT) {
        report_fail(report, cause, "Nobody at %s has answered within %s.", text, span);
    } else if (cause == CAUSE_CONNECT_FORBIDDEN) {
        report_fail(report, cause, "The kernel does not let you connect to %s: %s.", text, reason);
    } else if (cause == CAUSE_NOT_SUPPORTED) {
        report_fail(report, cause, "The kernel has no sockets for %s: %s.", text, reason);
    } else {
        report_fail(report, cause, "%s cannot be reached: %s.", text, reason);
    }
}

static bool open_session(struct check *check, struct session *session)
{
    struct report *report = &check->report;
    int insisted = check->target.family == AF_UNIX ? check->target.type : 0;
    int r = session_open(session, &check->target, check->timeout_usec);
    int type = 0;

    check->error = -r;
    /* An abstract name of another type looks like none. */
    if (r == -EPROTOTYPE || (r == -ECONNREFUSED && is_abstract(&check->target) && insisted != 0)) {
        type = real_type(check);
    }
    if (r == -EPROTOTYPE || type != 0) {
        report_wrong_type(check, type);
        return false;
    }
    if (r < 0) {
        report_unreached(check);
        return false;
    }
    if (session->type != SOCK_DGRAM) {
        report_pass(report, "It is a %s socket, and you are connected",
                    target_type_name(session->type));
    } else if (check->target.family == AF_UNIX) {
        report_pass(report, "It is a dgram socket, and somebody has it open");
    }
    return true;
}

static uint64_t now_usec(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Whether systemd says that the service has failed. If so, reports that: nothing can come back. */
static bool report_failed(struct check *check)
{
    struct unit *unit = &check->unit;
    char failure[FAILURE_TEXT_MAX];

    unit_look(unit);
    if (unit->found != UNIT_FOUND || !unit_service_has_failed(unit)) {
        return false;
    }
    report_fail(&check->report, CAUSE_SERVICE_FAILED,
                "The message has not come back: %s, which systemd starts for it, has failed: %s.",
                unit->service, unit_failure(unit, failure));
    return true;
}

/* Says what has come instead of the echo, because of check->error. */
static void report_unanswered(struct check *check)
{
    struct report *report = &check->report;
    bool is_silent =
        check->error == ETIMEDOUT || check->error == ECONNRESET || check->error == EPIPE;
    char span[OUTPUT_TEXT_MAX];

    if (is_silent && report_failed(check)) {
        return;
    }
    switch (check->error) {
    case EACCES:
        report_fail(report, CAUSE_REFUSED_BY_POLICY,
                    "The service has refused you by its policy: \"Access denied\".");
        break;
    case ETIMEDOUT:
        report_fail(report, CAUSE_NO_ANSWER,
                    "The message has not come back, or not all of it, within %s.",
                    output_time(&report->terminal, (double)check->timeout_usec, span));
        break;
    case EBADMSG:
        report_fail(report, CAUSE_WRONG_ANSWER, "What came back is not the message that was sent.");
        break;
    case ECONNRESET:
    case EPIPE:
        report_fail(report, CAUSE_CLOSED,
                    "The service has closed the connection before the message came back.");
        break;
    default:
        /* A datagram may hear only now that nobody is there. */
        report_unreached(check);
        break;
    }
}

bool talk(struct check *check)
{
    struct report *report = &check->report;
    struct session session;
    char message[64];
    uint64_t begin;
    int r;

    if (!open_session(check, &session)) {
        return false;
    }
    begin = now_usec();
    snprintf(message, sizeof(message), "uds-echo check %d %llu\n", (int)getpid(),
             (unsigned long long)begin);
    r = session_exchange(&session, message, strlen(message), check->timeout_usec);
    check->round_trip_usec = now_usec() - begin;
    session_close(&session);
    check->error = -r;
    if (session.welcomed) {
        report_pass(report, "The service has admitted you: \"Welcome\"");
    }
    if (r < 0) {
        report_unanswered(check);
        return false;
    }
    report_pass(report, "A message has come back as it was sent");
    return true;
}
