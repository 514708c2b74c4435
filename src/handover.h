// SPDX-License-Identifier: MIT
#pragma once

/*
 * The way over a restart. What the workers hold, connections and what is owed on all kinds of
 * sockets, is packed by the process that ends and unpacked by the one that begins. In between the
 * service manager keeps it (sd_pid_notify_with_fds(3), FDSTORE=1; FileDescriptorStoreMax= in the
 * unit has to be HANDOVER_KEPT_MAX), or it stays in place while the process executes another
 * program. Clients notice nothing but a delay.
 *
 * Who a client is, and that it was admitted, goes with it; nobody is judged again. But an account
 * is a new one, filled anew, and the kernel is asked again for the uid that the record names.
 */

#include <stddef.h>
#include <stdint.h>

#include "activation.h"
#include "workers.h"

enum { HANDOVER_KEPT_MAX = 16 };

struct handover {
    int kept[HANDOVER_KEPT_MAX]; /* what is to be there for the next process */
    int ends[HANDOVER_KEPT_MAX]; /* these sockets' other ends */
    size_t n_kept;
    uint64_t connections;
    uint64_t datagrams;
    uint64_t lost;     /* connections that the kernel does not let travel */
    uint64_t stranded; /* sockets that the manager keeps all the same, with all that is in them */
};

/*
 * Packs what WORKERS, who have yielded and whose threads have ended, hold. It stays theirs until
 * handover_release(), after which these can only be freed. Returns 0 or a negative errno: -ENOSPC
 * or -ETOOMANYREFS if it is more than can travel. handover_deinit() is right after either.
 */
int handover_pack(struct handover *handover, struct workers *workers);
void handover_release(struct workers *workers);
void handover_deinit(struct handover *handover);

/* Gives it to the service manager, and makes sure of it. Returns 0, -ENOSPC if that does not keep
 * all of it, or another negative errno: then it has been taken back, but for what is stranded. */
int handover_store(struct handover *handover);

/*
 * Unpacks what is among SOCKETS for WORKERS, who have not been started. What is missing, not
 * understood or not possible any more is counted there or logged, and closed; the service manager
 * is told to forget it. Returns how many connections there are.
 */
uint64_t handover_take(struct workers *workers, const struct activated *sockets, size_t n_sockets);
