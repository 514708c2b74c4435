// SPDX-License-Identifier: MIT

/* uds-echo whoami: what the service sees of this client, with names for the numbers. */

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "output.h"
#include "session.h"
#include "util.h"
#include "wait.h"

#define WHOAMI_SOCKET "/run/uds-whoami/stream.sock"

enum { ANSWER_MAX = 1024 * 1024, VALUE_MAX = 512 };

/* The lines of the answer, in order (KEY=VALUE). */
static const struct {
    const char *key;
    const char *label;
    const char *json;
    bool number; /* and not a name that may consist of digits */
} lines[] = {
    {"UID", "User", "uid", true},
    {"GID", "Group", "gid", true},
    {"GROUPS", "Groups", "groups", false},
    {"PID", "Process", "pid", true},
    {"UNIT", "Unit", "unit", false},
    {"LABEL", "Label", "label", false},
    {"VERDICT", "Verdict", "verdict", false},
};

static const char *user_name(uint64_t id)
{
    const struct passwd *entry = getpwuid((uid_t)id); // NOLINT(concurrency-mt-unsafe): one thread

    return entry ? entry->pw_name : NULL;
}

static const char *group_name(uint64_t id)
{
    const struct group *entry = getgrgid((gid_t)id); // NOLINT(concurrency-mt-unsafe): one thread

    return entry ? entry->gr_name : NULL;
}

/* Receives until the end. Returns the length, or a negative errno. */
static ssize_t receive_all(int fd, char *answer, size_t size, uint64_t deadline)
{
    size_t length = 0;
    ssize_t n = 1;

    while (n > 0 && length < size) {
        int r = wait_for(fd, POLLIN, deadline);
        n = r < 0 ? r : recv(fd, answer + length, size - length, 0);
        if (n < 0) {
            return r < 0 ? r : -errno;
        }
        length += (size_t)n;
    }
    return (ssize_t)length;
}

/* Asks TARGET. Returns the length of the answer, or a negative errno. */
static ssize_t ask(struct target *target, uint64_t timeout_usec, char *answer, size_t size)
{
    CLEANUP(fd_close) int fd = target_connect(target, timeout_usec);
    uint64_t deadline = wait_deadline(timeout_usec);
    ssize_t n;
    int r;

    if (fd < 0) {
        return fd;
    }
    if (target->type == SOCK_STREAM) {
        return receive_all(fd, answer, size, deadline);
    }
    if (target->type == SOCK_DGRAM && send(fd, "", 0, MSG_NOSIGNAL) < 0) {
        return -errno;
    }
    r = wait_for(fd, POLLIN, deadline);
    n = r < 0 ? r : recv(fd, answer, size, 0);
    return r < 0 ? r : n < 0 ? -errno : n;
}

/* The value of line I in ANSWER, copied to VALUE; false if there is none. */
static bool find_value(const char *answer, size_t i, char *value, size_t size)
{
    size_t length = strlen(lines[i].key);

    for (const char *line = answer; *line != '\0';
         line += strcspn(line, "\n"), line += *line != '\0') {
        if (strncmp(line, lines[i].key, length) == 0 && line[length] == '=') {
            snprintf(value, size, "%.*s", (int)strcspn(line + length + 1, "\n"), line + length + 1);
            return true;
        }
    }
    return false;
}

static json_t *named(uint64_t id, const char *name)
{
    return json_pack("{s:I, s:o}", "id", (json_int_t)id, "name",
                     name ? report_string(name) : json_null());
}

/* "4,20,33" as an array. */
static json_t *groups_to_json(char *groups)
{
    json_t *array = json_array();
    char *rest = NULL;

    for (const char *word = strtok_r(groups, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
        uint64_t id;
        if (read_number(word, 0, UINT32_MAX, &id)) {
            json_array_append_new(array, named(id, group_name(id)));
        }
    }
    return array;
}

static json_t *value_to_json(size_t i, char *value)
{
    uint64_t id;

    if (strcmp(lines[i].key, "GROUPS") == 0) {
        return groups_to_json(value);
    }
    if (!lines[i].number || !read_number(value, 0, UINT32_MAX, &id)) {
        return report_string(value);
    }
    return strcmp(lines[i].key, "UID") == 0   ? named(id, user_name(id))
           : strcmp(lines[i].key, "GID") == 0 ? named(id, group_name(id))
                                              : json_integer((json_int_t)id);
}

static bool print_json(const struct target *target, const char *answer, char *value, size_t size)
{
    json_t *object = json_object();

    json_object_set_new(object, "socket", report_string(target->text));
    for (size_t i = 0; i < ELEMENTS(lines); i++) {
        json_object_set_new(object, lines[i].json,
                            find_value(answer, i, value, size) ? value_to_json(i, value)
                                                               : json_null());
    }
    return output_json(object);
}

/* Prints an id with its name, and a comma behind the one before. */
static void print_id(const char *before, const char *number, const char *name)
{
    if (name) {
        printf("%s%s (%s)", before, name, number);
    } else {
        printf("%s%s", before, number);
    }
}

static void print_groups(char *groups)
{
    const char *before = "";
    char *rest = NULL;

    for (const char *word = strtok_r(groups, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
        uint64_t id;
        print_id(before, word, read_number(word, 0, UINT32_MAX, &id) ? group_name(id) : NULL);
        before = ", ";
    }
    printf("%s\n", before[0] == '\0' ? "none" : "");
}

static void print_line(const struct terminal *terminal, size_t i, char *value)
{
    bool allowed = strcmp(value, "allow") == 0;
    uint64_t id;

    output_clean(value);
    printf("%s%-8s%s  ", colour_faint(terminal), lines[i].label, colour_end(terminal));
    if (strcmp(lines[i].key, "GROUPS") == 0) {
        print_groups(value);
    } else if (strcmp(lines[i].key, "VERDICT") == 0) {
        printf("%s%s%s\n", allowed ? colour_good(terminal) : colour_bad(terminal),
               allowed ? "the policy would admit you" : "the policy would refuse you",
               colour_end(terminal));
    } else if (strcmp(lines[i].key, "UID") == 0 && read_number(value, 0, UINT32_MAX, &id)) {
        print_id("", value, user_name(id));
        printf("\n");
    } else if (strcmp(lines[i].key, "GID") == 0 && read_number(value, 0, UINT32_MAX, &id)) {
        print_id("", value, group_name(id));
        printf("\n");
    } else {
        printf("%s\n", value);
    }
}

static void print_table(const char *answer, char *value, size_t size)
{
    struct terminal terminal;

    terminal_look(&terminal);
    for (size_t i = 0; i < ELEMENTS(lines); i++) {
        if (find_value(answer, i, value, size)) {
            print_line(&terminal, i, value);
        } else {
            printf("%s%-8s  not known to the service%s\n", colour_faint(&terminal), lines[i].label,
                   colour_end(&terminal));
        }
    }
}

static int show(const struct target *target, bool json, const char *answer, size_t length)
{
    CLEANUP(free_pointer) char *value = malloc(length + 1);

    if (!value) {
        complain("There is no memory.");
        return STATUS_WRONG;
    }
    if (strcmp(answer, SESSION_DENIED) == 0) {
        return policy_complain(target);
    }
    if (!find_value(answer, ELEMENTS(lines) - 1, value, length + 1)) {
        complain("%s does not tell who its clients are (is it a socket of the role whoami?).",
                 target->text);
        return STATUS_WRONG;
    }
    if (json) {
        return print_json(target, answer, value, length + 1) ? STATUS_OK : STATUS_WRONG;
    }
    print_table(answer, value, length + 1);
    return STATUS_OK;
}

int cmd_whoami(int argc, char **argv)
{
    static const struct option known[] = {COMMON_OPTIONS, {NULL, 0, NULL, 0}};
    struct common common = common_defaults;
    CLEANUP(free_pointer) char *answer = malloc(ANSWER_MAX + 1);
    struct target target;
    ssize_t length;
    int option;
    int r;

    while ((option = getopt_long(argc, argv, COMMON_SHORT, known, NULL)) >= 0) {
        r = common_take(&common, "whoami", option, COMMON_SHORT, argv);
        if (r >= 0) {
            return r;
        }
    }
    if (argc - optind > 1) {
        return usage_error("whoami", "Argument %s is not expected", argv[optind + 1]);
    }
    r = take_target(&common, "whoami", optind < argc ? argv[optind] : WHOAMI_SOCKET, &target);
    if (r != 0 || !answer) {
        return r != 0 ? r : STATUS_WRONG;
    }
    length = ask(&target, common.timeout_usec, answer, ANSWER_MAX);
    if (length < 0) {
        return target_fail(&common, &target, (int)length);
    }
    answer[length] = '\0';
    return show(&target, common.json, answer, (size_t)length);
}
