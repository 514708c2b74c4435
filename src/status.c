// SPDX-License-Identifier: MIT
#include "status.h"

#include <inttypes.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>

#include "log.h"
#include "util.h"

enum { TROUBLE_USEC = 10 * 1000 * 1000 }; /* one of a kind is logged at most this often */

bool status_look(struct status *status, const struct counters *counters)
{
    const struct {
        enum counter counter;
        uint64_t *value;
    } shown[] = {
        {COUNTER_CONNECTED, &status->connected}, {COUNTER_MESSAGES, &status->messages},
        {COUNTER_OWED, &status->owed},           {COUNTER_TOLD, &status->told},
        {COUNTER_DENIED, &status->denied},
    };
    bool changed = false;

    for (size_t i = 0; i < ELEMENTS(shown); i++) {
        uint64_t value = counter_get(counters, shown[i].counter);
        changed |= value != *shown[i].value;
        *shown[i].value = value;
    }
    return changed;
}

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

void status_show(const struct status *status)
{
    char owed[64] = "";
    char denied[64] = "";
    char told[64] = "";

    if (status->owed > 0) {
        snprintf(owed, sizeof(owed), "; %" PRIu64 " datagram%s wait%s to be read", status->owed,
                 plural(status->owed), status->owed == 1 ? "s" : "");
    }
    if (status->denied > 0) {
        snprintf(denied, sizeof(denied), "; %" PRIu64 " refused by the policy", status->denied);
    }
    if (status->told > 0) {
        snprintf(told, sizeof(told), "; %" PRIu64 " told who they are", status->told);
    }
    if (!status->echoes) {
        (void)sd_notifyf(0, "STATUS=Telling clients who they are: %" PRIu64 " so far.",
                         status->told);
        return;
    }
    (void)sd_notifyf(
        0, "STATUS=Echoing: %" PRIu64 " connection%s now, %" PRIu64 " message%s so far%s%s%s.",
        status->connected, plural(status->connected), status->messages, plural(status->messages),
        owed, denied, told);
}

/* What a client alone brought about is for those who look for it. */
static int trouble_priority(enum counter trouble)
{
    return trouble == COUNTER_ABANDONED ? LOG_DEBUG : LOG_NOTICE;
}

bool status_log_troubles(struct status *status, const struct counters *counters, uint64_t now,
                         bool final)
{
    bool left = false;

    for (enum counter trouble = COUNTER_FIRST_TROUBLE; trouble < COUNTER_MAX; trouble++) {
        uint64_t count = counter_get(counters, trouble);
        uint64_t news = count - status->logged[trouble].count;
        if (news == 0) {
            continue;
        }
        if (!final && status->logged[trouble].count > 0 &&
            now - status->logged[trouble].at < TROUBLE_USEC) {
            left = true;
            continue;
        }
        status->logged[trouble].count = count;
        status->logged[trouble].at = now;
        log_line(trouble_priority(trouble), "%s: %" PRIu64 ", %" PRIu64 " in all.",
                 counter_text(trouble), news, count);
    }
    return left;
}
