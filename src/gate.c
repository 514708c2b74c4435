// SPDX-License-Identifier: MIT
#include "gate.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "loop.h"

struct gate {
    struct policy *policy;
    unsigned needs; /* of the policy */
    struct audit *audit;
    struct peer peer;                /* who was judged last */
    struct policy_decision decision; /* and how */
};

int gate_new(struct policy *policy, size_t records, struct gate **ret)
{
    struct gate *gate = malloc(sizeof(*gate));
    struct audit *audit = audit_new(records);

    if (!gate || !audit) {
        free(gate);
        audit_free(audit);
        policy_unref(policy);
        return -ENOMEM;
    }
    gate->policy = policy;
    gate->needs = policy_needs(policy);
    gate->audit = audit;
    *ret = gate;
    return 0;
}

void gate_free(struct gate *gate)
{
    if (!gate) {
        return;
    }
    policy_unref(gate->policy);
    audit_free(gate->audit);
    free(gate);
}

void gate_set_policy(struct gate *gate, struct policy *policy)
{
    policy_unref(gate->policy);
    gate->policy = policy;
    gate->needs = policy_needs(policy);
}

unsigned gate_needs(const struct gate *gate, enum role role)
{
    switch (role) {
    case ROLE_ECHO:
        return 0;
    case ROLE_AUTH:
        return gate->needs;
    case ROLE_WHOAMI:
        return POLICY_NEEDS_GROUPS | POLICY_NEEDS_UNIT | POLICY_NEEDS_LABEL;
    }
    return 0;
}

/* Decides on gate->peer, and writes that down. */
static enum gate_verdict judge(struct gate *gate, struct counters *counters, enum role role,
                               int type)
{
    uint64_t forgotten;

    gate->decision = policy_match(gate->policy, &gate->peer.identity);
    forgotten = audit_decision(gate->audit, loop_now(), role, type, &gate->peer, gate->decision);
    counter_add(counters, COUNTER_AUDIT_LOST, (int64_t)forgotten);
    if (role == ROLE_WHOAMI) {
        counter_add(counters, COUNTER_TOLD, 1);
        return GATE_TELL;
    }
    if (!gate->decision.allow) {
        counter_add(counters, COUNTER_DENIED, 1);
        return GATE_REFUSE;
    }
    return GATE_ADMIT;
}

int gate_judge_connection(struct gate *gate, struct counters *counters, enum role role, int fd,
                          int type)
{
    int r = peer_of_connection(&gate->peer, fd, gate_needs(gate, role));

    return r < 0 ? r : (int)judge(gate, counters, role, type);
}

int gate_judge_datagram(struct gate *gate, struct counters *counters, enum role role,
                        struct msghdr *message)
{
    int r = peer_of_message(&gate->peer, message, gate_needs(gate, role));

    return r < 0 ? r : (int)judge(gate, counters, role, SOCK_DGRAM);
}

struct text {
    char *bytes;
    size_t size;
    size_t length; /* beyond SIZE if it did not fit */
};

static void append(struct text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void append(struct text *text, const char *format, ...)
{
    size_t at = text->length < text->size ? text->length : text->size;
    va_list arguments;
    int n;

    va_start(arguments, format);
    n = vsnprintf(text->bytes + at, text->size - at, format, arguments);
    va_end(arguments);
    text->length += n > 0 ? (size_t)n : 0;
}

ssize_t gate_tell(const struct gate *gate, char *bytes, size_t size)
{
    const struct identity *identity = &gate->peer.identity;
    struct text text = {.bytes = bytes, .size = size};

    if (identity->has_uid) {
        append(&text, "UID=%" PRIu32 "\n", (uint32_t)identity->uid);
    }
    if (identity->has_gid) {
        append(&text, "GID=%" PRIu32 "\n", (uint32_t)identity->gid);
    }
    if (identity->groups) {
        append(&text, "GROUPS=");
        for (size_t i = 0; i < identity->n_groups; i++) {
            append(&text, "%s%" PRIu32, i == 0 ? "" : ",", (uint32_t)identity->groups[i]);
        }
        append(&text, "\n");
    }
    if (gate->peer.pid_holds) {
        append(&text, "PID=%d\n", (int)gate->peer.pid);
    }
    if (identity->unit) {
        append(&text, "UNIT=%s\n", identity->unit);
    }
    if (identity->label) {
        append(&text, "LABEL=%s\n", identity->label);
    }
    append(&text, "VERDICT=%s\n", gate->decision.allow ? "allow" : "deny");
    return text.length < size ? (ssize_t)text.length : -EMSGSIZE;
}

bool gate_keep_audit(struct gate *gate, struct counters *counters, bool final)
{
    if (final || audit_deadline(gate->audit) <= loop_now()) {
        uint64_t forgotten = audit_flush(gate->audit, loop_now(), final);
        counter_add(counters, COUNTER_AUDIT_LOST, (int64_t)forgotten);
    }
    return audit_has_news(gate->audit);
}

uint64_t gate_deadline(const struct gate *gate)
{
    return audit_deadline(gate->audit);
}

struct audit *gate_audit(const struct gate *gate)
{
    return gate->audit;
}
