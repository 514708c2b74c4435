// SPDX-License-Identifier: MIT
#include "policy.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <string.h>

#include "policy_rules.h"
#include "util.h"

const char *const policy_subject_names[SUBJECT_MAX] = {
    [SUBJECT_USER] = "user",
    [SUBJECT_GROUP] = "group",
    [SUBJECT_UNIT] = "unit",
    [SUBJECT_LABEL] = "label",
};

bool policy_is_number(const char *word)
{
    return word[strspn(word, "0123456789")] == '\0';
}

struct policy *policy_ref(struct policy *policy)
{
    if (policy) {
        atomic_fetch_add_explicit(&policy->more_references, 1, memory_order_relaxed);
    }
    return policy;
}

void policy_unref(struct policy *policy)
{
    if (!policy ||
        atomic_fetch_sub_explicit(&policy->more_references, 1, memory_order_acq_rel) > 0) {
        return;
    }
    for (size_t i = 0; i < policy->n_rules; i++) {
        free(policy->rules[i].text);
    }
    free(policy->rules);
    free(policy);
}

size_t policy_size(const struct policy *policy)
{
    return policy->n_rules;
}

unsigned policy_needs(const struct policy *policy)
{
    static const unsigned needs[SUBJECT_MAX] = {
        [SUBJECT_USER] = 0,
        [SUBJECT_GROUP] = POLICY_NEEDS_GROUPS,
        [SUBJECT_UNIT] = POLICY_NEEDS_UNIT,
        [SUBJECT_LABEL] = POLICY_NEEDS_LABEL,
    };
    unsigned all = 0;

    for (size_t i = 0; i < policy->n_rules; i++) {
        all |= needs[policy->rules[i].subject];
    }
    return all;
}

static bool has_group(const struct identity *identity, gid_t gid)
{
    if (identity->has_gid && identity->gid == gid) {
        return true;
    }
    for (size_t i = 0; i < identity->n_groups; i++) {
        if (identity->groups[i] == gid) {
            return true;
        }
    }
    return false;
}

static bool rule_matches(const struct rule *rule, const struct identity *identity)
{
    switch (rule->subject) {
    case SUBJECT_USER:
        return identity->has_uid && identity->uid == rule->id;
    case SUBJECT_GROUP:
        return has_group(identity, rule->id);
    case SUBJECT_UNIT:
        /* A backslash is a character of unit names (systemd-escape(1)) and escapes nothing. */
        return identity->unit && fnmatch(rule->text, identity->unit, FNM_NOESCAPE) == 0;
    case SUBJECT_LABEL:
        return identity->label && strcmp(rule->text, identity->label) == 0;
    case SUBJECT_MAX:
        break;
    }
    return false;
}

struct policy_decision policy_match(const struct policy *policy, const struct identity *identity)
{
    for (size_t i = 0; i < policy->n_rules; i++) {
        const struct rule *rule = &policy->rules[i];
        if (rule_matches(rule, identity)) {
            return (struct policy_decision){.allow = rule->allow, .line = rule->line};
        }
    }
    return (struct policy_decision){.allow = false};
}

void policy_print(const struct policy *policy, FILE *file)
{
    for (size_t i = 0; i < policy->n_rules; i++) {
        const struct rule *rule = &policy->rules[i];
        fprintf(file, "%u: %s %s %s", rule->line, rule->allow ? "allow" : "deny",
                policy_subject_names[rule->subject], rule->text);
        if ((rule->subject == SUBJECT_USER || rule->subject == SUBJECT_GROUP) &&
            !policy_is_number(rule->text)) {
            fprintf(file, " (%" PRIu32 ")", (uint32_t)rule->id);
        }
        fprintf(file, "\n");
    }
    fprintf(file, "everyone else is refused\n");
}
