// SPDX-License-Identifier: MIT
#include "watchdog.h"

#include <errno.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>
#include <time.h>

enum { LOOKS = 3 }; /* in the time that the service manager waits: two may come too late */

struct watchdog {
    sd_event_source *timer;
    struct workers *workers;
    uint64_t interval;
};

static int on_timer(sd_event_source *source, uint64_t due, void *userdata)
{
    struct watchdog *watchdog = userdata;

    (void)due;
    if (workers_went_round(watchdog->workers)) {
        (void)sd_notify(0, "WATCHDOG=1");
        workers_ask_round(watchdog->workers);
    }
    return sd_event_source_set_time_relative(source, watchdog->interval);
}

static int watchdog_init(struct watchdog *watchdog, sd_event *event)
{
    int r = sd_event_add_time_relative(event, &watchdog->timer, CLOCK_MONOTONIC, watchdog->interval,
                                       0, on_timer, watchdog);

    if (r < 0) {
        return r;
    }
    workers_ask_round(watchdog->workers);
    return sd_event_source_set_enabled(watchdog->timer, SD_EVENT_ON);
}

int watchdog_new(sd_event *event, struct workers *workers, struct watchdog **ret)
{
    struct watchdog *watchdog;
    uint64_t usec = 0;
    int r = sd_watchdog_enabled(0, &usec);

    *ret = NULL;
    if (r <= 0) {
        return r;
    }
    watchdog = calloc(1, sizeof(*watchdog));
    if (!watchdog) {
        return -ENOMEM;
    }
    watchdog->workers = workers;
    watchdog->interval = usec / LOOKS;
    r = watchdog_init(watchdog, event);
    if (r < 0) {
        watchdog_free(watchdog);
        return r;
    }
    *ret = watchdog;
    return 0;
}

void watchdog_free(struct watchdog *watchdog)
{
    if (!watchdog) {
        return;
    }
    sd_event_source_disable_unref(watchdog->timer);
    free(watchdog);
}
