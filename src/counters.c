// SPDX-License-Identifier: MIT
#include "counters.h"

const char *counter_text(enum counter trouble)
{
    static const char *const texts[COUNTER_MAX] = {
        [COUNTER_REFUSED] = "Connections refused, --connections-max= is reached",
        [COUNTER_REFUSED_USER] =
            "Connections refused, their user has --connections-max-per-user= already",
        [COUNTER_PAUSED] = "Pauses in accepting connections, no descriptor or memory was free",
        [COUNTER_ABANDONED] = "Connections broken off by the client before it had read everything",
        [COUNTER_FAILED] = "Connections ended for want of memory or by an unexpected error",
        [COUNTER_IDLE] = "Connections closed, idle for --idle-timeout=",
        [COUNTER_UNFINISHED] = "Connections closed at the stop, the client had not read in time",
        [COUNTER_UNADDRESSED] = "Datagrams not answered, the sender has no address",
        [COUNTER_FORBIDDEN] =
            "Datagrams not answered, the sender's socket is not writable for us or not its own",
        [COUNTER_LOOPED] = "Datagrams not answered, they come from another echo service",
        [COUNTER_UNREACHABLE] =
            "Datagrams not answered, the sender's socket is gone or out of reach",
        [COUNTER_TOO_LARGE] = "Messages not answered, they are larger than this host's limit",
        [COUNTER_OVERDUE] = "Datagrams dropped, the sender does not read its replies",
        [COUNTER_OVERDUE_USER] =
            "Datagrams dropped, their user has too many unread (--bytes-max-per-user=)",
        [COUNTER_UNSENT] = "Datagrams dropped for want of memory or by an unexpected error",
        [COUNTER_LOST_CONNECTIONS] = "Connections closed, they did not come through the restart",
        [COUNTER_LOST_DATAGRAMS] =
            "Datagrams dropped, owed before the restart and no longer possible after it",
        [COUNTER_LATE] = "Datagrams dropped at the stop, the sender had not read in time",
        [COUNTER_UNJUDGED] =
            "Datagrams dropped for want of a descriptor or memory to find out who sent them",
        [COUNTER_AUDIT_LOST] = "Decisions not in the journal, they came faster than it could write",
    };

    return texts[trouble];
}
