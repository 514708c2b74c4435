// SPDX-License-Identifier: MIT

/* What ping says: a line for each reply, one for each that did not come, and the sums. */

#include "ping.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "util.h"

void ping_tell_begin(const struct ping *ping)
{
    char size[OUTPUT_TEXT_MAX];

    if (!ping->quiet && !ping->common.json) {
        printf("%s (%s), %s a message\n", ping->name, target_type_name(ping->target.type),
               output_size((double)ping->size, size));
        (void)fflush(stdout);
    }
}

void ping_tell_reply(const struct ping *ping, uint64_t number, uint64_t nsec, bool activated)
{
    char size[OUTPUT_TEXT_MAX];
    char time[OUTPUT_TEXT_MAX];

    if (ping->quiet || ping->common.json) {
        return;
    }
    output_time(&ping->terminal, (double)nsec / 1000, time);
    printf("%s: seq=%" PRIu64 " ", output_size((double)ping->size, size), number);
    if (activated) {
        printf("%sactivated in %s%s\n", colour_strong(&ping->terminal), time,
               colour_end(&ping->terminal));
    } else {
        printf("time=%s\n", time);
    }
    (void)fflush(stdout);
}

void ping_tell_failure(struct ping *ping, int r)
{
    const char *text = ping->target.text;

    if (r == -EBADMSG) {
        ping->wrong++;
        complain("%s: message %" PRIu64 " came back changed.", text, ping->sent);
        return;
    }
    ping->lost++;
    if (r == -ETIMEDOUT) {
        complain("%s: message %" PRIu64 " did not come back in time.", text, ping->sent);
    } else if (r == -ECONNRESET || r == -EPIPE) {
        complain("%s: the service closed the connection before message %" PRIu64 " came back.",
                 text, ping->sent);
    } else {
        complain("%s: message %" PRIu64 ": %s.", text, ping->sent, strerror(-r));
    }
}

static void print_times(const struct ping *ping)
{
    const struct histogram *times = &ping->times;
    const double values[] = {
        (double)times->min,
        (double)histogram_percentile(times, 50),
        (double)histogram_percentile(times, 99),
        (double)times->max,
        histogram_deviation(times),
    };
    static const char *const names[] = {"min", "p50", "p99", "max", "stddev"};
    char text[OUTPUT_TEXT_MAX];

    for (size_t i = 0; i < ELEMENTS(values); i++) {
        printf("%s%s %s", i == 0 ? "" : ", ", names[i],
               output_time(&ping->terminal, values[i] / 1000, text));
    }
    printf("\n");
}

void ping_print_summary(const struct ping *ping)
{
    char text[OUTPUT_TEXT_MAX];

    printf("%s%s%s", colour_strong(&ping->terminal), ping->name, colour_end(&ping->terminal));
    if (ping->target.type != 0) {
        printf(" (%s)", target_type_name(ping->target.type));
    }
    printf(": %" PRIu64 " sent, %" PRIu64 " checked", ping->sent, ping->checked);
    if (ping->wrong > 0) {
        printf(", %s%" PRIu64 " wrong%s", colour_bad(&ping->terminal), ping->wrong,
               colour_end(&ping->terminal));
    }
    if (ping->lost > 0) {
        printf(", %s%" PRIu64 " lost%s", colour_bad(&ping->terminal), ping->lost,
               colour_end(&ping->terminal));
    }
    if (ping->reconnects > 0) {
        printf(", connected anew %" PRIu64 " time%s", ping->reconnects,
               ping->reconnects == 1 ? "" : "s");
    }
    printf("\n");
    if (ping->activated_nsec > 0) {
        printf("activated in %s\n",
               output_time(&ping->terminal, (double)ping->activated_nsec / 1000, text));
    }
    if (ping->times.count > 0) {
        print_times(ping);
    }
}

bool ping_print_json(const struct ping *ping)
{
    const struct histogram *times = &ping->times;
    json_t *object = json_pack(
        "{s:o, s:s?, s:I, s:I, s:I, s:I, s:I, s:I}", "socket", report_string(ping->target.text),
        "type", ping->target.type == 0 ? NULL : target_type_name(ping->target.type), "size",
        (json_int_t)ping->size, "sent", (json_int_t)ping->sent, "checked",
        (json_int_t)ping->checked, "wrong", (json_int_t)ping->wrong, "lost", (json_int_t)ping->lost,
        "reconnects", (json_int_t)ping->reconnects);

    json_object_set_new(object, "activated_ns",
                        ping->activated_nsec > 0 ? json_integer((json_int_t)ping->activated_nsec)
                                                 : json_null());
    json_object_set_new(object, "time_ns",
                        times->count == 0
                            ? json_null()
                            : json_pack("{s:I, s:I, s:I, s:I, s:f}", "min", (json_int_t)times->min,
                                        "p50", (json_int_t)histogram_percentile(times, 50), "p99",
                                        (json_int_t)histogram_percentile(times, 99), "max",
                                        (json_int_t)times->max, "stddev",
                                        histogram_deviation(times)));
    return output_json(object);
}
