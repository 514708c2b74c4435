// SPDX-License-Identifier: MIT
#pragma once

/*
 * uds-echo ping: what is asked for and what has become of it, between the command, which sends
 * (cmd_ping), and what it says (ping_report).
 */

#include <stdbool.h>
#include <stdint.h>

#include "client.h"
#include "histogram.h"
#include "output.h"
#include "session.h"
#include "target.h"

struct ping {
    struct common common;
    struct target target;
    char *name; /* the target's, fit for a terminal */
    struct terminal terminal;
    uint64_t count; /* UINT64_MAX: until Ctrl-C */
    uint64_t interval_usec;
    uint64_t size;
    bool quiet;
    bool reconnect;

    struct session session;
    char *message;
    struct histogram times;  /* nanoseconds, without that of the activation */
    uint64_t activated_nsec; /* 0: the service was not started by this */
    bool activates;          /* the next reply comes from a service that has to be started */
    uint64_t sent;
    uint64_t checked;
    uint64_t wrong;
    uint64_t lost;
    uint64_t pause_usec; /* before the last connection; 0 as soon as a reply has come */
    uint64_t reconnects;
};

/* Which socket it is, once connected. */
void ping_tell_begin(const struct ping *ping);

/* The line of a reply that took NSEC nanoseconds. */
void ping_tell_reply(const struct ping *ping, uint64_t number, uint64_t nsec, bool activated);

/* Counts the message that has not come back, because of R, and says what became of it. */
void ping_tell_failure(struct ping *ping, int r);

/* The end, for people and for programs. The latter returns whether it could be written. */
void ping_print_summary(const struct ping *ping);
bool ping_print_json(const struct ping *ping);
