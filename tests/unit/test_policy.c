// SPDX-License-Identifier: MIT
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy.h"
#include "util.h"

/* A user database for these tests: alice is 1000, bob 1001; staff is 50, backup 34. */
static int test_user(const char *name, uid_t *uid)
{
    if (strcmp(name, "alice") == 0 || strcmp(name, "bob") == 0) {
        *uid = name[0] == 'a' ? 1000 : 1001;
        return 0;
    }
    if (strcmp(name, "nobody") == 0) {
        *uid = POLICY_OVERFLOW_ID;
        return 0;
    }
    return strcmp(name, "broken") == 0 ? -EIO : -ESRCH;
}

static int test_group(const char *name, gid_t *gid)
{
    if (strcmp(name, "staff") == 0 || strcmp(name, "backup") == 0) {
        *gid = name[0] == 's' ? 50 : 34;
        return 0;
    }
    return -ESRCH;
}

static const struct policy_names names = {.user = test_user, .group = test_group};

/* The mistakes of one reading, as "LINE:WORD " each. */
static char mistakes[512];

static void note(void *context, unsigned line, const char *word, const char *reason)
{
    size_t used = strlen(mistakes);

    (void)context;
    assert_true(strlen(reason) > 0);
    snprintf(mistakes + used, sizeof(mistakes) - used, "%u:%s ", line, word);
}

static int parse(const char *text, struct policy **policy)
{
    mistakes[0] = '\0';
    *policy = NULL;
    return policy_parse(text, strlen(text), &names, note, NULL, policy);
}

static struct policy *policy_of(const char *text)
{
    struct policy *policy;

    if (parse(text, &policy) != 0) {
        fail_msg("mistakes: %s", mistakes);
    }
    return policy;
}

static void assert_decides(const char *text, const struct identity *identity, bool allow,
                           unsigned line)
{
    struct policy *policy = policy_of(text);
    struct policy_decision decision = policy_match(policy, identity);

    if (decision.allow != allow || decision.line != line) {
        fail_msg("%s: %s by line %u", text, decision.allow ? "allowed" : "denied", decision.line);
    }
    policy_unref(policy);
}

static const gid_t groups_of_alice[] = {4, 34, 100};
static const struct identity alice = {
    .has_uid = true,
    .has_gid = true,
    .uid = 1000,
    .gid = 1000,
    .groups = groups_of_alice,
    .n_groups = 3,
    .unit = "backup-daily.service",
    .label = "docker-default (enforce)",
};

static void nobody_is_let_in_unless_a_rule_says_so(void **state)
{
    (void)state;
    assert_decides("", &alice, false, 0);
    assert_decides("# allow user alice", &alice, false, 0);
    assert_decides("allow user bob\nallow group staff\n", &alice, false, 0);
}

static void the_first_rule_that_matches_decides(void **state)
{
    (void)state;
    assert_decides("allow user alice\ndeny user alice", &alice, true, 1);
    assert_decides("\n\ndeny user alice\nallow group backup", &alice, false, 3);
    assert_decides("deny user bob\nallow group backup", &alice, true, 2);
}

static void users_and_groups_go_by_name_or_number(void **state)
{
    (void)state;
    assert_decides("allow user alice", &alice, true, 1);
    assert_decides("allow user 1000", &alice, true, 1);
    assert_decides("allow group 1000", &alice, true, 1);
    assert_decides("allow group backup", &alice, true, 1);
    assert_decides("allow group 100", &alice, true, 1);
    assert_decides("allow user 0", &(struct identity){.has_uid = true, .uid = 0}, true, 1);
    assert_decides("allow user 100", &alice, false, 0);
}

static void units_go_by_pattern_and_labels_by_their_whole(void **state)
{
    const struct identity escaped = {.unit = "app-a\\x2db.service"};

    (void)state;
    assert_decides("allow unit backup-daily.service", &alice, true, 1);
    assert_decides("allow unit backup-*.service", &alice, true, 1);
    assert_decides("allow unit *", &alice, true, 1);
    assert_decides("allow unit backup-?.service", &alice, false, 0);
    assert_decides("allow unit ackup-*.service", &alice, false, 0);
    assert_decides("allow unit app-a\\x2d*.service", &escaped, true, 1);
    assert_decides("allow label docker-default (enforce)  # AppArmor", &alice, true, 1);
    assert_decides("allow label docker-default", &alice, false, 0);
}

static void what_is_absent_is_matched_by_no_rule(void **state)
{
    const struct identity nothing = {0};

    (void)state;
    assert_decides("allow user 0\nallow group 0\nallow unit *\nallow label x", &nothing, false, 0);
}

static void white_space_comments_and_line_ends_do_not_matter(void **state)
{
    (void)state;
    assert_decides("  allow\t user   alice  \t# a comment", &alice, true, 1);
    assert_decides("allow user alice\r\n", &alice, true, 1);
    assert_decides("#\n   # x\n\t\nallow user alice", &alice, true, 4);
    assert_decides("allow label a#1\nallow user alice", &alice, true, 2);
}

static void all_mistakes_of_a_file_are_told_in_one_go(void **state)
{
    static const struct {
        const char *text;
        const char *mistakes;
    } cases[] = {
        {"permit user alice", "1:permit "},
        {"allow", "1:allow "},
        {"allow users alice", "1:users "},
        {"allow user", "1:user "},
        {"allow label # none", "1:label "},
        {"allow user alice bob", "1:bob "},
        {"allow user carol", "1:carol "},
        {"allow group alice", "1:alice "},
        {"allow user broken", "1:broken "},
        {"allow user -1", "1:-1 "},
        {"allow user 4294967295", "1:4294967295 "},
        {"allow user 4294967294", ""},
        {"allow user 99999999999999999999999999", "1:99999999999999999999999999 "},
        {"allow user nobody\nallow group 65534", "1:nobody 2:65534 "},
        {"allow unit backup", "1:backup "},
        {"allow unit .service", "1:.service "},
        {"ALLOW user alice\nallow user alice\n\ndeny x y", "1:ALLOW 4:x "},
    };

    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        struct policy *policy;
        int r = parse(cases[i].text, &policy);
        if (strcmp(mistakes, cases[i].mistakes) != 0 ||
            r != (cases[i].mistakes[0] == '\0' ? 0 : -EINVAL)) {
            fail_msg("%s: %d, mistakes: %s", cases[i].text, r, mistakes);
        }
        policy_unref(policy);
    }
}

static void a_null_byte_is_no_text(void **state)
{
    static const char text[] = "allow user alice\0\n";
    struct policy *policy = NULL;

    (void)state;
    assert_int_equal(policy_parse(text, sizeof(text), &names, note, NULL, &policy), -EINVAL);
    assert_null(policy);
}

static void nothing_is_found_out_that_no_rule_asks_for(void **state)
{
    static const struct {
        const char *text;
        unsigned needs;
    } cases[] = {
        {"", 0},
        {"allow user alice", 0},
        {"allow group staff", POLICY_NEEDS_GROUPS},
        {"deny unit *", POLICY_NEEDS_UNIT},
        {"allow user alice\nallow label x\nallow group staff",
         POLICY_NEEDS_LABEL | POLICY_NEEDS_GROUPS},
    };

    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        struct policy *policy = policy_of(cases[i].text);
        assert_int_equal(policy_needs(policy), cases[i].needs);
        policy_unref(policy);
    }
}

static void a_file_that_others_may_write_is_refused(void **state)
{
    static const mode_t bad[] = {0664, 0646, 0666, 0622};
    char path[] = "/tmp/uds-echo-policy-XXXXXX";
    int fd = mkstemp(path);
    struct policy *policy = NULL;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "allow user alice\n", 17), 17);
    assert_int_equal(fchmod(fd, 0644), 0);
    assert_int_equal(policy_load(path, &names, note, NULL, &policy), 0);
    policy_unref(policy);
    policy = NULL;
    for (size_t i = 0; i < ELEMENTS(bad); i++) {
        assert_int_equal(fchmod(fd, bad[i]), 0);
        assert_int_equal(policy_load(path, &names, note, NULL, &policy), -EPERM);
        assert_null(policy);
    }
    unlink(path);
    close(fd);
    assert_int_equal(policy_load(path, &names, note, NULL, &policy), -ENOENT);
    assert_int_equal(policy_load("/tmp", &names, note, NULL, &policy), -EINVAL);
}

static void what_was_understood_can_be_read(void **state)
{
    struct policy *policy = policy_of("allow user alice\ndeny group 50\nallow unit *.service");
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);

    (void)state;
    policy_print(policy, file);
    (void)fclose(file);
    assert_string_equal(text,
                        "1: allow user alice (1000)\n2: deny group 50\n3: allow unit *.service\n"
                        "everyone else is refused\n");
    free(text);
    policy_unref(policy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_is_let_in_unless_a_rule_says_so),
        cmocka_unit_test(the_first_rule_that_matches_decides),
        cmocka_unit_test(users_and_groups_go_by_name_or_number),
        cmocka_unit_test(units_go_by_pattern_and_labels_by_their_whole),
        cmocka_unit_test(what_is_absent_is_matched_by_no_rule),
        cmocka_unit_test(white_space_comments_and_line_ends_do_not_matter),
        cmocka_unit_test(all_mistakes_of_a_file_are_told_in_one_go),
        cmocka_unit_test(a_null_byte_is_no_text),
        cmocka_unit_test(nothing_is_found_out_that_no_rule_asks_for),
        cmocka_unit_test(a_file_that_others_may_write_is_refused),
        cmocka_unit_test(what_was_understood_can_be_read),
    };

    return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
