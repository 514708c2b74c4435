// SPDX-License-Identifier: MIT

/* Reading a policy: the language of its file, and names that become numbers. */

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdint.h>
#include <string.h>

#include "policy.h"
#include "policy_rules.h"
#include "util.h"

/* --- The host's names.
 * ------------------------------------------------------------------------------ */

static int host_user(const char *name, uid_t *uid)
{
    const struct passwd *entry;

    errno = 0;
    entry = getpwnam(name); // NOLINT(concurrency-mt-unsafe): the control plane alone reads policies
    if (!entry) {
        /* getpwnam(3): several values mean that there is none. */
        return errno == EIO || errno == EMFILE || errno == ENFILE || errno == ENOMEM ? -errno
                                                                                     : -ESRCH;
    }
    *uid = entry->pw_uid;
    return 0;
}

static int host_group(const char *name, gid_t *gid)
{
    const struct group *entry;

    errno = 0;
    entry = getgrnam(name); // NOLINT(concurrency-mt-unsafe): the control plane alone reads policies
    if (!entry) {
        return errno == EIO || errno == EMFILE || errno == ENFILE || errno == ENOMEM ? -errno
                                                                                     : -ESRCH;
    }
    *gid = entry->gr_gid;
    return 0;
}

const struct policy_names policy_names_of_host = {.user = host_user, .group = host_group};

/* --- Reading.
 * --------------------------------------------------------------------------------------- */

struct reader {
    const struct policy_names *names;
    policy_report report;
    void *context;
    unsigned line;
    bool failed;
};

static void mistake(struct reader *reader, const char *word, const char *reason)
{
    reader->failed = true;
    reader->report(reader->context, reader->line, word, reason);
}

/* A user or group, by name or number. Returns whether it is one, after reporting why not. */
static bool read_id(struct reader *reader, enum subject subject, const char *word, id_t *ret)
{
    uid_t uid = 0;
    gid_t gid = 0;
    uint64_t id = 0;
    int r = 0;

    if (policy_is_number(word)) {
        for (const char *digit = word; *digit != '\0' && id <= UINT32_MAX; digit++) {
            id = id * 10 + (uint64_t)(*digit - '0');
        }
        if (id >= UINT32_MAX) {
            mistake(reader, word, "is out of range");
            return false;
        }
    } else if (subject == SUBJECT_USER) {
        r = reader->names->user(word, &uid);
        id = uid;
    } else {
        r = reader->names->group(word, &gid);
        id = gid;
    }
    if (r == -ESRCH) {
        mistake(reader, word, subject == SUBJECT_USER ? "is no user here" : "is no group here");
        return false;
    }
    if (r < 0) {
        mistake(reader, word, strerror(-r));
        return false;
    }
    if (id == POLICY_OVERFLOW_ID) {
        mistake(reader, word, "can match nobody: 65534 is how the kernel shows who is not mapped");
        return false;
    }
    *ret = (id_t)id;
    return true;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text);
    size_t end_length = strlen(end);

    return length > end_length && strcmp(text + length - end_length, end) == 0;
}

/* Processes belong to services and scopes, and at the start and stop of a few others to these. */
static bool is_unit_pattern(const char *word)
{
    static const char *const types[] = {".service", ".scope", ".socket", ".mount", ".swap"};
    size_t length = strlen(word);

    if (strchr("*?]", word[length - 1])) {
        return true;
    }
    for (size_t i = 0; i < ELEMENTS(types); i++) {
        if (ends_with(word, types[i])) {
            return true;
        }
    }
    return false;
}

/* Takes the next word off *TEXT and ends it with a null byte. NULL at the end of the line. */
static char *next_word(char **text)
{
    char *word = *text + strspn(*text, " \t");

    if (*word == '\0') {
        return NULL;
    }
    *text = word + strcspn(word, " \t");
    if (**text != '\0') {
        *(*text)++ = '\0';
    }
    return word;
}

/* Cuts off white space at the end, and a comment: from a '#' that begins a word. */
static void cut_comment(char *line)
{
    size_t length;

    for (char *at = line; *at != '\0'; at++) {
        if (*at == '#' && (at == line || at[-1] == ' ' || at[-1] == '\t')) {
            *at = '\0';
            break;
        }
    }
    length = strlen(line);
    while (length > 0 && strchr(" \t\r", line[length - 1])) {
        line[--length] = '\0';
    }
}

static int find_subject(const char *word, enum subject *ret)
{
    for (size_t i = 0; i < (size_t)SUBJECT_MAX; i++) {
        if (strcmp(word, policy_subject_names[i]) == 0) {
            *ret = (enum subject)i;
            return 0;
        }
    }
    return -EINVAL;
}

/* What stands behind the subject: the rest of the line for a label, which may hold spaces, else one
 * word. */
static char *read_value(struct reader *reader, enum subject subject, char *rest)
{
    char *value;
    const char *more;

    if (subject == SUBJECT_LABEL) {
        value = rest + strspn(rest, " \t");
        return *value == '\0' ? NULL : value;
    }
    value = next_word(&rest);
    more = value ? next_word(&rest) : NULL;
    if (more) {
        mistake(reader, more, "is one word too many");
    }
    return value;
}

/* Reads one line. Returns whether it is a rule; it may also be empty, or wrong and reported. */
static bool read_rule(struct reader *reader, char *line, struct rule *rule)
{
    const char *verdict;
    const char *subject;
    bool failed_before = reader->failed;

    cut_comment(line);
    verdict = next_word(&line);
    if (!verdict) {
        return false;
    }
    rule->line = reader->line;
    rule->allow = strcmp(verdict, "allow") == 0;
    if (!rule->allow && strcmp(verdict, "deny") != 0) {
        mistake(reader, verdict, "is neither allow nor deny");
        return false;
    }
    subject = next_word(&line);
    if (!subject) {
        mistake(reader, verdict, "is not followed by user, group, unit or label");
        return false;
    }
    if (find_subject(subject, &rule->subject) < 0) {
        mistake(reader, subject, "is not user, group, unit or label");
        return false;
    }
    rule->text = read_value(reader, rule->subject, line);
    if (!rule->text) {
        mistake(reader, subject, "is not followed by whom it means");
        return false;
    }
    if (rule->subject == SUBJECT_UNIT && !is_unit_pattern(rule->text)) {
        mistake(reader, rule->text,
                "is no name or pattern of a unit (is .service missing at its end?)");
    }
    if (rule->subject == SUBJECT_USER || rule->subject == SUBJECT_GROUP) {
        (void)read_id(reader, rule->subject, rule->text, &rule->id);
    }
    return reader->failed == failed_before;
}

static int append(struct policy *policy, const struct rule *rule)
{
    /* A policy is read seldom and has a handful of rules. */
    struct rule *rules = reallocarray(policy->rules, policy->n_rules + 1, sizeof(*rules));
    char *text;

    if (!rules) {
        return -ENOMEM;
    }
    policy->rules = rules;
    text = strdup(rule->text);
    if (!text) {
        return -ENOMEM;
    }
    rules[policy->n_rules] = *rule;
    rules[policy->n_rules++].text = text;
    return 0;
}

static void free_policy(struct policy **policy)
{
    policy_unref(*policy);
}

int policy_parse(const char *text, size_t length, const struct policy_names *names,
                 policy_report report, void *context, struct policy **ret)
{
    struct reader reader = {.names = names, .report = report, .context = context};
    CLEANUP(free_pointer) char *copy = malloc(length + 1);
    CLEANUP(free_policy) struct policy *policy = calloc(1, sizeof(*policy));
    char *next;

    if (!copy || !policy) {
        return -ENOMEM;
    }
    if (memchr(text, '\0', length)) {
        mistake(&reader, "a null byte", "is not text");
        return -EINVAL;
    }
    memcpy(copy, text, length);
    copy[length] = '\0';

    for (char *line = copy; line; line = next) {
        struct rule rule = {0};
        next = strchr(line, '\n');
        if (next) {
            *next++ = '\0';
        }
        reader.line++;
        if (read_rule(&reader, line, &rule)) {
            int r = append(policy, &rule);
            if (r < 0) {
                return r;
            }
        }
    }
    if (reader.failed) {
        return -EINVAL;
    }
    *ret = policy;
    policy = NULL;
    return 0;
}
