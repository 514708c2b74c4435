// SPDX-License-Identifier: MIT
#include "whim.h"

#include <sys/socket.h>

#include "wire.h"

enum { SOME = 100 };

static void send_some(struct swarm *swarm, int fd, int flags)
{
    (void)send(fd, swarm->buffer, SOME, flags | MSG_NOSIGNAL);
}

void whim(struct swarm *swarm, int fd, uint64_t choice)
{
    switch (choice % 8) {
    case 0: /* reads no more, but sends on */
        (void)shutdown(fd, SHUT_RD);
        send_some(swarm, fd, 0);
        break;
    case 1: /* sends no more, and does not read what it is owed */
        send_some(swarm, fd, 0);
        (void)shutdown(fd, SHUT_WR);
        break;
    case 2:
        (void)shutdown(fd, SHUT_RDWR);
        break;
    case 3: /* takes in all that comes, and goes in the middle of it */
        for (int i = 0; i < SOME; i++) {
            send_some(swarm, fd, 0);
        }
        (void)wire_receive(swarm, fd);
        break;
    case 4: /* an urgent byte (MSG_OOB), which only streams know */
        send_some(swarm, fd, MSG_OOB);
        send_some(swarm, fd, 0);
        break;
    case 5: /* connects once more */
        (void)connect(fd, (const struct sockaddr *)&swarm->service, swarm->service_length);
        send_some(swarm, fd, 0);
        break;
    case 6: /* shuts down both ways one after the other, with something in between */
        (void)shutdown(fd, SHUT_WR);
        send_some(swarm, fd, 0);
        (void)shutdown(fd, SHUT_RD);
        break;
    default: /* is gone at once */
        break;
    }
}
