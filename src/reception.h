// SPDX-License-Identifier: MIT
#pragma once

/*
 * What happens to a client between its arrival and its service: in the role echo nothing; otherwise
 * it is judged at the gate, told what came out, and served or sent away.
 */

#include "visitor.h"

/*
 * Takes the visitor over. Returns 0, also if it was sent away, or a negative errno if it could be
 * neither served nor refused: then it has been dismissed.
 */
int reception_connection(struct loop *loop, const struct visitor *visitor);

/* What becomes of a datagram. */
enum reception {
    RECEPTION_ECHO,   /* it goes back */
    RECEPTION_ANSWER, /* what is in its place now goes back */
    RECEPTION_DROP,   /* nothing: nobody could find out who sent it */
};

/*
 * Receives the datagram of *LENGTH bytes in MESSAGE, which must be as recvmsg(2) has left it. An
 * answer of its own, of *LENGTH bytes, is put in the datagram's place, the first of its buffers.
 */
enum reception reception_datagram(struct loop *loop, enum role role, struct msghdr *message,
                                  size_t *length);
