// SPDX-License-Identifier: MIT

/* The file that a policy is read from: who may write it, and how its mistakes are told. */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "log.h"
#include "policy.h"
#include "util.h"

enum { FILE_MAX_BYTES = 1024 * 1024 };

/* Reads the whole file into *TEXT, for free(3). Returns its length or a negative errno. */
static ssize_t read_file(int fd, char **text)
{
    char *buffer = malloc(FILE_MAX_BYTES + 1);
    size_t length = 0;
    ssize_t n;

    if (!buffer) {
        return -ENOMEM;
    }
    while ((n = read(fd, buffer + length, FILE_MAX_BYTES + 1 - length)) > 0) {
        length += (size_t)n;
    }
    if (n < 0 || length > FILE_MAX_BYTES) {
        n = n < 0 ? -errno : -EFBIG;
        free(buffer);
        return n;
    }
    *text = buffer;
    return (ssize_t)length;
}

/* Reports that the file at PATH cannot be read because of ERROR, and returns that, negative. */
static int unreadable(policy_report report, void *context, const char *path, int error)
{
    char reason[128];

    snprintf(reason, sizeof(reason), "cannot be read: %s", strerror(error));
    report(context, 0, path, reason);
    return -error;
}

int policy_load(const char *path, const struct policy_names *names, policy_report report,
                void *context, struct policy **ret)
{
    /* Not blocking: it may be a FIFO. */
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    CLEANUP(free_pointer) char *text = NULL;
    struct stat status;
    struct stat after;
    ssize_t length;
    int r;

    if (fd < 0 || fstat(fd, &status) < 0) {
        return unreadable(report, context, path, errno);
    }
    if (!S_ISREG(status.st_mode)) {
        report(context, 0, path, "is not a regular file");
        return -EINVAL;
    }
    if ((status.st_uid != 0 && status.st_uid != geteuid()) ||
        (status.st_mode & (S_IWGRP | S_IWOTH))) {
        report(context, 0, path, "may be written by others than root: chown root, chmod go-w");
        return -EPERM;
    }
    length = read_file(fd, &text);
    if (length == -EFBIG) {
        report(context, 0, path, "is larger than 1 MiB");
        return -EFBIG;
    }
    if (length < 0) {
        return unreadable(report, context, path, (int)-length);
    }
    if (fstat(fd, &after) < 0) {
        return unreadable(report, context, path, errno);
    }
    if (after.st_size != length || after.st_size != status.st_size ||
        after.st_mtim.tv_sec != status.st_mtim.tv_sec ||
        after.st_mtim.tv_nsec != status.st_mtim.tv_nsec) {
        report(context, 0, path, "was being written while it was read: try again");
        return -EAGAIN;
    }
    r = policy_parse(text, (size_t)length, names, report, context, ret);
    return r == -ENOMEM ? unreadable(report, context, path, ENOMEM) : r;
}

/* Tells a mistake: FILE:LINE: "WORD" REASON. */
static void log_mistake(void *context, unsigned line, const char *word, const char *reason)
{
    const char *file = *(const char **)context;

    if (line == 0) {
        log_line(LOG_ERR, "%s %s.", word, reason);
    } else {
        log_line(LOG_ERR, "%s:%u: \"%s\" %s.", file, line, word, reason);
    }
}

int policy_load_or_log(const char *path, struct policy **ret)
{
    return policy_load(path, &policy_names_of_host, log_mistake, &path, ret);
}
