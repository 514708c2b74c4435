// SPDX-License-Identifier: MIT
#include "peer_status.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* What stands behind NAME at the beginning of a line, or NULL. */
static const char *find_field(const char *text, const char *name)
{
    size_t length = strlen(name);

    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, length) == 0) {
            return line + length;
        }
    }
    return NULL;
}

/* Takes the next number of a line off *AT. Returns 1, 0 at the end of the line, or -EINVAL. */
static int next_id(const char **at, uint32_t *ret)
{
    uint64_t id = 0;

    *at += strspn(*at, " \t");
    if (**at == '\n') {
        return 0;
    }
    if (**at < '0' || **at > '9') {
        return -EINVAL;
    }
    for (; **at >= '0' && **at <= '9'; (*at)++) {
        id = id * 10 + (uint64_t)(**at - '0');
        if (id > UINT32_MAX) {
            return -EINVAL;
        }
    }
    *ret = (uint32_t)id;
    return 1;
}

/* Whether the line of NAME holds ID four times. Returns 0 if so, or a negative errno. */
static int expect_ids(const char *text, const char *name, uint32_t id)
{
    const char *at = find_field(text, name);
    uint32_t found;

    for (int i = 0; i < 4; i++) {
        if (!at || next_id(&at, &found) <= 0) {
            return -EINVAL;
        }
        if (found != id) {
            return -EPERM;
        }
    }
    return 0;
}

ssize_t peer_status_groups(const char *text, uid_t uid, gid_t gid, gid_t *groups, size_t max)
{
    const char *at = find_field(text, "Groups:");
    size_t n = 0;
    uint32_t id;
    int r;

    if ((r = expect_ids(text, "Uid:", uid)) < 0 || (r = expect_ids(text, "Gid:", gid)) < 0) {
        return r;
    }
    if (!at) {
        return -EINVAL;
    }
    while ((r = next_id(&at, &id)) > 0) {
        if (n == max) {
            return -ENOBUFS;
        }
        groups[n++] = id;
    }
    return r < 0 ? r : (ssize_t)n;
}
