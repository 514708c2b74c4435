// SPDX-License-Identifier: MIT
#include "reception.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "connection.h"
#include "farewell.h"
#include "gate.h"

static int tell(struct loop *loop, const struct visitor *visitor)
{
    char *text = loop_slot(loop, 0);
    ssize_t length = gate_tell(loop->gate, text, loop->slot_size);

    if (length < 0) {
        visitor_dismiss(loop, visitor);
        return (int)length;
    }
    loop->slots_grown |= length > LOOP_SLOT_KEPT;
    return farewell_begin(loop, visitor, text, (size_t)length);
}

/* Serves one who was admitted, if there still is a place. */
static int welcome(struct loop *loop, struct visitor visitor)
{
    return visitor_enter(loop, &visitor) ? connection_new(loop, &visitor, GATE_WELCOME) : 0;
}

int reception_connection(struct loop *loop, const struct visitor *visitor)
{
    int verdict;

    if (visitor->role == ROLE_ECHO) {
        return connection_new(loop, visitor, NULL);
    }
    verdict = gate_judge_connection(loop->gate, &loop->counters, visitor->role, visitor->fd,
                                    visitor->type);
    if (verdict < 0) {
        visitor_dismiss(loop, visitor);
        return verdict;
    }
    switch ((enum gate_verdict)verdict) {
    case GATE_ADMIT:
        return welcome(loop, *visitor);
    case GATE_TELL:
        return tell(loop, visitor);
    case GATE_REFUSE:
        break;
    }
    return farewell_begin(loop, visitor, GATE_DENIED, strlen(GATE_DENIED));
}

enum reception reception_datagram(struct loop *loop, enum role role, struct msghdr *message,
                                  size_t *length)
{
    char *place = message->msg_iov->iov_base;
    ssize_t n;
    int verdict;

    if (role == ROLE_ECHO) {
        return RECEPTION_ECHO;
    }
    verdict = gate_judge_datagram(loop->gate, &loop->counters, role, message);
    if (verdict < 0) {
        return RECEPTION_DROP;
    }
    switch ((enum gate_verdict)verdict) {
    case GATE_ADMIT:
        return RECEPTION_ECHO;
    case GATE_TELL:
        n = gate_tell(loop->gate, place, message->msg_iov->iov_len);
        if (n < 0) {
            return RECEPTION_DROP;
        }
        *length = (size_t)n;
        return RECEPTION_ANSWER;
    case GATE_REFUSE:
        break;
    }
    *length = strlen(GATE_DENIED);
    memcpy(place, GATE_DENIED, *length);
    return RECEPTION_ANSWER;
}
