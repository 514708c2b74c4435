// SPDX-License-Identifier: MIT
#include "reception.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "connection.h"
#include "farewell.h"
#include "gate.h"

static int tell(struct loop *loop, int fd, int type)
{
    char *text = loop_slot(loop, 0);
    ssize_t length = gate_tell(loop->gate, text, loop->slot_size);

    if (length < 0) {
        loop_close(loop, fd);
        return (int)length;
    }
    loop->slots_grown |= length > LOOP_SLOT_KEPT;
    return farewell_begin(loop, fd, type, text, (size_t)length);
}

int reception_connection(struct loop *loop, enum role role, int fd, int type)
{
    int verdict;

    if (role == ROLE_ECHO) {
        return connection_new(loop, fd, type, NULL);
    }
    verdict = gate_judge_connection(loop->gate, &loop->counters, role, fd, type);
    if (verdict < 0) {
        loop_close(loop, fd);
        return verdict;
    }
    switch ((enum gate_verdict)verdict) {
    case GATE_ADMIT:
        return connection_new(loop, fd, type, GATE_WELCOME);
    case GATE_TELL:
        return tell(loop, fd, type);
    case GATE_REFUSE:
        break;
    }
    return farewell_begin(loop, fd, type, GATE_DENIED, strlen(GATE_DENIED));
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
