// SPDX-License-Identifier: MIT
#include "outlook.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "log.h"
#include "peer.h"

/* A user namespace of a container or of a session maps some ten thousand ids; PrivateUsers=yes maps
 * root and the service's own. */
enum { IDS_FEW = 1000 };

/* How many ids FILE maps (user_namespaces(7)): lines of first inside, first outside, how many. */
static uint64_t count_mapped(const char *file)
{
    FILE *map = fopen(file, "re");
    uint64_t all = 0;
    uint64_t count;

    if (!map) {
        return UINT64_MAX; /* a kernel without user namespaces maps all */
    }
    // NOLINTNEXTLINE(cert-err34-c): the kernel writes it
    while (fscanf(map, "%*u %*u %" SCNu64, &count) == 1) {
        all += count;
    }
    (void)fclose(map);
    return all;
}

static void tell_mapped(const char *file, const char *what)
{
    uint64_t mapped = count_mapped(file);

    if (mapped < IDS_FEW) {
        log_line(LOG_WARNING,
                 "Almost no %s is mapped here (%" PRIu64 "; is PrivateUsers= on?): the kernel does "
                 "not say which one any other client has, so no rule on it matches and such "
                 "clients are refused.",
                 what, mapped);
    }
}

void outlook_tell(unsigned needs)
{
    tell_mapped("/proc/self/uid_map", "user id");
    tell_mapped("/proc/self/gid_map", "group id");
    if (!(needs & (POLICY_NEEDS_UNIT | POLICY_NEEDS_GROUPS))) {
        return;
    }
    if (!peer_can_pin()) {
        log_line(LOG_WARNING,
                 "This kernel does not say for sure which process a client is (Linux 6.5 does): "
                 "no rule on a unit matches, nor one on a supplementary group of who sends a "
                 "datagram.");
    }
    if (access("/proc/1/cgroup", R_OK) < 0) {
        log_line(LOG_WARNING,
                 "Other users' processes are not seen in /proc here (is ProtectProc= on?): no rule "
                 "on a unit matches, nor one on a supplementary group of who sends a datagram.");
    }
}
