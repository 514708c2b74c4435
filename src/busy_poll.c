// SPDX-License-Identifier: MIT
#include "busy_poll.h"

enum {
    SHORT_WAITS_FIRST = 4,
    SHORT_WAITS_MOST = 1024,
    HITS_WORTH_A_MISS = 8,
    SOON_NSEC = 5 * 1000, /* a switch from one thread to another, and a few system calls */
};

struct busy_poll busy_poll_new(struct busy_poll_option option)
{
    uint32_t usec = option.automatic ? BUSY_POLL_AUTO_USEC : option.usec;

    return (struct busy_poll){
        .span_nsec = (uint64_t)usec * 1000,
        .automatic = option.automatic,
        .short_needed = SHORT_WAITS_FIRST,
    };
}

bool busy_poll_is_worth(const struct busy_poll *poll)
{
    return poll->span_nsec > 0 && (!poll->automatic || poll->short_waits >= poll->short_needed);
}

void busy_poll_slept(struct busy_poll *poll, uint64_t nsec)
{
    /* To wake up took part of it, perhaps as long as a whole span. */
    if (nsec >= 2 * poll->span_nsec) {
        poll->short_waits = 0;
    } else if (nsec >= SOON_NSEC && poll->short_waits < SHORT_WAITS_MOST) {
        poll->short_waits++;
    }
}

void busy_poll_hit(struct busy_poll *poll)
{
    if (poll->hits < HITS_WORTH_A_MISS) {
        poll->hits++;
    }
}

void busy_poll_missed(struct busy_poll *poll)
{
    if (poll->hits >= HITS_WORTH_A_MISS) {
        poll->short_needed = SHORT_WAITS_FIRST;
    } else if (poll->short_needed < SHORT_WAITS_MOST) {
        poll->short_needed *= 2;
    }
    poll->hits = 0;
    poll->short_waits = 0;
}
