// SPDX-License-Identifier: MIT

/*
 * libFuzzer on the policy's language. Besides not crashing: what was accepted prints a rule a line,
 * asks for nothing that it does not need, and never lets in somebody of whom nothing is known.
 */

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Names of one letter exist; the user database of the host is no matter here. */
static int fuzz_user(const char *name, uid_t *uid)
{
    *uid = (uid_t)(unsigned char)name[0];
    return name[1] == '\0' ? 0 : -ESRCH;
}

static int fuzz_group(const char *name, gid_t *gid)
{
    *gid = (gid_t)(unsigned char)name[0];
    return name[1] == '\0' ? 0 : -ESRCH;
}

static void count(void *context, unsigned line, const char *word, const char *reason)
{
    unsigned *mistakes = context;

    (void)line;
    if (strlen(word) == 0 || strlen(reason) == 0) {
        abort();
    }
    (*mistakes)++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct policy_names names = {.user = fuzz_user, .group = fuzz_group};
    static const gid_t groups[] = {'g', 'h'};
    static const struct identity somebody = {
        .has_uid = true,
        .has_gid = true,
        .uid = 'u',
        .gid = 'g',
        .groups = groups,
        .n_groups = 2,
        .unit = "a.service",
        .label = "label",
    };
    static const struct identity nobody = {0};
    struct policy *policy = NULL;
    unsigned mistakes = 0;
    int r = policy_parse((const char *)data, size, &names, count, &mistakes, &policy);

    if ((r == 0) != (policy != NULL) || (r == 0) != (mistakes == 0)) {
        abort();
    }
    if (policy) {
        char *text = NULL;
        size_t length = 0;
        FILE *file = open_memstream(&text, &length);
        struct policy_decision decision = policy_match(policy, &somebody);
        if ((decision.allow && decision.line == 0) || policy_match(policy, &nobody).allow ||
            (policy_needs(policy) &
             ~(unsigned)(POLICY_NEEDS_GROUPS | POLICY_NEEDS_UNIT | POLICY_NEEDS_LABEL))) {
            abort();
        }
        policy_print(policy, file);
        (void)fclose(file);
        free(text);
        policy_unref(policy);
    }
    return 0;
}
