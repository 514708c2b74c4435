// SPDX-License-Identifier: MIT
#include "descriptors.h"

#include <sys/resource.h>

#include "farewell.h"
#include "loop.h"

enum {
    DESCRIPTORS_RESERVED = 32,  /* not for connections: epoll, event, log, sockets … */
    DESCRIPTORS_PER_WORKER = 5, /* epoll, event, pipe, a connection that is to be refused */
    DESCRIPTORS_FOR_POLICY = FAREWELLS_MAX + 6 * LOOP_SLOTS, /* and what comes with datagrams */
    DESCRIPTORS_PER_JUDGE = FAREWELLS_MIN + 4, /* and what it takes to find out who a client is */
};

uint64_t descriptors_fit(size_t n_sockets, size_t n_workers, bool has_policy)
{
    struct rlimit limit;
    rlim_t reserved = DESCRIPTORS_RESERVED + n_sockets + n_workers * DESCRIPTORS_PER_WORKER;

    if (has_policy) {
        reserved += DESCRIPTORS_FOR_POLICY + n_workers * DESCRIPTORS_PER_JUDGE;
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
        limit.rlim_cur = limit.rlim_max = 1024;
    }
    if (limit.rlim_cur < limit.rlim_max) {
        /* Nothing here uses select(2), for which the soft limit is low (systemd.exec(5)). */
        const struct rlimit raised = {.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0) {
            limit = raised;
        }
    }
    return limit.rlim_cur > reserved ? limit.rlim_cur - reserved : 1;
}
