// SPDX-License-Identifier: MIT
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "connection.h"
#include "datagrams.h"
#include "farewell.h"
#include "handover.h"
#include "handover_channel.h"
#include "handover_format.h"
#include "log.h"
#include "peer.h"
#include "util.h"
#include "worker.h"

/* What was received, as yet without an order. */
struct luggage {
    int file;         /* -1 if there is none */
    int *connections; /* by number, -1 where there is none */
    uint64_t n;
};

struct unpacking {
    struct workers *workers;
    struct luggage luggage;
    uint64_t next;   /* number of the next connection */
    size_t worker;   /* the next to get one */
    uint64_t served; /* connections */
};

static struct loop *first_loop(const struct unpacking *unpacking)
{
    return worker_loop(workers_get(unpacking->workers, 0));
}

static void lose(const struct unpacking *unpacking, enum counter what)
{
    counter_add(&first_loop(unpacking)->counters, what, 1);
}

static int check_label(const struct luggage *luggage, const struct handover_label *label, size_t n)
{
    enum { CONNECTIONS_MAX = 1 << 26 }; /* as many as the kernel lets a process have (fs.nr_open) */

    if (label->version != HANDOVER_VERSION) {
        return -EPROTONOSUPPORT;
    }
    if (label->is_file) {
        return n == 1 && luggage->file < 0 ? 0 : -EBADMSG;
    }
    return label->first <= CONNECTIONS_MAX ? 0 : -EBADMSG;
}

/* Has room for connections up to N. Returns 0 or -ENOMEM. */
static int make_room(struct luggage *luggage, uint64_t n)
{
    int *more;

    if (n <= luggage->n) {
        return 0;
    }
    more = reallocarray(luggage->connections, n, sizeof(*more));
    if (!more) {
        return -ENOMEM;
    }
    luggage->connections = more;
    while (luggage->n < n) {
        more[luggage->n++] = -1;
    }
    return 0;
}

/* Puts N descriptors away. Returns 0 or a negative errno: then they have been closed. */
static int put_away(struct luggage *luggage, const struct handover_label *label,
                    const int *descriptors, size_t n)
{
    int r = check_label(luggage, label, n);

    if (r == 0 && label->is_file) {
        luggage->file = descriptors[0];
        return 0;
    }
    if (r == 0) {
        r = make_room(luggage, label->first + n);
    }
    assert(r < 0 || luggage->connections); /* N is not 0 */
    for (size_t i = 0; i < n; i++) {
        if (r < 0) {
            close(descriptors[i]);
            continue;
        }
        fd_close(&luggage->connections[label->first + i]);
        luggage->connections[label->first + i] = descriptors[i];
    }
    return r;
}

static int receive_all(struct luggage *luggage, int fd)
{
    int descriptors[HANDOVER_BATCH];
    struct handover_label label;
    int failure = 0;
    int n;

    while ((n = handover_channel_receive(fd, &label, descriptors)) != -ENODATA) {
        int r = n < 0 ? n : put_away(luggage, &label, descriptors, (size_t)n);
        if (r < 0) {
            failure = r;
        }
        if (n < 0 && n != -EBADMSG && n != -EMFILE) {
            break; /* the channel itself does not work */
        }
    }
    return failure;
}

static void luggage_deinit(struct luggage *luggage)
{
    fd_close(&luggage->file);
    for (uint64_t i = 0; i < luggage->n; i++) {
        fd_close(&luggage->connections[i]);
    }
    free(luggage->connections);
    *luggage = (struct luggage){.file = -1};
}

/* The descriptor of the next connection, or -1 if it has not come. */
static int claim(struct unpacking *unpacking)
{
    struct luggage *luggage = &unpacking->luggage;
    uint64_t number = unpacking->next++;
    int fd = number < luggage->n ? luggage->connections[number] : -1;

    if (fd >= 0) {
        luggage->connections[number] = -1;
    }
    return fd;
}

/* Whether FD is the connection of RECORD: what is not understood is not served. */
static bool is_sound(int fd, const struct handover_record *record)
{
    int type = 0;
    socklen_t size = sizeof(type);

    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == record->type &&
           peer_uid(fd) == record->uid;
}

/* Has VISITOR go on where it was. Returns 0 or a negative errno: then it has been dismissed. */
static int settle_in(struct worker *worker, const struct visitor *visitor,
                     const struct handover_record *record)
{
    struct loop *loop = worker_loop(worker);
    int r;

    if (record->kind == HANDOVER_FAREWELL) {
        return farewell_begin(loop, visitor, record->data, record->length);
    }
    r = record->oversize
            ? connection_adopt_oversize(loop, visitor)
            : connection_adopt(loop, visitor, record->owes ? record->data : NULL, record->length);
    if (r == 0) {
        idle_set(worker_idle(worker), loop, loop->connections, record->idle_usec);
    }
    return r;
}

static void take_connection(struct unpacking *unpacking, const struct handover_record *record)
{
    struct worker *worker = workers_get(unpacking->workers, unpacking->worker);
    struct loop *loop = worker_loop(worker);
    struct visitor visitor = {.fd = claim(unpacking), .type = record->type, .role = record->role};
    int r = -EBADF;

    if (visitor.fd >= 0 && is_sound(visitor.fd, record)) {
        /* Who is only to hear a last word takes no place. */
        r = record->kind == HANDOVER_FAREWELL
                ? 0
                : quota_enter(loop->common->quota, record->uid, &visitor.account);
    }
    if (r == 0) {
        r = settle_in(worker, &visitor, record);
    } else if (visitor.fd >= 0) {
        close(visitor.fd);
    }
    if (r < 0) {
        lose(unpacking, COUNTER_LOST_CONNECTIONS);
        return;
    }
    unpacking->served++;
    unpacking->worker++;
    if (!workers_get(unpacking->workers, unpacking->worker)) {
        unpacking->worker = 0;
    }
}

static bool is_at(const struct datagram *datagram, const struct handover_record *record)
{
    struct sockaddr_storage own = {0};

    return datagram_address(datagram, &own) == record->own_size &&
           memcmp(&own, record->own, record->own_size) == 0;
}

/* The datagram socket that the record's datagram was sent to, and its worker; or NULL. */
static struct datagram *find_datagram(const struct unpacking *unpacking,
                                      const struct handover_record *record, struct worker **ret)
{
    for (size_t i = 0; (*ret = workers_get(unpacking->workers, i)); i++) {
        for (struct datagram *datagram = worker_datagrams(*ret)->first; datagram;
             datagram = datagram->next) {
            if (is_at(datagram, record)) {
                return datagram;
            }
        }
    }
    return NULL;
}

static void take_datagram(const struct unpacking *unpacking, const struct handover_record *record)
{
    struct worker *worker;
    struct datagram *datagram = find_datagram(unpacking, record, &worker);
    struct sender sender = {
        .uid = record->uid,
        .size = (socklen_t)record->sender_size,
        .brief = record->brief,
    };

    memcpy(&sender.address, record->sender, record->sender_size);
    if (!datagram ||
        datagram_adopt(datagram, worker_loop(worker), &sender, record->data, record->length) < 0) {
        lose(unpacking, COUNTER_LOST_DATAGRAMS);
    }
}

static void take_records(struct unpacking *unpacking, struct handover_reader *reader)
{
    struct handover_record record;

    while (handover_next(reader, &record)) {
        if (record.kind == HANDOVER_DATAGRAM) {
            take_datagram(unpacking, &record);
        } else {
            take_connection(unpacking, &record);
        }
    }
}

/* Reads what is in the file. Returns 0 or a negative errno, and nothing was taken then. */
static int read_file(struct unpacking *unpacking)
{
    int fd = unpacking->luggage.file;
    struct handover_reader reader;
    struct stat status;
    void *data;
    int r;

    if (fd < 0) {
        return -ENOENT;
    }
    r = fcntl(fd, F_GET_SEALS);
    if (r < 0 || fstat(fd, &status) < 0) {
        return is_shortage(errno) ? -errno : -EBADMSG;
    }
    if (!(r & F_SEAL_SHRINK) || !(r & F_SEAL_WRITE) || status.st_size <= 0) {
        return -EBADMSG;
    }
    data = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) {
        return -errno;
    }
    r = handover_open(&reader, data, (size_t)status.st_size);
    if (r == 0) {
        take_records(unpacking, &reader);
    }
    munmap(data, (size_t)status.st_size);
    return r;
}

/* How many descriptors nobody has claimed. */
static uint64_t count_left(const struct luggage *luggage)
{
    uint64_t left = 0;

    for (uint64_t i = 0; i < luggage->n; i++) {
        left += luggage->connections[i] >= 0;
    }
    return left;
}

static void explain(int failure, uint64_t left)
{
    char reason[128];

    snprintf(reason, sizeof(reason), "could not be taken up (%s)", strerror(-failure));
    log_line(LOG_WARNING,
             "What the process before has handed over %s: %" PRIu64
             " connection%s closed without a word, and replies to datagrams are lost.",
             failure == -EPROTONOSUPPORT ? "is of another version than this program knows"
             : failure == -ENOENT        ? "is not complete"
             : failure == -EBADMSG       ? "is not understood"
                                         : reason,
             left, left == 1 ? " is" : "s are");
}

/* Unpacks what was received, of which FAILURE says whether it was all. */
static void unpack(struct unpacking *unpacking, int failure)
{
    int r = read_file(unpacking);
    uint64_t left = count_left(&unpacking->luggage);

    failure = failure < 0 ? failure : r;
    if (failure < 0) {
        explain(failure, left);
    }
    counter_add(&first_loop(unpacking)->counters, COUNTER_LOST_CONNECTIONS, (int64_t)left);
}

uint64_t handover_take(struct workers *workers, const struct activated *sockets, size_t n_sockets)
{
    struct unpacking unpacking = {.workers = workers, .luggage = {.file = -1}};
    bool any = false;
    int failure = 0;

    for (size_t i = 0; i < n_sockets; i++) {
        if (sockets[i].kind == SOCKET_HANDOVER) {
            int r = receive_all(&unpacking.luggage, sockets[i].fd);
            failure = r < 0 ? r : failure;
            any = true;
            close(sockets[i].fd);
        }
    }
    if (any) {
        (void)sd_notify(0, "FDSTOREREMOVE=1\nFDNAME=" ACTIVATION_HANDOVER);
    }
    if (unpacking.luggage.file >= 0 || unpacking.luggage.n > 0 || failure < 0) {
        unpack(&unpacking, failure);
    }
    luggage_deinit(&unpacking.luggage);
    return unpacking.served;
}
