// SPDX-License-Identifier: MIT
#include "datagram.h"

#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#include "util.h"

/* One received datagram and the way back; as recvmmsg(2) fills it, sendmmsg(2) takes it. */
struct batch {
    struct mmsghdr messages[LOOP_SLOTS];
    struct iovec data[LOOP_SLOTS];
    struct sockaddr_storage addresses[LOOP_SLOTS];
};

enum {
    BATCHES_PER_TURN = 8,
    DATAGRAM_OVERHEAD = 1024,
    /* Unread replies beyond this are not those of clients that are about to read them. */
    UNREAD_PLAUSIBLE = 8 * 1024 * 1024,
    SEND_BUFFER = 128 * 1024 * 1024,
};

/* Counts a reply that cannot be sent, by what ERROR says of the sender. */
static void count_unanswered(struct loop *loop, int error)
{
    enum counter reason;

    switch (error) {
    case EACCES:
    case EPERM: /* the sender is connected to somebody else (unix(7)), or a firewall */
        reason = COUNTER_FORBIDDEN;
        break;
    case EMSGSIZE:
        reason = COUNTER_TOO_LARGE;
        break;
    case ENOBUFS:
        reason = COUNTER_OVERDUE;
        break;
    case ECONNREFUSED:
    case ECONNRESET:
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
    case EPIPE: /* the sender reads no more */
    case EPROTOTYPE:
    case EINVAL: /* UDP from port 0 */
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
        reason = COUNTER_UNREACHABLE;
        break;
    default:
        reason = COUNTER_UNSENT;
    }
    counter_add(&loop->counters, reason, 1);
}

/* Whether a send that failed with ERROR may succeed later without anybody's doing but the
 * receiver's. */
static bool is_temporary(int error)
{
    return error == EAGAIN || error == ENOBUFS || error == ENOMEM;
}

static size_t send_buffer(int fd)
{
    int size = 0;
    socklen_t length = sizeof(size);

    return getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, &length) == 0 && size > 0 ? (size_t)size
                                                                                  : 0;
}

/*
 * Makes the send buffer fit for a reply of LENGTH bytes, as far as the host allows. Returns whether
 * it has grown.
 */
static bool enlarge(struct datagram *datagram, size_t length)
{
    const int wanted = (int)length;
    size_t before = datagram->capacity;

    /* The kernel books twice what is asked for (socket(7)). */
    if (before >= length * 2) {
        return false;
    }
    (void)setsockopt(datagram->watch.fd, SOL_SOCKET, SO_SNDBUF, &wanted, sizeof(wanted));
    datagram->capacity = send_buffer(datagram->watch.fd);
    return datagram->capacity > before;
}

struct way {
    struct loop *loop;
    int fd;
};

static int way_send(void *context, const struct sockaddr *address, socklen_t size, const void *data,
                    size_t length)
{
    const struct way *way = context;

    if (sendto(way->fd, data, length, MSG_DONTWAIT | MSG_NOSIGNAL, address, size) >= 0) {
        return 0;
    }
    if (is_temporary(errno) || errno == EINTR) {
        return -EAGAIN;
    }
    count_unanswered(way->loop, errno);
    return 0;
}

static size_t way_queued(void *context)
{
    const struct way *way = context;
    int queued = 0;

    return ioctl(way->fd, SIOCOUTQ, &queued) == 0 && queued > 0 ? (size_t)queued : 0;
}

static void show_debts(struct datagram *datagram, struct loop *loop, size_t before)
{
    counter_add(&loop->counters, COUNTER_OWED,
                (int64_t)datagram->debts.datagrams - (int64_t)before);
}

void datagram_pay(struct datagram *datagram, struct loop *loop, uint64_t now)
{
    struct way way = {.loop = loop, .fd = datagram->watch.fd};
    const struct debt_channel channel = {
        .send = way_send,
        .queued = way_queued,
        .context = &way,
        .capacity = datagram->capacity,
    };
    size_t before = datagram->debts.datagrams;

    if (datagram->wary && debts_probe(&datagram->debts, now, &channel)) {
        datagram->wary = false;
        datagram->unread_base = way_queued(&way);
    }
    if (!datagram->wary) {
        debts_pay(&datagram->debts, now, &channel);
    }
    show_debts(datagram, loop, before);
}

/*
 * After BYTES have been sent: looks whether replies pile up. The look is as rare as is safe; what
 * the kernel books for a small datagram is less than DATAGRAM_OVERHEAD.
 */
static void watch_unread(struct datagram *datagram, struct loop *loop, size_t bytes)
{
    struct way way = {.loop = loop, .fd = datagram->watch.fd};
    size_t plausible =
        datagram->capacity / 4 < UNREAD_PLAUSIBLE ? datagram->capacity / 4 : UNREAD_PLAUSIBLE;
    size_t unread;

    datagram->unwatched += bytes;
    if (datagram->unwatched < plausible / 8) {
        return;
    }
    datagram->unwatched = 0;
    unread = way_queued(&way);
    if (unread < datagram->unread_base) {
        datagram->unread_base = unread;
    }
    if (unread - datagram->unread_base > plausible) {
        datagram->wary = true;
        debts_begin_probe(&datagram->debts, loop_now());
    }
}

static void owe(struct datagram *datagram, struct loop *loop, const struct msghdr *message)
{
    size_t before = datagram->debts.datagrams;
    int r = debts_add(&datagram->debts, message->msg_name, message->msg_namelen,
                      message->msg_iov->iov_base, message->msg_iov->iov_len, loop_now());

    if (r < 0) {
        count_unanswered(loop, -r);
    }
    show_debts(datagram, loop, before);
}

/* Receives a batch. Returns how many datagrams there are, 0 if none can be had now. */
static unsigned receive_batch(const struct datagram *datagram, const struct loop *loop,
                              struct batch *batch)
{
    int n;

    for (unsigned i = 0; i < LOOP_SLOTS; i++) {
        batch->data[i] = (struct iovec){.iov_base = loop_slot(loop, i), .iov_len = loop->slot_size};
        /* No room for control data: what a client passes is discarded by the kernel. */
        batch->messages[i].msg_hdr = (struct msghdr){
            .msg_name = &batch->addresses[i],
            .msg_namelen = sizeof(batch->addresses[i]),
            .msg_iov = &batch->data[i],
            .msg_iovlen = 1,
        };
    }
    n = recvmmsg(datagram->watch.fd, batch->messages, LOOP_SLOTS, MSG_DONTWAIT, NULL);
    return n < 0 ? 0 : (unsigned)n;
}

/* Counts what was received and moves what can be answered to the front. Returns how many that are.
 */
static unsigned keep_answerable(struct loop *loop, struct batch *batch, unsigned n)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < n; i++) {
        struct msghdr *message = &batch->messages[i].msg_hdr;
        size_t length = batch->messages[i].msg_len;

        counter_add(&loop->counters, COUNTER_MESSAGES, 1);
        counter_add(&loop->counters, COUNTER_BYTES, (int64_t)length);
        loop->slots_grown |= length > LOOP_SLOT_KEPT;
        message->msg_iov->iov_len = length;
        if (message->msg_flags & MSG_TRUNC) {
            counter_add(&loop->counters, COUNTER_TOO_LARGE, 1);
        } else if (message->msg_namelen <= sizeof(sa_family_t)) {
            counter_add(&loop->counters, COUNTER_UNADDRESSED, 1);
        } else {
            batch->messages[kept++] = batch->messages[i];
        }
    }
    return kept;
}

/* How many of MESSAGES, from the first on, go to senders that are owed nothing yet. */
static unsigned count_sendable(const struct datagram *datagram, const struct mmsghdr *messages,
                               unsigned n)
{
    unsigned run = 0;

    while (run < n && !datagram->wary &&
           !debts_owed_to(&datagram->debts, messages[run].msg_hdr.msg_name,
                          messages[run].msg_hdr.msg_namelen)) {
        run++;
    }
    return run;
}

/* Sends the batch back; a reply that must wait, or that stands behind one that waits, is owed. */
static void answer_batch(struct datagram *datagram, struct loop *loop, struct mmsghdr *messages,
                         unsigned n)
{
    int fd = datagram->watch.fd;
    unsigned done = 0;

    while (done < n) {
        struct msghdr *first = &messages[done].msg_hdr;
        unsigned run = count_sendable(datagram, messages + done, n - done);
        int sent;

        if (run == 0) {
            owe(datagram, loop, first);
            done++;
            continue;
        }
        sent = sendmmsg(fd, messages + done, run, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent > 0) {
            size_t bytes = 0;
            for (int i = 0; i < sent; i++) {
                bytes += DATAGRAM_OVERHEAD + messages[done++].msg_len;
            }
            watch_unread(datagram, loop, bytes);
            continue;
        }
        /* It is the first of the run that failed: sendmmsg(2). */
        if (errno == EINTR || (errno == EMSGSIZE && enlarge(datagram, first->msg_iov->iov_len))) {
            continue;
        }
        if (is_temporary(errno)) {
            owe(datagram, loop, first);
        } else {
            count_unanswered(loop, errno);
        }
        done++;
    }
}

static void datagram_ready(struct loop *loop, struct watch *watch, uint32_t events)
{
    struct datagram *datagram = CONTAINER_OF(watch, struct datagram, watch);
    struct batch batch;
    unsigned n = LOOP_SLOTS;

    (void)events;
    /* A batch that is not full has emptied the socket. */
    for (int i = 0; i < BATCHES_PER_TURN && n == LOOP_SLOTS; i++) {
        n = receive_batch(datagram, loop, &batch);
        answer_batch(datagram, loop, batch.messages, keep_answerable(loop, &batch, n));
    }
}

void datagram_init(struct datagram *datagram, int fd)
{
    *datagram = (struct datagram){.watch = {.ready = datagram_ready, .fd = fd}};
    debts_init(&datagram->debts);
    /* As much as is allowed, unless the .socket unit has given it more (SendBuffer=). */
    datagram->capacity = send_buffer(fd);
    (void)enlarge(datagram, SEND_BUFFER / 2);
}

int datagram_resume(struct datagram *datagram, struct loop *loop)
{
    return loop_watch(loop, &datagram->watch, EPOLLIN);
}

void datagram_pause(struct datagram *datagram, struct loop *loop)
{
    loop_unwatch(loop, &datagram->watch);
}

void datagram_drop(struct datagram *datagram, struct loop *loop)
{
    size_t before = datagram->debts.datagrams;

    counter_add(&loop->counters, COUNTER_LATE, (int64_t)before);
    debts_deinit(&datagram->debts);
    show_debts(datagram, loop, before);
}
