// SPDX-License-Identifier: MIT
#pragma once

/*
 * The gate: where the roles auth and whoami ask the kernel who a client is, and the policy whether
 * it may come in. A client is judged once when it connects, a datagram each time; what was decided
 * is written to the audit (audit.h).
 *
 * A worker has one gate if it serves one of these roles. A new policy applies to whoever comes
 * next; those who are connected stay.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "activation.h"
#include "audit.h"
#include "counters.h"
#include "peer.h"

struct gate;

/* What a client is told. */
#define GATE_WELCOME "Welcome\n"
#define GATE_DENIED "Access denied\n"

/* Takes POLICY over, also if it fails; the audit has room for RECORDS. Returns 0 or -ENOMEM.
 * gate_free() takes NULL. */
int gate_new(struct policy *policy, size_t records, struct gate **ret);
void gate_free(struct gate *gate);

/* Puts another policy in force, which it takes over, and lets go of the one before. */
void gate_set_policy(struct gate *gate, struct policy *policy);

/* What is to be known of a client in ROLE: a set of enum policy_need. */
unsigned gate_needs(const struct gate *gate, enum role role);

enum gate_verdict {
    GATE_ADMIT,
    GATE_REFUSE,
    GATE_TELL, /* neither: it is told who it is */
};

/*
 * Judge the client that is connected to FD, a Unix socket of TYPE, or the sender of the datagram in
 * MESSAGE, which must be as recvmsg(2) has left it; descriptors in it are closed. Return an enum
 * gate_verdict, or a negative errno if there is no descriptor or memory to find out who it is: then
 * it must not be served.
 */
int gate_judge_connection(struct gate *gate, struct counters *counters, enum role role, int fd,
                          int type);
int gate_judge_datagram(struct gate *gate, struct counters *counters, enum role role,
                        struct msghdr *message);

/*
 * What the client that was judged last is told of itself, in at most SIZE bytes at TEXT: a line
 * KEY=VALUE for each thing that is known, and the verdict. Returns the length, or -EMSGSIZE.
 */
ssize_t gate_tell(const struct gate *gate, char *text, size_t size);

/* Writes to the audit what is due, FINAL: all. Returns whether there is something to be read. */
bool gate_keep_audit(struct gate *gate, struct counters *counters, bool final);

/* When that is to be called, CLOCK_MONOTONIC in microseconds; UINT64_MAX if nothing is due. */
uint64_t gate_deadline(const struct gate *gate);

/* For the control plane, which reads it. */
struct audit *gate_audit(const struct gate *gate);
