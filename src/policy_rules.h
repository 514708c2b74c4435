// SPDX-License-Identifier: MIT
#pragma once

/* What a policy consists of: for the code that reads it and the code that matches it, for nobody
 * else. */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum subject { SUBJECT_USER, SUBJECT_GROUP, SUBJECT_UNIT, SUBJECT_LABEL, SUBJECT_MAX };

/* "user", "group", "unit", "label" */
extern const char *const policy_subject_names[SUBJECT_MAX];

struct rule {
    unsigned line;
    bool allow;
    enum subject subject;
    id_t id;    /* of a user or group */
    char *text; /* as written: a name or number, a pattern, a label */
};

struct policy {
    atomic_size_t more_references; /* besides the first */
    struct rule *rules;
    size_t n_rules;
};

/* Whether a user or group is written as a number. */
bool policy_is_number(const char *word);
