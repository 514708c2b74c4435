// SPDX-License-Identifier: MIT
#include "reply.h"

#include <errno.h>
#include <linux/sockios.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#include "util.h"

enum {
    BRIEF_DATAGRAMS_PER_SENDER = 16, /* refusals and the like that one sender is owed at most */
    BRIEF_SENDERS = DEBT_SENDERS / 2,
};

static const struct sender *sender_of(const struct mmsghdr *message)
{
    return message->msg_hdr.msg_name;
}

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
    case EDQUOT:
        reason = COUNTER_OVERDUE_USER;
        break;
    case ECONNREFUSED:
    case ECONNRESET:
    case ENOENT:
    case ENOTDIR: /* or a symbolic link on the way */
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

/* Bytes of the send buffer. Where that cannot be asked for it is taken for a usual one: with none
 * nobody would be answered. */
static size_t find_capacity(const struct datagram *datagram, const struct loop *loop)
{
    int size = 0;
    socklen_t length = sizeof(size);

    return getsockopt(datagram->watch.fd, SOL_SOCKET, SO_SNDBUF, &size, &length) == 0 && size > 0
               ? (size_t)size
               : loop->send_buffer;
}

bool reply_enlarge(struct datagram *datagram, const struct loop *loop, size_t length)
{
    const int wanted = (int)length;
    size_t before = find_capacity(datagram, loop);

    datagram->capacity = before;
    /* The kernel books twice what is asked for (socket(7)), and would cut what a .socket unit has
     * given beyond the limit (SendBuffer=). */
    if (before >= length * 2 || before >= loop->send_buffer_max) {
        return false;
    }
    (void)setsockopt(datagram->watch.fd, SOL_SOCKET, SO_SNDBUF, &wanted, sizeof(wanted));
    datagram->capacity = find_capacity(datagram, loop);
    return datagram->capacity > before;
}

/* How many bytes of the send buffer are in use. */
static size_t find_unread(const struct datagram *datagram)
{
    int unread = 0;

    return ioctl(datagram->watch.fd, SIOCOUTQ, &unread) == 0 && unread > 0 ? (size_t)unread : 0;
}

/* Whether SENDER's path, if there is one, may be followed in this turn. */
static bool may_walk(struct datagram *datagram, const struct sender *sender)
{
    unsigned steps = sender_steps(sender);

    return steps == 0 || walks_take(&datagram->walks, sender->uid, steps);
}

struct way {
    struct loop *loop;
    struct datagram *datagram;
};

static int way_send(void *context, const struct sender *sender, const void *data, size_t length)
{
    const struct way *way = context;
    int r = may_walk(way->datagram, sender) ? 0 : -EBUSY;

    if (r < 0) {
        return r;
    }
    r = sender_reply(sender, way->datagram->watch.fd, &way->loop->common->off_limits, data, length);

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

    return find_unread(way->datagram);
}

void reply_show_owed(struct datagram *datagram, struct loop *loop, size_t before)
{
    counter_add(&loop->counters, COUNTER_OWED,
                (int64_t)datagram->debts.datagrams - (int64_t)before);
}

/* Looks how much is unread. */
static void look_unread(struct datagram *datagram)
{
    size_t unread = find_unread(datagram);

    datagram->is_crowded = debts_are_crowded(unread, datagram->capacity);
    if (datagram->is_crowded) {
        debts_note(&datagram->debts, unread, loop_now());
    } else if (datagram->debts.exclusive.turn > 0) {
        debts_note_end(&datagram->debts, loop_now());
    }
}

void reply_pay(struct datagram *datagram, struct loop *loop, uint64_t now)
{
    struct way way = {.loop = loop, .datagram = datagram};
    const struct debt_channel channel = {
        .send = way_send,
        .queued = way_queued,
        .context = &way,
        .capacity = datagram->capacity,
    };
    size_t before = datagram->debts.datagrams;

    look_unread(datagram);
    walks_begin(&datagram->walks); /* whatever those who were answered directly have had */
    debts_pay(&datagram->debts, now, &channel);
    reply_show_owed(datagram, loop, before);
}

/*
 * After BYTES have been sent: looks whether replies pile up. The look is as rare as is safe; what
 * the kernel books for a small datagram is less than DEBT_ROOM.
 */
static void watch_unread(struct datagram *datagram, size_t bytes)
{
    datagram->unwatched += bytes;
    if (datagram->unwatched >= datagram->capacity / 128) {
        datagram->unwatched = 0;
        look_unread(datagram);
    }
}

static void owe(struct datagram *datagram, struct loop *loop, const struct mmsghdr *message)
{
    const struct sender *sender = sender_of(message);
    size_t before = datagram->debts.datagrams;
    /* Some have to be kept, or who does not read would be no debtor for long (debt.h). */
    bool enough =
        sender->brief && (debts_owed_to(&datagram->debts, sender) >= BRIEF_DATAGRAMS_PER_SENDER ||
                          datagram->debts.senders >= BRIEF_SENDERS);
    int r = enough ? -ENOBUFS
                   : debts_add(&datagram->debts, sender, message->msg_hdr.msg_iov->iov_base,
                               message->msg_hdr.msg_iov->iov_len, loop_now());

    if (r < 0) {
        count_unanswered(loop, -r);
    }
    reply_show_owed(datagram, loop, before);
}

/* Whether MESSAGE has to wait behind others, or for who is not known to read. */
static bool has_to_wait(struct datagram *datagram, const struct mmsghdr *message)
{
    const struct sender *sender = sender_of(message);

    return debts_owed_to(&datagram->debts, sender) > 0 ||
           (datagram->is_crowded &&
            !debts_may_pass(&datagram->debts, sender->uid, DEBT_ROOM + message->msg_len,
                            datagram->capacity));
}

/* How many of MESSAGES, from the first on, can be sent as they are: all but those that have to
 * wait, and those to senders whose path has to be followed first; and no more before the next look
 * than a small part of the send buffer has room for. */
static unsigned count_direct(struct datagram *datagram, const struct mmsghdr *messages, unsigned n)
{
    size_t room = datagram->capacity / DEBT_BURST_SHARE;
    unsigned run = 0;

    while (run < n && (run == 0 || messages[run].msg_len + DEBT_ROOM <= room) &&
           sender_steps(sender_of(&messages[run])) == 0 && !has_to_wait(datagram, &messages[run])) {
        size_t bytes = messages[run].msg_len + DEBT_ROOM;
        room -= bytes < room ? bytes : room;
        run++;
    }
    return run;
}

/* Sends the first RUN of MESSAGES. Returns how many went, or a negative errno that is the first
 * one's. */
static int send_run(struct datagram *datagram, struct mmsghdr *messages, unsigned run)
{
    int sent = sendmmsg(datagram->watch.fd, messages, run, MSG_DONTWAIT | MSG_NOSIGNAL);
    size_t bytes = 0;

    if (sent < 0) {
        return -errno;
    }
    for (int i = 0; i < sent; i++) {
        bytes += DEBT_ROOM + messages[i].msg_len;
    }
    watch_unread(datagram, bytes);
    return sent;
}

/* Answers one whose path has to be followed. Returns 1 or a negative errno. */
static int send_one(struct datagram *datagram, struct loop *loop, const struct mmsghdr *message)
{
    int r = sender_reply(sender_of(message), datagram->watch.fd, &loop->common->off_limits,
                         message->msg_hdr.msg_iov->iov_base, message->msg_len);

    if (r < 0) {
        return r;
    }
    watch_unread(datagram, DEBT_ROOM + message->msg_len);
    return 1;
}

void reply_batch(struct datagram *datagram, struct loop *loop, struct mmsghdr *messages, unsigned n)
{
    unsigned done = 0;

    if (datagram->is_crowded) {
        look_unread(datagram);
    }
    while (done < n) {
        struct mmsghdr *first = &messages[done];
        unsigned run = count_direct(datagram, first, n - done);
        int r;

        if (run == 0 && (!may_walk(datagram, sender_of(first)) || has_to_wait(datagram, first))) {
            owe(datagram, loop, first);
            done++;
            continue;
        }
        r = run > 0 ? send_run(datagram, first, run) : send_one(datagram, loop, first);
        if (r > 0) {
            done += (unsigned)r;
            continue;
        }
        if (r == -EMSGSIZE && reply_enlarge(datagram, loop, first->msg_len)) {
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
