// SPDX-License-Identifier: MIT

/*
 * The way along a path, as the kernel goes it (path_resolution(7)): into each directory, through
 * each symbolic link. What the kernel tells with one errno for the whole, this tells apart.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "util.h"

enum { LINKS_MAX = 40 }; /* as the kernel has it */

struct walk {
    struct path *path;
    struct report *report;
    char at[PATH_MAX];   /* the directory that one has come to */
    char next[PATH_MAX]; /* and what is looked at in it */
    char rest[PATH_MAX]; /* of the way, behind that */
    bool more;           /* there is a way behind it, so it has to be a directory */
    unsigned links;
};

/* DIRECTORY and NAME behind it into RET. Returns whether it fits. */
static bool join(const char *directory, const char *name, char ret[static PATH_MAX])
{
    const char *slash = directory[strlen(directory) - 1] == '/' ? "" : "/";

    if (strcmp(directory, ".") == 0) {
        return snprintf(ret, PATH_MAX, "%s", name[0] == '\0' ? "." : name) < PATH_MAX;
    }
    return snprintf(ret, PATH_MAX, "%s%s%s", directory, slash, name) < PATH_MAX;
}

static bool fail_with(struct walk *walk, const char *what, int error)
{
    report_fail(walk->report, CAUSE_SYSTEM_ERROR, "%s cannot be looked at: %s.", what,
                strerror(error));
    return false;
}

/* Takes the next name off the rest, to walk->next. Returns whether it fits. */
static bool take_name(struct walk *walk)
{
    char name[PATH_MAX];
    const char *rest = walk->rest;
    size_t length;

    do {
        rest += strspn(rest, "/");
        length = strcspn(rest, "/");
        snprintf(name, sizeof(name), "%.*s", (int)length, rest);
        walk->more = rest[length] == '/';
        rest += length;
    } while (strcmp(name, ".") == 0 && walk->more);
    memmove(walk->rest, rest, strlen(rest) + 1);
    return join(walk->at, name, walk->next);
}

/* May one go on from walk->at? A current directory that one may not enter has no name, not ".". */
static bool enter(struct walk *walk)
{
    const char *name = strcmp(walk->at, ".") == 0 ? "" : walk->at;
    char file[ACCESS_TEXT_MAX];
    char self[ACCESS_TEXT_MAX];

    if (faccessat(AT_FDCWD, walk->at, X_OK, AT_EACCESS) == 0) {
        report_pass(walk->report, "%s is a directory that you may enter", walk->at);
        return true;
    }
    if (errno != EACCES || fstatat(AT_FDCWD, name, &walk->path->status, AT_EMPTY_PATH) < 0) {
        return fail_with(walk, walk->at, errno);
    }
    report_fail(walk->report, CAUSE_DIRECTORY_FORBIDDEN,
                "You may not enter the directory %s: %s; %s.", walk->at,
                access_of_file(&walk->path->status, file), access_of_self(self));
    return false;
}

/* Puts where the symbolic link at walk->next leads to before the rest of the way. */
static bool follow(struct walk *walk)
{
    char target[PATH_MAX];
    char rest[PATH_MAX];
    ssize_t length = readlink(walk->next, target, sizeof(target) - 1);

    if (length < 0) {
        return fail_with(walk, walk->next, errno);
    }
    target[length] = '\0';
    report_pass(walk->report, "%s is a symbolic link to %s", walk->next, target);
    memcpy(walk->path->link, walk->next, sizeof(walk->next));
    if (++walk->links > LINKS_MAX) {
        report_fail(walk->report, CAUSE_LINK_LOOP,
                    "%s leads through more than %d symbolic links: most likely in a circle.",
                    walk->next, LINKS_MAX);
        return false;
    }
    if (snprintf(rest, sizeof(rest), "%s%s%s", target, walk->more ? "/" : "", walk->rest) >=
        (int)sizeof(rest)) {
        return fail_with(walk, walk->next, ENAMETOOLONG);
    }
    memcpy(walk->rest, rest, sizeof(rest));
    if (target[0] == '/') {
        memcpy(walk->at, "/", sizeof("/"));
        memcpy(walk->next, "/", sizeof("/"));
    }
    return true;
}

static const char *kind_of(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return "a directory";
    case S_IFREG:
        return "a regular file";
    case S_IFIFO:
        return "a FIFO";
    case S_IFCHR:
    case S_IFBLK:
        return "a device";
    case S_IFSOCK:
        return "a socket";
    default:
        return "of a kind that is not known";
    }
}

static bool is_missing(struct walk *walk)
{
    if (walk->more) {
        report_fail(walk->report, CAUSE_NO_DIRECTORY, "There is no directory %s.", walk->next);
    } else {
        report_fail(walk->report, CAUSE_NO_FILE, "There is no file %s.", walk->next);
    }
    return false;
}

/* At the end of the way: is it a socket, and may one write to it (unix(7))? */
static bool arrive(struct walk *walk)
{
    const struct stat *status = &walk->path->status;
    char file[ACCESS_TEXT_MAX];
    char self[ACCESS_TEXT_MAX];

    if (!S_ISSOCK(status->st_mode)) {
        report_fail(walk->report, CAUSE_NOT_A_SOCKET, "%s is no socket but %s.", walk->next,
                    kind_of(status->st_mode));
        return false;
    }
    report_pass(walk->report, "%s is a socket", walk->next);
    access_of_file(status, file);
    if (faccessat(AT_FDCWD, walk->next, W_OK, AT_EACCESS) == 0) {
        report_pass(walk->report, "You may connect to it: %s", file);
        return true;
    }
    if (errno != EACCES) {
        return fail_with(walk, walk->next, errno);
    }
    report_fail(walk->report, CAUSE_FILE_FORBIDDEN,
                "You may not connect to %s, which takes write permission: %s; %s.", walk->next,
                file, access_of_self(self));
    return false;
}

/* Looks at one name after the other until one is the socket, or what is wrong. */
static bool go(struct walk *walk)
{
    struct stat *status = &walk->path->status;

    for (;;) {
        if (!enter(walk)) {
            return false;
        }
        if (!take_name(walk)) {
            return fail_with(walk, walk->at, ENAMETOOLONG);
        }
        if (lstat(walk->next, status) < 0) {
            return errno == ENOENT ? is_missing(walk) : fail_with(walk, walk->next, errno);
        }
        if (S_ISLNK(status->st_mode)) {
            if (!follow(walk)) {
                return false;
            }
            continue;
        }
        if (walk->more && !S_ISDIR(status->st_mode)) {
            report_fail(walk->report, CAUSE_NOT_A_DIRECTORY,
                        "%s is %s, so the path cannot lead through it.", walk->next,
                        kind_of(status->st_mode));
            return false;
        }
        if (walk->rest[strspn(walk->rest, "/")] == '\0') {
            return arrive(walk);
        }
        memcpy(walk->at, walk->next, sizeof(walk->next));
    }
}

/* Where the way would have led, for those who know paths as they are written. */
static void resolve(struct walk *walk)
{
    char whole[PATH_MAX];
    char directory[PATH_MAX] = "";

    while (walk->rest[strspn(walk->rest, "/")] != '\0') {
        memcpy(walk->at, walk->next, sizeof(walk->next));
        if (!take_name(walk)) {
            return;
        }
    }
    if (realpath(walk->next, walk->path->resolved)) {
        return;
    }
    walk->path->resolved[0] = '\0';
    if (walk->next[0] != '/' && !getcwd(directory, sizeof(directory))) {
        return;
    }
    if (walk->next[0] == '/' || join(directory, walk->next, whole)) {
        memcpy(walk->path->resolved, walk->next[0] == '/' ? walk->next : whole, PATH_MAX);
    }
}

bool path_walk(struct path *path, const char *text, struct report *report)
{
    struct walk walk = {.path = path, .report = report};
    bool arrived;

    *path = (struct path){0};
    snprintf(walk.at, sizeof(walk.at), "%s", text[0] == '/' ? "/" : ".");
    memcpy(walk.next, walk.at, sizeof(walk.at));
    snprintf(walk.rest, sizeof(walk.rest), "%s", text);
    arrived = go(&walk);
    resolve(&walk);
    return arrived;
}
