// SPDX-License-Identifier: MIT

/*
 * libFuzzer on the life of connections. The input is what some clients do, what fails, and when the
 * daemon gets to run; the kernel between them is a fake one (fake_kernel.h), which is a hundred
 * times as fast as socket pairs and can cut short what real ones never do.
 *
 * What has to hold: what comes back is what was sent, in order and once. What was taken off a
 * client and has not been sent is owed, all of it, as long as the connection lives, and counted on
 * its user's account; nobody is owed more than one receive. A connection ends when its client has
 * shut down and has everything, reads no more, has left, or a call failed that it needs; and then
 * it does end. In the end all comes to rest.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "connection.h"
#include "fake_kernel.h"
#include "util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    TURNS_MAX = 10000, /* until all comes to rest: more than any input needs */
    RECORD_MAX = 64,   /* bytes that the record of a debt takes besides these */
};

struct input {
    const uint8_t *data;
    size_t size;
};

/* The next byte, 0 at the end. */
static unsigned next(struct input *input)
{
    if (input->size == 0) {
        return 0;
    }
    input->size--;
    return *input->data++;
}

/* One worker, with memory for messages that stays from one run to the next. */
static struct loop *the_loop(void)
{
    static struct common *common;
    static struct loop loop;

    if (!common) {
        common = common_new(1, (struct quota_limits){.connections = 1}, 1);
        fake_demand(common && loop_init(&loop, common, 0, (struct busy_poll_option){0}) == 0,
                    "no loop");
        /* So that it takes two to be a crowd. */
        loop.turns.room = 2;
        loop.turns.per_user = 1;
    }
    return &loop;
}

/* Sizes around which things change: none, few, what is spliced, what one receive takes, what the
 * kernel holds, what is more than a buffer takes. */
static size_t size_of(unsigned byte)
{
    static const size_t sizes[] = {0,     1,     2,     100,   4000,   8191,   8192,   9000,
                                   20000, 65535, 65536, 65537, 100000, 150000, 200000, 250000};

    return sizes[byte % ELEMENTS(sizes)];
}

/* There are two users. */
static uid_t user_of(int fd)
{
    return 1000 + (uid_t)(fd % 2);
}

static void connect_one(struct loop *loop, unsigned how)
{
    static const size_t capacities[] = {4608, 16000, 60000, 212992};
    bool is_stream = how & 1;
    const char *greeting = how & 2 ? "Welcome\n" : NULL;
    struct visitor visitor = {
        .fd = fake_connect(is_stream, capacities[how >> 2 & 3], greeting),
        .type = is_stream ? SOCK_STREAM : SOCK_SEQPACKET,
        .role = greeting ? ROLE_AUTH : ROLE_ECHO,
    };

    if (visitor.fd < 0) {
        return;
    }
    if (quota_enter(loop->common->quota, user_of(visitor.fd), &visitor.account) < 0) {
        fake_socket(visitor.fd)->excused = true;
        loop_close(loop, visitor.fd);
        return;
    }
    if (how & 16) {
        (void)fake_client_send(fake_socket(visitor.fd), size_of(how >> 4));
    }
    (void)connection_new(loop, &visitor, greeting);
}

/* --- What has to hold. ------------------------------------------------------------------------*/

static void check_connection(const struct connection *connection, size_t *owed, size_t *records,
                             size_t *oversize)
{
    const struct fake_socket *socket = fake_socket(connection->watch.fd);
    const char *data = NULL;
    size_t length = 0;
    bool owes = connection_owed(connection, &data, &length);

    fake_demand(socket && socket->open && socket->watch == &connection->watch,
                "a connection that is not watched");
    fake_demand(length <= (socket->is_stream ? STREAM_READ_MAX : FAKE_MESSAGE_MAX),
                "more is owed than one receive brings");
    if (!socket->greeting) {
        fake_demand(socket->echoed + length == socket->taken, "bytes are lost");
        fake_demand(socket->is_stream || socket->messages_echoed + owes == socket->messages_taken,
                    "messages are lost");
    }
    *owed += length;
    *records += owes;
    *oversize += connection->oversize;
}

/* Returns how many connections UID has. */
static size_t check_user(const struct loop *loop, uid_t uid)
{
    size_t connections = 0;
    size_t owed = 0;
    size_t records = 0;
    size_t oversize = 0;
    const struct account *account = NULL;

    for (const struct connection *one = loop->connections; one; one = one->next) {
        if (one->account->uid == uid) {
            check_connection(one, &owed, &records, &oversize);
            account = one->account;
            connections++;
        }
    }
    if (account) {
        /* What was paid of a debt stays on the account until all of it is. */
        fake_demand(account->bytes >= owed + records + oversize,
                    "something owed is not accounted for");
        fake_demand(account->bytes <= records * (FAKE_MESSAGE_MAX + RECORD_MAX) + oversize,
                    "something is accounted for that is not owed");
    }
    return connections;
}

static void check(const struct loop *loop)
{
    fake_demand(quota_connections(loop->common->quota) ==
                    check_user(loop, user_of(0)) + check_user(loop, user_of(1)),
                "a place is lost");
}

/* As a worker does it. Returns whether anything has happened. */
static bool turn(struct loop *loop)
{
    size_t stalled;
    int events = loop_turn(loop, 0);

    check(loop);
    stalled = loop->stalled;
    if (stalled > 0) {
        connection_resume_next(loop);
        check(loop);
    }
    return events > 0 || loop->stalled < stalled;
}

/* Looks where something is expected, as a worker does that does not sleep. */
static void look(struct loop *loop)
{
    if (loop->hot) {
        (void)loop->hot->look(loop, loop->hot);
    }
    check(loop);
}

/* --- What happens. ----------------------------------------------------------------------------*/

/* The connection goes to another process, with what is owed on it. */
static void hand_over(struct loop *loop, struct connection *connection)
{
    struct fake_socket *socket = fake_socket(connection->watch.fd);
    struct visitor visitor = {
        .fd = connection->watch.fd,
        .type = connection->is_stream ? SOCK_STREAM : SOCK_SEQPACKET,
        .role = connection->role,
    };
    const char *owed = NULL;
    size_t length = 0;
    bool owes = connection_owed(connection, &owed, &length);
    bool oversize = connection->oversize > 0;
    char *copy = owes ? malloc(length + 1) : NULL;

    if (owes && !copy) {
        return;
    }
    if (owes) {
        memcpy(copy, owed, length);
    }
    socket->travels = true;
    connection_free(loop, connection);
    socket->travels = false;
    if (quota_enter(loop->common->quota, user_of(visitor.fd), &visitor.account) < 0) {
        loop_close(loop, visitor.fd);
    } else if (oversize) {
        (void)connection_adopt_oversize(loop, &visitor);
    } else {
        (void)connection_adopt(loop, &visitor, copy, length);
    }
    free(copy);
}

/* New ones come in front: the others are followed to their end first. */
static void hand_over_all(struct loop *loop)
{
    struct connection *all[FAKE_SOCKETS];
    size_t n = 0;

    for (struct connection *one = loop->connections; one; one = one->next) {
        all[n++] = one;
    }
    while (n > 0) {
        hand_over(loop, all[--n]);
    }
}

static void drain(struct loop *loop)
{
    for (struct connection *one = loop->connections; one; one = one->next) {
        connection_drain(one);
    }
}

static void fail(unsigned call, unsigned how)
{
    static const int transfers[] = {EINTR, EAGAIN, ENOMEM, ECONNRESET, EPIPE, EINVAL};
    int error = transfers[how % ELEMENTS(transfers)];

    call %= FAKE_CALLS;
    if (call == FAKE_EPOLL_WAIT) {
        error = EINTR; /* anything else is slept over, which takes time and shows nothing */
    } else if (call > FAKE_READ) {
        error = ENOMEM;
    }
    fake_kernel.failing[call] = error;
    fake_kernel.after[call] = how >> 4;
}

/* From how much unread on the user's connections are given nothing more to hold. */
static void change_shortage(const struct loop *loop, unsigned how)
{
    if (loop->connections) {
        loop->connections->account->short_of = how & 1 ? 0 : (uint64_t)how * 1000;
    }
}

static void act(struct loop *loop, struct input *input)
{
    unsigned what = next(input);
    unsigned how = next(input);
    struct fake_socket *socket = &fake_kernel.sockets[what >> 4 & (FAKE_SOCKETS - 1)];

    switch (what & 15) {
    case 0:
        connect_one(loop, how);
        break;
    case 1:
    case 2:
        for (unsigned i = 0; i <= how >> 4; i++) {
            (void)fake_client_send(socket, size_of(how));
        }
        break;
    case 3:
        fake_client_read(socket, size_of(how));
        break;
    case 4:
        socket->writes = false;
        break;
    case 5:
        socket->reads = false;
        break;
    case 6:
        fake_client_close(socket);
        break;
    case 7:
        socket->boundary = socket->taken + how;
        break;
    case 8:
    case 9:
        fail(what >> 4, how);
        break;
    case 10:
        change_shortage(loop, how);
        break;
    case 11:
        hand_over_all(loop);
        break;
    case 12:
        if (how > 200) {
            drain(loop);
        }
        break;
    case 13:
        look(loop);
        break;
    default:
        (void)turn(loop);
        break;
    }
}

static bool any_unread(void)
{
    bool any = false;

    for (size_t i = 0; i < FAKE_SOCKETS; i++) {
        struct fake_socket *socket = &fake_kernel.sockets[i];
        if (socket->open && socket->there && socket->unread > 0) {
            socket->unread = 0;
            socket->messages_unread = 0;
            any = true;
        }
    }
    return any;
}

/* Nothing fails any more, and those who read read on. */
static void come_to_rest(struct loop *loop)
{
    int turns = 0;

    memset(fake_kernel.failing, 0, sizeof(fake_kernel.failing));
    while (turn(loop) || any_unread()) {
        fake_demand(++turns < TURNS_MAX, "there is no rest");
    }
    for (const struct connection *one = loop->connections; one; one = one->next) {
        const struct fake_socket *socket = fake_socket(one->watch.fd);
        fake_demand(socket->writes, "a connection outlives its client");
        fake_demand(!socket->reads || (socket->echoed == socket->sent &&
                                       socket->messages_echoed == socket->messages_sent),
                    "a client waits for ever");
    }
}

static void part(struct loop *loop)
{
    for (size_t i = 0; i < FAKE_SOCKETS; i++) {
        fake_client_close(&fake_kernel.sockets[i]);
    }
    come_to_rest(loop);
    fake_demand(!loop->connections, "a connection is left");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {.data = data, .size = size};
    struct loop *loop = the_loop();
    struct common *before = loop->common;
    const struct quota_limits limits = {.connections = FAKE_SOCKETS,
                                        .connections_per_user = FAKE_SOCKETS,
                                        .bytes_per_user = 1000 * (uint64_t)next(&input)};

    fake_reset();
    loop->common = common_new(1, limits, FAKE_SOCKETS);
    fake_demand(loop->common != NULL, "no memory");
    if (loop->pipe[0] < 0) {
        loop_renew_pipe(loop);
    }
    while (input.size > 0) {
        act(loop, &input);
    }
    come_to_rest(loop);
    part(loop);
    common_free(loop->common);
    loop->common = before;
    return 0;
}
