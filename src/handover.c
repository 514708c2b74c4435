// SPDX-License-Identifier: MIT
#include "handover.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "connection.h"
#include "datagrams.h"
#include "farewell.h"
#include "handover_channel.h"
#include "handover_format.h"
#include "peer.h"
#include "util.h"
#include "worker.h"

enum { STORE_USEC = 5 * 1000 * 1000 }; /* for the service manager to take it */

/* The descriptors go in the order of the records, in as few messages as they fit into. */
struct packing {
    struct handover *handover;
    FILE *file;
    uint64_t records;
    uint64_t descriptors;
    int batch[HANDOVER_BATCH];
    size_t n_batch;
    const struct datagram *datagram; /* whose debts are packed now */
    int fd;                          /* the file */
    int failure;                     /* why no more can be packed, or 0 */
};

static int add_channel(struct handover *handover)
{
    int pair[2];
    int r;

    if (handover->n_kept == HANDOVER_KEPT_MAX) {
        return -ENOSPC;
    }
    r = handover_channel_new(pair);
    if (r < 0) {
        return r;
    }
    handover->ends[handover->n_kept] = pair[0];
    handover->kept[handover->n_kept++] = pair[1];
    return 0;
}

/* Sends to the last channel, or to one more if that is full. */
static int send_on(struct handover *handover, const struct handover_label *label,
                   const int *descriptors, size_t n)
{
    int r = handover_channel_send(handover->ends[handover->n_kept - 1], label, descriptors, n);

    if (r != -EAGAIN) {
        return r;
    }
    r = add_channel(handover);
    return r < 0
               ? r
               : handover_channel_send(handover->ends[handover->n_kept - 1], label, descriptors, n);
}

/* Whether ERROR, with which a batch was not sent, would have kept back any other. */
static bool is_for_all(const struct packing *packing, int error)
{
    switch (error) {
    case -ENOSPC: /* there is no channel more, or none to be had */
    case -EMFILE:
    case -ENFILE:
        return true;
    case -ETOOMANYREFS:
        return !handover_channel_carries(packing->fd);
    default:
        return false;
    }
}

/*
 * Sends the batch, and if that fails once more: without those that the kernel does not let travel
 * (a client may have nested too many in each other, unix(7)). In their places goes the file's
 * descriptor, which is no connection. Returns 0 or a negative errno.
 */
static int send_batch(struct packing *packing, const struct handover_label *label)
{
    int r = send_on(packing->handover, label, packing->batch, packing->n_batch);

    if (r == 0 || is_for_all(packing, r)) {
        return r;
    }
    for (size_t i = 0; i < packing->n_batch; i++) {
        if (!handover_channel_carries(packing->batch[i])) {
            packing->batch[i] = packing->fd;
            packing->handover->lost++;
        }
    }
    return send_on(packing->handover, label, packing->batch, packing->n_batch);
}

static void flush_batch(struct packing *packing)
{
    const struct handover_label label = {
        .version = HANDOVER_VERSION,
        .first = packing->descriptors - packing->n_batch,
    };

    if (packing->failure == 0 && packing->n_batch > 0) {
        packing->failure = send_batch(packing, &label);
    }
    packing->n_batch = 0;
}

static void pack_record(struct packing *packing, const struct handover_record *record)
{
    handover_write(packing->file, record);
    packing->records++;
}

static void pack_descriptor(struct packing *packing, int fd)
{
    packing->batch[packing->n_batch++] = fd;
    packing->descriptors++;
    if (packing->n_batch == HANDOVER_BATCH) {
        flush_batch(packing);
    }
}

static void pack_connection(struct packing *packing, const struct connection *connection,
                            uint64_t idle_usec)
{
    struct handover_record record = {
        .kind = HANDOVER_CONNECTION,
        .uid = connection->account->uid,
        .role = connection->role,
        .type = connection->is_stream ? SOCK_STREAM : SOCK_SEQPACKET,
        .idle_usec = idle_usec,
        .oversize = connection->oversize > 0,
    };
    const char *data = NULL;

    record.owes = connection_owed(connection, &data, &record.length);
    record.data = data;
    pack_record(packing, &record);
    pack_descriptor(packing, connection->watch.fd);
    packing->handover->connections++;
}

static void pack_farewell(void *context, int fd, int type, const char *rest, size_t length)
{
    struct packing *packing = context;
    const struct handover_record record = {
        .kind = HANDOVER_FAREWELL,
        .uid = peer_uid(fd),
        .type = type,
        .owes = true,
        .data = rest,
        .length = length,
    };

    pack_record(packing, &record);
    pack_descriptor(packing, fd);
    packing->handover->connections++;
}

static void pack_debt(void *context, const struct sender *sender, const void *data, size_t length)
{
    struct packing *packing = context;
    struct sockaddr_storage own = {0};
    const struct handover_record record = {
        .kind = HANDOVER_DATAGRAM,
        .uid = sender->uid,
        .type = SOCK_DGRAM,
        .own = &own,
        .own_size = datagram_address(packing->datagram, &own),
        .sender = &sender->address,
        .sender_size = sender->size,
        .brief = sender->brief,
        .data = data,
        .length = length,
    };

    pack_record(packing, &record);
    packing->handover->datagrams++;
}

static void pack_worker(struct packing *packing, struct worker *worker)
{
    struct loop *loop = worker_loop(worker);

    for (const struct connection *connection = loop->connections; connection;
         connection = connection->next) {
        pack_connection(packing, connection, idle_get(worker_idle(worker), loop, connection));
    }
    farewell_each(&loop->farewells, pack_farewell, packing);
    for (const struct datagram *datagram = worker_datagrams(worker)->first; datagram;
         datagram = datagram->next) {
        packing->datagram = datagram;
        debts_each(&datagram->debts, pack_debt, packing);
    }
}

/* Packs into the file FD, whose descriptor goes first. */
static int pack_into(struct handover *handover, struct workers *workers, int fd)
{
    const struct handover_label label = {.version = HANDOVER_VERSION, .is_file = 1};
    struct packing packing = {.handover = handover, .fd = fd};
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    int r;

    packing.file = copy >= 0 ? fdopen(copy, "w") : NULL;
    if (!packing.file) {
        r = -errno;
        fd_close(&copy);
        return r;
    }
    r = send_on(handover, &label, &fd, 1);
    if (r == 0) {
        handover_begin(packing.file);
        for (size_t i = 0; workers_get(workers, i); i++) {
            pack_worker(&packing, workers_get(workers, i));
        }
        flush_batch(&packing);
        r = handover_complete(packing.file, packing.records);
        r = packing.failure < 0 ? packing.failure : r;
    }
    (void)fclose(packing.file);
    return r;
}

int handover_pack(struct handover *handover, struct workers *workers)
{
    CLEANUP(fd_close) int fd = -1;
    int r;

    *handover = (struct handover){.n_kept = 0};
    r = add_channel(handover);
    if (r < 0) {
        return r;
    }
    fd = memfd_create("uds-echo-handover", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) {
        return -errno;
    }
    r = pack_into(handover, workers, fd);
    if (r < 0) {
        return r;
    }
    /* Who maps it is not to find it shorter than it was (SIGBUS). */
    return fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0
               ? -errno
               : 0;
}

void handover_release(struct workers *workers)
{
    for (size_t i = 0; workers_get(workers, i); i++) {
        struct worker *worker = workers_get(workers, i);
        struct loop *loop = worker_loop(worker);

        while (loop->connections) {
            connection_free(loop, loop->connections);
        }
        farewell_forget_all(loop);
        for (struct datagram *datagram = worker_datagrams(worker)->first; datagram;
             datagram = datagram->next) {
            datagram_forget(datagram, loop);
        }
    }
}

void handover_deinit(struct handover *handover)
{
    for (size_t i = 0; i < handover->n_kept; i++) {
        fd_close(&handover->ends[i]);
        fd_close(&handover->kept[i]);
    }
    handover->n_kept = 0;
}

/* The service manager says nothing of what it does not keep; but then nobody has the other end of
 * what was sent to it. */
static bool is_kept(int end)
{
    struct pollfd hangup = {.fd = end};

    /* Where it cannot be told it is: what is served here and kept there would be sent twice. */
    return poll(&hangup, 1, 0) <= 0;
}

/* Gives the sockets to the service manager, and waits until it has seen to that. */
static int notify(const struct handover *handover)
{
    /* FDPOLL=0: they are to be kept although their other ends are closed. */
    int r = sd_pid_notify_with_fds(0, 0, "FDSTORE=1\nFDPOLL=0\nFDNAME=" ACTIVATION_HANDOVER,
                                   handover->kept, (unsigned)handover->n_kept);

    if (r > 0) {
        r = sd_notify_barrier(0, STORE_USEC);
    }
    return r > 0 ? 0 : r == 0 ? -ENOTCONN : r;
}

/* Whether the manager keeps all of it, and nothing stays here. If not all, it keeps the first ones:
 * so the last are let go of first, and the others can still be emptied. */
static bool let_go(struct handover *handover)
{
    for (size_t i = handover->n_kept; i > 0; i--) {
        fd_close(&handover->kept[i - 1]);
        if (!is_kept(handover->ends[i - 1])) {
            return false;
        }
    }
    return true;
}

/* Takes everything out again, and has the manager forget it: nobody is to find it later, when it is
 * no longer true. */
static void take_back(struct handover *handover)
{
    for (size_t i = 0; i < handover->n_kept; i++) {
        if (handover->kept[i] >= 0 && handover_channel_empty(handover->kept[i]) == 0) {
            fd_close(&handover->ends[i]);
        }
        fd_close(&handover->kept[i]);
    }
    (void)sd_notify(0, "FDSTOREREMOVE=1\nFDNAME=" ACTIVATION_HANDOVER);
}

static void count_stranded(struct handover *handover)
{
    for (size_t i = 0; i < handover->n_kept; i++) {
        handover->stranded += handover->ends[i] >= 0 && is_kept(handover->ends[i]);
    }
}

int handover_store(struct handover *handover)
{
    int r = notify(handover);
    bool answers = r == 0;

    if (r == 0 && let_go(handover)) {
        return 0;
    }
    take_back(handover);
    if (answers) {
        (void)sd_notify_barrier(0, STORE_USEC); /* the next process must not be given any of it */
    }
    count_stranded(handover);
    return answers ? -ENOSPC : r;
}
