// SPDX-License-Identifier: MIT
#include "datagram.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/un.h>

#include "gate.h"
#include "peer.h"
#include "reception.h"
#include "reply.h"
#include "util.h"

enum {
    BATCHES_PER_TURN = 8,
    SEND_BUFFER = 128 * 1024 * 1024, /* what is asked for, as the kernel counts it */
};

/* Received datagrams and the way back; as recvmmsg(2) fills it, sendmmsg(2) takes it. A message's
 * name is the address, that is the beginning, of one of the senders. */
struct batch {
    struct mmsghdr messages[LOOP_SLOTS];
    struct iovec data[LOOP_SLOTS];
    struct sender senders[LOOP_SLOTS];
    struct peer_room control[LOOP_SLOTS];
};

/*
 * How much room there is for control messages. The role echo has it for the credentials and for
 * nothing else: descriptors that a client passes are discarded, where the kernel does not refuse
 * them. Where there is room for more, reception_datagram() closes them.
 */
static size_t control_room(const struct datagram *datagram, const struct loop *loop)
{
    if (datagram->role != ROLE_ECHO) {
        return peer_room_for(gate_needs(loop->gate, datagram->role));
    }
    return datagram->port == 0 ? peer_room_for(0) : 0;
}

/*
 * How many datagrams are received in one go. Where there is room for a label there is room for many
 * descriptors, which must not use up those that are needed to find out who the others are.
 */
static unsigned batch_size(size_t room)
{
    return room > peer_room_for(POLICY_NEEDS_UNIT) ? 1 : LOOP_SLOTS;
}

/* Receives a batch of SIZE, with ROOM for control messages. Returns how many datagrams there are, 0
 * if none can be had now. */
static unsigned receive_batch(const struct datagram *datagram, const struct loop *loop,
                              struct batch *batch, unsigned size, size_t room)
{
    int n;

    for (unsigned i = 0; i < size; i++) {
        batch->data[i] = (struct iovec){.iov_base = loop_slot(loop, i), .iov_len = loop->slot_size};
        batch->messages[i].msg_hdr = (struct msghdr){
            .msg_name = &batch->senders[i],
            .msg_namelen = sizeof(batch->senders[i].address),
            .msg_iov = &batch->data[i],
            .msg_iovlen = 1,
            .msg_control = room > 0 ? &batch->control[i] : NULL,
            .msg_controllen = room,
        };
    }
    n = recvmmsg(datagram->watch.fd, batch->messages, size, MSG_DONTWAIT, NULL);
    return n < 0 ? 0 : (unsigned)n;
}

/* Completes what is known of the sender of MESSAGE, and makes it ready to be sent. */
static struct sender *complete_sender(struct msghdr *message, size_t length)
{
    struct sender *sender = message->msg_name;
    /* The credentials come first (scm_recv() in Linux). */
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
        enum reception reception;
        struct sender *sender;

        counter_add(&loop->counters, COUNTER_MESSAGES, 1);
        counter_add(&loop->counters, COUNTER_BYTES, (int64_t)length);
        reception = reception_datagram(loop, datagram->role, &message->msg_hdr, &length);
        loop->slots_grown |= message->msg_len > LOOP_SLOT_KEPT || length > LOOP_SLOT_KEPT;
        sender = complete_sender(&message->msg_hdr, length);
        sender->brief = reception == RECEPTION_ANSWER;
        message->msg_len = (unsigned)length;
        if (reception == RECEPTION_DROP) {
            counter_add(&loop->counters, COUNTER_UNJUDGED, 1);
        } else if (truncated && reception == RECEPTION_ECHO) {
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

/* Has the kernel say of senders what the policy asks for. */
static int follow_policy(struct datagram *datagram, unsigned needs)
{
    datagram->needs = needs;
    /* For what is sent before this, the .socket unit has PassCredentials=. */
    return peer_prepare_datagrams(datagram->watch.fd, needs);
}

static unsigned find_needs(const struct datagram *datagram, const struct loop *loop)
{
    return datagram->role == ROLE_ECHO ? 0 : gate_needs(loop->gate, datagram->role);
}

/*
 * Receives and answers up to so many batches of SIZE; one that is not full has emptied the socket.
 * Returns whether there was anything.
 */
static bool serve_batches(struct datagram *datagram, struct loop *loop, int batches, unsigned size)
{
    unsigned needs = find_needs(datagram, loop);
    size_t room = control_room(datagram, loop);
    unsigned n = size;
    struct batch batch;

    if (needs != datagram->needs) {
        /* Another policy, or a worker to which the next one has not come yet: what the kernel says
         * has to fit into the room that there is for it. */
        (void)follow_policy(datagram, needs);
    }
    datagram->received = 0;
    walks_begin(&datagram->walks);
    for (int i = 0; i < batches && n == size && !loop->draining; i++) {
        n = receive_batch(datagram, loop, &batch, size, room);
        datagram->received += n;
        reply_batch(datagram, loop, batch.messages, keep_answerable(datagram, loop, &batch, n));
    }
    datagram->active += datagram->received > 0;
    return datagram->received > 0;
}

static void datagram_ready(struct loop *loop, struct watch *watch, uint32_t events)
{
    struct datagram *datagram = CONTAINER_OF(watch, struct datagram, watch);

    (void)events;
    (void)serve_batches(datagram, loop, BATCHES_PER_TURN, batch_size(control_room(datagram, loop)));
}

/* Where they come one by one there is no room prepared for more. */
static bool datagram_look(struct loop *loop, struct watch *watch)
{
    struct datagram *datagram = CONTAINER_OF(watch, struct datagram, watch);

    return serve_batches(datagram, loop, 1,
                         datagram->received <= 1 ? 1 : batch_size(control_room(datagram, loop)));
}

int datagram_init(struct datagram *datagram, struct loop *loop, const struct activated *socket)
{
    union {
        struct sockaddr any;
        struct sockaddr_un un;
        struct sockaddr_storage storage;
    } own = {.storage = {0}};
    socklen_t size = sizeof(own);
    int fd = socket->fd;
    int r;

    *datagram = (struct datagram){
        .watch = {.ready = datagram_ready, .look = datagram_look, .fd = fd, .goes_first = true},
        .role = socket->role,
        .watch_at = UINT64_MAX,
    };
    debts_init(&datagram->debts, loop->common->quota);
    /* As much as is allowed. */
    (void)reply_enlarge(datagram, loop, SEND_BUFFER / 2);

    if (getsockname(fd, &own.any, &size) < 0) {
        return -errno;
    }
    datagram->port = port_of(&own.storage);
    if (own.any.sa_family != AF_UNIX) {
        return 0;
    }
    r = follow_policy(datagram, find_needs(datagram, loop));
    if (r < 0) {
        return r;
    }
    /* An address that fills its room has no null byte at its end; the union has. */
    return own.un.sun_path[0] == '\0' ? 0
                                      : off_limits_add(&loop->common->off_limits, own.un.sun_path);
}

int datagram_resume(struct datagram *datagram, struct loop *loop)
{
    return loop_watch(loop, &datagram->watch, EPOLLIN);
}

void datagram_pause(struct datagram *datagram, struct loop *loop)
{
    loop_unwatch(loop, &datagram->watch);
}

socklen_t datagram_address(const struct datagram *datagram, struct sockaddr_storage *address)
{
    socklen_t size = sizeof(*address);

    return getsockname(datagram->watch.fd, (struct sockaddr *)address, &size) < 0 ? 0 : size;
}

int datagram_adopt(struct datagram *datagram, struct loop *loop, const struct sender *sender,
                   const void *data, size_t length)
{
    size_t before = datagram->debts.datagrams;
    int r = debts_adopt(&datagram->debts, sender, data, length, loop_now());

    reply_show_owed(datagram, loop, before);
    return r;
}

void datagram_forget(struct datagram *datagram, struct loop *loop)
{
    size_t before = datagram->debts.datagrams;

    debts_deinit(&datagram->debts);
    reply_show_owed(datagram, loop, before);
}

void datagram_drop(struct datagram *datagram, struct loop *loop)
{
    counter_add(&loop->counters, COUNTER_LATE, (int64_t)datagram->debts.datagrams);
    datagram_forget(datagram, loop);
}
