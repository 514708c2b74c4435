// SPDX-License-Identifier: MIT
#pragma once

/*
 * uds-echo, the client for people. Each subcommand is a file cmd_….c with one function here; what
 * they share is in target (which socket), session (talking to it), output (terminal and JSON).
 */

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>

#include "target.h"

/* Exit statuses, the same for every subcommand. */
enum {
    STATUS_OK = 0,
    STATUS_WRONG = 1,       /* what came back was wrong, or something was lost */
    STATUS_REFUSED = 2,     /* by file permissions, or by the service's policy */
    STATUS_UNREACHABLE = 3, /* nobody answers there */
    STATUS_USAGE = 64,
};

#define DEFAULT_SOCKET "/run/uds-echo/stream.sock"

/* What every subcommand takes. */
struct common {
    int type; /* SOCK_…, or 0: to be found out */
    bool json;
    uint64_t timeout_usec; /* for a connection or an answer; 5 s by default */
};

/* For the arrays of getopt_long(3). */
#define COMMON_OPTIONS                                                                             \
    {"type", required_argument, NULL, 't'}, {"json", no_argument, NULL, 'j'},                      \
        {"timeout", required_argument, NULL, 'w'},                                                 \
    {                                                                                              \
        "help", no_argument, NULL, 'h'                                                             \
    }
#define COMMON_SHORT ":t:jw:h"

extern const struct common common_defaults;

/*
 * Takes the option OPTION, as getopt_long(3) has returned it for the letters SHORTS, if it is a
 * common one, of the subcommand COMMAND. Options without a letter have values above 255. Returns -1
 * to go on, or the exit status if that was wrong (one line has said how), or if help was asked for
 * and shown.
 */
int common_take(struct common *common, const char *command, int option, const char *shorts,
                char **argv);

/* Says on standard error that the command line is wrong, and returns STATUS_USAGE. */
int usage_error(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Says on standard error what went wrong: "uds-echo: ….". */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Reads a decimal number from MIN to MAX. Returns whether it is one. */
bool read_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret);

/* Reads a size in bytes, with K, M or G behind it on request (powers of 1,024). */
bool read_size(const char *text, uint64_t min, uint64_t max, uint64_t *ret);

/*
 * Reads TEXT as the socket of a subcommand (NULL: the default one) into TARGET, with the type that
 * COMMON insists on. Returns 0, or STATUS_USAGE after saying what is wrong with it.
 */
int take_target(const struct common *common, const char *command, const char *text,
                struct target *target);

/*
 * Says why TARGET cannot be talked to, by R, a negative errno of target_connect() or
 * session_exchange(), with a hint at the doctor. Returns the exit status.
 */
int target_complain(const struct target *target, int r);

/* The same where nothing else is said: with --json as an object {"socket", "error"}, too. */
int target_fail(const struct common *common, const struct target *target, int r);

/* Says that the service at TARGET has refused this client by its policy. Returns STATUS_REFUSED. */
int policy_complain(const struct target *target);

/* The subcommands. ARGV[0] is the subcommand's name. They return an exit status. */
int cmd_send(int argc, char **argv);
int cmd_ping(int argc, char **argv);
int cmd_whoami(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_bench(int argc, char **argv);

/* Writes the manual page's part on SUBCOMMAND (NULL: the whole) to standard output. Returns whether
 * there is one. */
bool manual_show(const char *subcommand);
