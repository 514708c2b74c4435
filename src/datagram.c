// SPDX-License-Identifier: MIT
#include "datagram.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/un.h>

#include "util.h"

/* Room for the sender's credentials and for nothing else: descriptors that it passes are discarded.
 */
struct credentials_room {
    _Alignas(struct cmsghdr) char bytes[CMSG_SPACE(sizeof(struct ucred))];
};

/* Received datagrams and the way back; as recvmmsg(2) fills it, sendmmsg(2) takes it. A message's
 * name is the address, that is the beginning, of one of the senders. */
struct batch {
    struct mmsghdr messages[LOOP_SLOTS];
    struct iovec data[LOOP_SLOTS];
    struct sender senders[LOOP_SLOTS];
    struct credentials_room credentials[LOOP_SLOTS];
};

static const struct sender *sender_of(const struct mmsghdr *message)
{
    return message->msg_hdr.msg_name;
}

enum {
    BATCHES_PER_TURN = 8,
    DATAGRAM_OVERHEAD = 1024,
    /* Unread replies beyond this are not those of clients that are about to read them. */
    UNREAD_PLAUSIBLE = 8 * 1024 * 1024,
    SEND_BUFFER = 128 * 1024 * 1024,
    WARY_TAKES = 256, /* datagrams received while probing; the others wait in the kernel */
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
    return error == EAGAIN || error == ENOBUFS || error == ENOMEM || error == EMFILE ||
           error == ENFILE || error == EINTR;
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

static int way_send(void *context, const struct sender *sender, const void *data, size_t length)
{
    const struct way *way = context;
    int r = sender_reply(sender, way->fd, &way->loop->off_limits, data, length);

    if (r < 0 && is_temporary(-r)) {
        return -EAGAIN;
    }
    if (r < 0) {
        count_unanswered(way->loop, -r);
    }
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

static void begin_wary(struct datagram *datagram)
{
    datagram->wary = true;
    datagram->wary_until = datagram->debts.datagrams + WARY_TAKES;
    debts_begin_probe(&datagram->debts, loop_now());
}

static void end_wary(struct datagram *datagram, struct loop *loop, size_t unread)
{
    datagram->wary = false;
    datagram->unread_base = unread;
    if (!loop->draining) {
        (void)loop_rewatch(loop, &datagram->watch, EPOLLIN); /* it may have been deaf */
    }
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
        end_wary(datagram, loop, way_queued(&way));
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
    size_t room;
    size_t plausible;
    size_t unread;

    datagram->unwatched += bytes;
    if (datagram->unwatched < datagram->capacity / 128) {
        return;
    }
    datagram->unwatched = 0;
    unread = way_queued(&way);
    room = unread < datagram->capacity ? datagram->capacity - unread : 0;
    plausible = room / 4 < UNREAD_PLAUSIBLE ? room / 4 : UNREAD_PLAUSIBLE;
    if (unread < datagram->unread_base) {
        datagram->unread_base = unread;
    }
    if (unread - datagram->unread_base > plausible) {
        begin_wary(datagram);
    }
}

static void owe(struct datagram *datagram, struct loop *loop, const struct mmsghdr *message)
{
    size_t before = datagram->debts.datagrams;
    int r = debts_add(&datagram->debts, sender_of(message), message->msg_hdr.msg_iov->iov_base,
                      message->msg_hdr.msg_iov->iov_len, loop_now());

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
        batch->messages[i].msg_hdr = (struct msghdr){
            .msg_name = &batch->senders[i],
            .msg_namelen = sizeof(batch->senders[i].address),
            .msg_iov = &batch->data[i],
            .msg_iovlen = 1,
            .msg_control = datagram->port == 0 ? &batch->credentials[i] : NULL,
            .msg_controllen = datagram->port == 0 ? sizeof(batch->credentials[i]) : 0,
        };
    }
    n = recvmmsg(datagram->watch.fd, batch->messages, LOOP_SLOTS, MSG_DONTWAIT, NULL);
    return n < 0 ? 0 : (unsigned)n;
}

/* Completes what is known of the sender of MESSAGE, and makes it ready to be sent. */
static struct sender *complete_sender(struct msghdr *message, size_t length)
{
    struct sender *sender = message->msg_name;
    const struct cmsghdr *control = CMSG_FIRSTHDR(message);
    struct ucred credentials = {.uid = SENDER_UNKNOWN};

    if (control && control->cmsg_level == SOL_SOCKET && control->cmsg_type == SCM_CREDENTIALS) {
        memcpy(&credentials, CMSG_DATA(control), sizeof(credentials));
    }
    sender->uid = credentials.uid;
    sender->size = message->msg_namelen;
    message->msg_iov->iov_len = length;
    message->msg_control = NULL;
    message->msg_controllen = 0;
    return sender;
}

/* The port of an internet address in network byte order, 0 of any other. */
static in_port_t port_of(const struct sockaddr_storage *address)
{
    return address->ss_family == AF_INET    ? ((const struct sockaddr_in *)address)->sin_port
           : address->ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)address)->sin6_port
                                            : 0;
}

/* Counts what was received and moves what can be answered to the front. Returns how many that are.
 */
static unsigned keep_answerable(const struct datagram *datagram, struct loop *loop,
                                struct batch *batch, unsigned n)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < n; i++) {
        struct mmsghdr *message = &batch->messages[i];
        size_t length = message->msg_len;
        bool truncated = message->msg_hdr.msg_flags & MSG_TRUNC;
        const struct sender *sender = complete_sender(&message->msg_hdr, length);

        counter_add(&loop->counters, COUNTER_MESSAGES, 1);
        counter_add(&loop->counters, COUNTER_BYTES, (int64_t)length);
        loop->slots_grown |= length > LOOP_SLOT_KEPT;
        if (truncated) {
            counter_add(&loop->counters, COUNTER_TOO_LARGE, 1);
        } else if (sender->size <= sizeof(sa_family_t)) {
            counter_add(&loop->counters, COUNTER_UNADDRESSED, 1);
        } else if (datagram->port != 0 && port_of(&sender->address) == datagram->port) {
            counter_add(&loop->counters, COUNTER_LOOPED, 1);
        } else {
            batch->messages[kept++] = *message;
        }
    }
    return kept;
}

/* How many of MESSAGES, from the first on, can be sent as they are: all but those to senders that
 * are owed something already, and to those whose path has to be followed first. */
static unsigned count_direct(const struct datagram *datagram, const struct mmsghdr *messages,
                             unsigned n)
{
    unsigned run = 0;

    while (run < n && !datagram->wary && !sender_has_path(sender_of(&messages[run])) &&
           !debts_owed_to(&datagram->debts, sender_of(&messages[run]))) {
        run++;
    }
    return run;
}

/* Sends the first RUN of MESSAGES. Returns how many went, or a negative errno that is the first
 * one's. */
static int send_run(struct datagram *datagram, struct loop *loop, struct mmsghdr *messages,
                    unsigned run)
{
    int sent = sendmmsg(datagram->watch.fd, messages, run, MSG_DONTWAIT | MSG_NOSIGNAL);
    size_t bytes = 0;

    if (sent < 0) {
        return -errno;
    }
    for (int i = 0; i < sent; i++) {
        bytes += DATAGRAM_OVERHEAD + messages[i].msg_len;
    }
    watch_unread(datagram, loop, bytes);
    return sent;
}

/* Answers one whose path has to be followed. Returns 1 or a negative errno. */
static int send_one(struct datagram *datagram, struct loop *loop, const struct mmsghdr *message)
{
    int r = sender_reply(sender_of(message), datagram->watch.fd, &loop->off_limits,
                         message->msg_hdr.msg_iov->iov_base, message->msg_len);

    if (r < 0) {
        return r;
    }
    watch_unread(datagram, loop, DATAGRAM_OVERHEAD + message->msg_len);
    return 1;
}

/* Sends the batch back; a reply that must wait, or that stands behind one that waits, is owed. */
static void answer_batch(struct datagram *datagram, struct loop *loop, struct mmsghdr *messages,
                         unsigned n)
{
    unsigned done = 0;

    while (done < n) {
        struct mmsghdr *first = &messages[done];
        unsigned run = count_direct(datagram, first, n - done);
        int r;

        if (run == 0 && (datagram->wary || debts_owed_to(&datagram->debts, sender_of(first)))) {
            owe(datagram, loop, first);
            done++;
            continue;
        }
        r = run > 0 ? send_run(datagram, loop, first, run) : send_one(datagram, loop, first);
        if (r > 0) {
            done += (unsigned)r;
            continue;
        }
        if (r == -EMSGSIZE && enlarge(datagram, first->msg_len)) {
            continue;
        }
        if (is_temporary(-r)) {
            owe(datagram, loop, first);
        } else {
            count_unanswered(loop, -r);
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
    for (int i = 0; i < BATCHES_PER_TURN && n == LOOP_SLOTS && !loop->draining; i++) {
        if (datagram->wary && datagram->debts.datagrams >= datagram->wary_until) {
            (void)loop_rewatch(loop, watch, 0);
            return;
        }
        n = receive_batch(datagram, loop, &batch);
        answer_batch(datagram, loop, batch.messages, keep_answerable(datagram, loop, &batch, n));
    }
}

int datagram_init(struct datagram *datagram, struct loop *loop, int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_un un;
        struct sockaddr_storage storage;
    } own = {.storage = {0}};
    socklen_t size = sizeof(own);
    const int on = 1;

    *datagram = (struct datagram){.watch = {.ready = datagram_ready, .fd = fd}};
    debts_init(&datagram->debts);
    /* As much as is allowed, unless the .socket unit has given it more (SendBuffer=). */
    datagram->capacity = send_buffer(fd);
    (void)enlarge(datagram, SEND_BUFFER / 2);

    if (getsockname(fd, &own.any, &size) < 0) {
        return -errno;
    }
    datagram->port = port_of(&own.storage);
    if (own.any.sa_family != AF_UNIX) {
        return 0;
    }
    /* For what is sent before this, the .socket unit has PassCredentials=. */
    if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0) {
        return -errno;
    }
    /* An address that fills its room has no null byte at its end; the union has. */
    return own.un.sun_path[0] == '\0' ? 0 : off_limits_add(&loop->off_limits, own.un.sun_path);
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
