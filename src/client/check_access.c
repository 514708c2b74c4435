// SPDX-License-Identifier: MIT

/*
 * Who may, in words. Unlike the service, which goes by numbers alone, this asks the user and group
 * databases: it talks to people.
 */

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "util.h"

enum { NAME_MAX_BYTES = 64, GROUPS_SHOWN = 16 };

/* The name, or the number where it has none. They return TEXT. */
static const char *user_name(uid_t uid, char text[static NAME_MAX_BYTES])
{
    const struct passwd *entry = getpwuid(uid);

    if (entry) {
        snprintf(text, NAME_MAX_BYTES, "%s", entry->pw_name);
    } else {
        snprintf(text, NAME_MAX_BYTES, "%u", uid);
    }
    return text;
}

static const char *group_name(gid_t gid, char text[static NAME_MAX_BYTES])
{
    const struct group *entry = getgrgid(gid);

    if (entry) {
        snprintf(text, NAME_MAX_BYTES, "%s", entry->gr_name);
    } else {
        snprintf(text, NAME_MAX_BYTES, "%u", gid);
    }
    return text;
}

/*
 * The groups that count for this process, the effective one first, for free(3). Returns how many,
 * 0 without memory.
 */
static size_t own_groups(gid_t **ret)
{
    int count = getgroups(0, NULL);
    gid_t *groups = calloc((size_t)(count > 0 ? count : 0) + 1, sizeof(*groups));
    size_t length = 1;

    *ret = groups;
    if (!groups) {
        return 0;
    }
    groups[0] = getegid();
    count = count > 0 ? getgroups(count, groups + 1) : 0;
    for (int i = 0; i < count; i++) {
        gid_t group = groups[1 + i];
        if (group != groups[0]) {
            groups[length++] = group;
        }
    }
    return length;
}

static bool is_in_group(gid_t gid)
{
    CLEANUP(free_pointer) gid_t *groups = NULL;
    size_t count = own_groups(&groups);

    for (size_t i = 0; i < count; i++) {
        if (groups[i] == gid) {
            return true;
        }
    }
    return false;
}

/* Whether one would be in the group after logging in anew. */
static bool would_be_in_group(gid_t gid)
{
    const struct passwd *user = getpwuid(geteuid());
    const struct group *group = getgrgid(gid);

    if (!user || !group) {
        return false;
    }
    for (char **member = group->gr_mem; *member; member++) {
        if (strcmp(*member, user->pw_name) == 0) {
            return true;
        }
    }
    return user->pw_gid == gid;
}

const char *access_of_file(const struct stat *status, char text[static ACCESS_TEXT_MAX])
{
    char user[NAME_MAX_BYTES];
    char group[NAME_MAX_BYTES];

    snprintf(text, ACCESS_TEXT_MAX, "owner %s, group %s, mode %04o",
             user_name(status->st_uid, user), group_name(status->st_gid, group),
             status->st_mode & 07777);
    return text;
}

const char *access_of_self(char text[static ACCESS_TEXT_MAX])
{
    CLEANUP(free_pointer) gid_t *groups = NULL;
    char name[NAME_MAX_BYTES];
    size_t count = own_groups(&groups);
    size_t length;

    snprintf(text, ACCESS_TEXT_MAX, "you are %s (uid %u), in the group%s",
             user_name(geteuid(), name), geteuid(), count == 1 ? "" : "s");
    for (size_t i = 0; i < count && i < GROUPS_SHOWN; i++) {
        length = strlen(text);
        snprintf(text + length, ACCESS_TEXT_MAX - length, "%s %s", i > 0 ? "," : "",
                 group_name(groups[i], name));
    }
    if (count > GROUPS_SHOWN) {
        length = strlen(text);
        snprintf(text + length, ACCESS_TEXT_MAX - length, " and %zu more", count - GROUPS_SHOWN);
    }
    return text;
}

/* What the members of the group may, this process may not. */
static void advise_group(struct report *report, gid_t gid)
{
    char group[NAME_MAX_BYTES];
    char user[NAME_MAX_BYTES];

    group_name(gid, group);
    if (would_be_in_group(gid)) {
        report_advise(report,
                      "You have been added to the group %s, but not this process: groups are given "
                      "at login. Log in anew, or have a shell with it:",
                      group);
        report_command(report, "newgrp %s", group);
        return;
    }
    if (!getpwuid(geteuid())) {
        report_advise(report, "The members of the group %s may. Your uid has no name to be added.",
                      group);
        return;
    }
    report_advise(
        report,
        "The members of the group %s may. As root, to become one (it counts from the next "
        "login on):",
        group);
    report_command(report, "usermod --append --groups %s %s", group, user_name(geteuid(), user));
}

void access_advise(struct report *report, const struct stat *status, enum access_need need,
                   const struct unit *unit)
{
    mode_t needed = (mode_t)need;
    bool group_may = status->st_mode & (needed << 3);
    bool owner_may = status->st_mode & (needed << 6);
    bool owner = status->st_uid == geteuid();
    bool member = is_in_group(status->st_gid);
    char user[NAME_MAX_BYTES];

    /* Of owner, group and others, the first that one is decides, even if the next may more. */
    if (owner ? owner_may : member ? group_may : status->st_mode & needed) {
        report_advise(report, "The mode would let you. So an access control list, or a security "
                              "module such as SELinux or AppArmor, says otherwise.");
        return;
    }
    if (owner) {
        report_advise(report, "You own it, and its mode gives the owner no right to: chmod u+%c.",
                      need == ACCESS_ENTER ? 'x' : 'w');
    } else if (member) {
        report_advise(report, "You are in its group, and its mode gives the group no right to.");
    } else if (group_may && status->st_gid != 0) {
        advise_group(report, status->st_gid);
    } else if (status->st_uid == 0) {
        report_advise(report, "Only root may.");
    } else {
        report_advise(report, "Only %s may, and root.", user_name(status->st_uid, user));
    }
    if (unit->found == UNIT_FOUND) {
        report_advise(report, "%s decides: %s", unit->name,
                      need == ACCESS_ENTER ? "DirectoryMode= in it, for the directories it makes."
                                           : "SocketUser=, SocketGroup= and SocketMode= in it.");
    }
}
