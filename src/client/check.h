// SPDX-License-Identifier: MIT
#pragma once

/*
 * uds-echo check: the way from the path to the reply, one step after the other, up to the first
 * that goes wrong.
 *
 *   check_path    along the directories and symbolic links to the file
 *   check_access  in words: who may enter or connect, and who one is oneself
 *   check_talk    connects, and has a message come back
 *   check_advice  what to do about what went wrong, with check_units on systemd's units
 *   check_report  what was found, for people as it comes and for programs at the end
 */

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "output.h"
#include "target.h"
#include "unit.h"

/* What can go wrong. Each has a name that programs may rely on, and an exit status. */
enum cause {
    CAUSE_NONE,
    CAUSE_NO_DIRECTORY,
    CAUSE_NOT_A_DIRECTORY,
    CAUSE_DIRECTORY_FORBIDDEN,
    CAUSE_LINK_LOOP,
    CAUSE_NO_FILE,
    CAUSE_NOT_A_SOCKET,
    CAUSE_FILE_FORBIDDEN,
    CAUSE_NO_NAME, /* an abstract one */
    CAUSE_NOBODY_LISTENING,
    CAUSE_WRONG_TYPE,
    CAUSE_BACKLOG_FULL,
    CAUSE_CONNECT_FORBIDDEN,
    CAUSE_UNREACHABLE,
    CAUSE_NAME_NOT_FOUND, /* of a host */
    CAUSE_CONNECT_TIMEOUT,
    CAUSE_NOT_SUPPORTED,
    CAUSE_SERVICE_FAILED, /* systemd has tried to start it */
    CAUSE_REFUSED_BY_POLICY,
    CAUSE_NO_ANSWER,
    CAUSE_WRONG_ANSWER,
    CAUSE_CLOSED,
    CAUSE_SYSTEM_ERROR, /* whatever else the kernel says */
};

const char *cause_name(enum cause cause);
int cause_status(enum cause cause);

/*
 * What was found. For people it is printed as it is added; for programs it is kept. Control
 * characters, which a file's name may have, are replaced.
 */
struct report {
    bool json;
    struct terminal terminal;
    json_t *steps;  /* of objects */
    json_t *advice; /* of strings */
    enum cause cause;
    json_t *message; /* a string, with the cause */
};

void report_init(struct report *report, bool json);
void report_deinit(struct report *report);

/* A step that went well; one that was said before is not said again. */
void report_pass(struct report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The step that did not, as a sentence. There is but one, the last. */
void report_fail(struct report *report, enum cause cause, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* What to do about it: a sentence, or a command on a line of its own. */
void report_advise(struct report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void report_command(struct report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The way along a path. */
struct path {
    char resolved[PATH_MAX]; /* absolute, without symbolic links as far as one came; or "" */
    char link[PATH_MAX];     /* the last symbolic link on the way, or "" */
    struct stat status;      /* of what is there at the end, or of what is in the way */
};

/*
 * Walks along TEXT and reports. Returns whether there is a socket at the end that one may connect
 * to.
 */
bool path_walk(struct path *path, const char *text, struct report *report);

struct check {
    struct report report;
    struct target target;
    uint64_t timeout_usec;
    struct path path; /* of a Unix socket with a file */
    struct unit unit; /* of a Unix socket */
    int error;        /* what the kernel said, if it was asked, positive */
    uint64_t round_trip_usec;
};

/* Connects and exchanges a message, and reports. Returns whether its echo has come back. */
bool talk(struct check *check);

/* Says what to do about the cause in the report. */
void advise(struct check *check);

/* Of that: if nobody is at the address, if the service does not do as it should, and if it failed.
 */
void advise_absent(struct check *check);
void advise_service(struct check *check);
void advise_failed(struct check *check);

/* What to do if nobody is at the address that the unit was to listen at. */
void advise_found(struct check *check);

/* Who may give commands on the unit, as an end of "To start it". */
const char *as_root(const struct unit *unit);

/* "exit status 78" of the service, or what else it has failed of. Returns TEXT. */
enum { FAILURE_TEXT_MAX = 128 };
const char *unit_failure(const struct unit *unit, char text[static FAILURE_TEXT_MAX]);

enum { ACCESS_TEXT_MAX = 1024 };

/*
 * "owner root, group uds-echo, mode 0660" of STATUS, and "you are alice (uid 1000), in the groups
 * alice, users" of this process. They return TEXT.
 */
const char *access_of_file(const struct stat *status, char text[static ACCESS_TEXT_MAX]);
const char *access_of_self(char text[static ACCESS_TEXT_MAX]);

enum access_need { ACCESS_ENTER = S_IXOTH, ACCESS_CONNECT = S_IWOTH };

/* Says how to get what one NEEDs of the directory or socket of STATUS, which UNIT owns. */
void access_advise(struct report *report, const struct stat *status, enum access_need need,
                   const struct unit *unit);
