// SPDX-License-Identifier: MIT
#pragma once

/*
 * Who may come in: rules read from a file, matched top to bottom against what the kernel says of a
 * peer. The first that matches decides; if none does, the peer is refused.
 *
 *     # comment
 *     allow user  root
 *     deny  user  mallory
 *     allow group uds-echo            # the peer's gid or any of its supplementary groups
 *     allow unit  backup-*.service    # shell pattern on the peer's systemd unit
 *     allow label system_u:system_r:httpd_t:s0
 *
 * Names are resolved when the file is read, never while serving, because a look-up can block. A
 * policy never changes, so threads may share one: a reload makes another one.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

/* The id that the kernel shows for one that is not mapped in the reader's user namespace. */
enum { POLICY_OVERFLOW_ID = 65534 };

/* What is known of a peer. What is absent (has_… false, NULL) is matched by no rule. */
struct identity {
    bool has_uid;
    bool has_gid;
    uid_t uid;
    gid_t gid;
    const gid_t *groups; /* supplementary ones */
    size_t n_groups;
    const char *unit;
    const char *label;
};

/* What rules ask for, so that nobody has to find out more: a set of flags. */
enum policy_need {
    POLICY_NEEDS_GROUPS = 1 << 0,
    POLICY_NEEDS_UNIT = 1 << 1,
    POLICY_NEEDS_LABEL = 1 << 2,
};

struct policy_decision {
    bool allow;
    unsigned line; /* of the rule that decided; 0 if none matched */
};

/* How names become numbers. Return 0, -ESRCH if there is no such name, or another negative errno.
 */
struct policy_names {
    int (*user)(const char *name, uid_t *uid);
    int (*group)(const char *name, gid_t *gid);
};

/* The host's user database (getpwnam(3), getgrnam(3)). */
extern const struct policy_names policy_names_of_host;

/* Told of each mistake: its LINE (0: of the file as a whole), the WORD that it is about, and what
 * is wrong. */
typedef void (*policy_report)(void *context, unsigned line, const char *word, const char *reason);

struct policy;

/*
 * Reads the policy in TEXT of LENGTH bytes. Returns 0, -EINVAL after all mistakes have been
 * reported, or -ENOMEM.
 */
int policy_parse(const char *text, size_t length, const struct policy_names *names,
                 policy_report report, void *context, struct policy **ret);

/*
 * Reads the policy in the file at PATH. A file that others than root, or than the user who runs
 * this, may write is refused. Returns as policy_parse(), or another negative errno; each has been
 * reported.
 */
int policy_load(const char *path, const struct policy_names *names, policy_report report,
                void *context, struct policy **ret);

/* The same with the host's names; each mistake is a line in the log. */
int policy_load_or_log(const char *path, struct policy **ret);

/* Who takes a policy over has one reference to it; the last one frees it. NULL is fine for both. */
struct policy *policy_ref(struct policy *policy);
void policy_unref(struct policy *policy);

size_t policy_size(const struct policy *policy);

/* The set of enum policy_need. */
unsigned policy_needs(const struct policy *policy);

struct policy_decision policy_match(const struct policy *policy, const struct identity *identity);

/* Writes what was understood, a rule a line. */
void policy_print(const struct policy *policy, FILE *file);
