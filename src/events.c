// SPDX-License-Identifier: MIT
#include "events.h"

#include <string.h>
#include <time.h>

#include "log.h"

static int ignore(sd_event_source *source, void *userdata)
{
    (void)source;
    (void)userdata;
    return 0;
}

int events_prepare(sd_event *event)
{
    sd_event_source *pending = NULL;
    int r = sd_event_add_defer(event, &pending, ignore, NULL);

    if (r >= 0) {
        r = sd_event_run(event, 0);
    }
    sd_event_source_unref(pending);
    return r < 0 ? r : 0;
}

int events_run(sd_event *event)
{
    /* What is missing may be there in a moment. Whatever it is must neither spin nor fill the log.
     */
    const struct timespec pause = {.tv_nsec = 100000000};
    int status = 0;
    int r;

    while (sd_event_get_state(event) != SD_EVENT_FINISHED) {
        r = sd_event_run(event, UINT64_MAX);
        if (r < 0) {
            log_line(LOG_WARNING, "The event loop failed, and goes on: %s.", strerror(-r));
            (void)nanosleep(&pause, NULL);
        }
    }
    r = sd_event_get_exit_code(event, &status);
    return r < 0 ? r : status;
}
