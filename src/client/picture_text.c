// SPDX-License-Identifier: MIT
#include "picture_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "text.h"

void picture_print(FILE *file, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vfprintf(file, format, arguments);
    va_end(arguments);
}

/* --- Text. ----------------------------------------------------------------------------------- */

/* Writes the character at TEXT, or its first byte as an escape. Returns how many bytes that was. */
static size_t put_character(FILE *file, const char *text)
{
    size_t length = text_plain_length(text);

    if (length == 0) {
        picture_print(file, "\\x%02x", (unsigned char)text[0]);
        return 1;
    }
    switch (text[0]) {
    case '&':
        picture_print(file, "&amp;");
        break;
    case '<':
        picture_print(file, "&lt;");
        break;
    case '>':
        picture_print(file, "&gt;");
        break;
    case '"':
        picture_print(file, "&quot;");
        break;
    default:
        picture_print(file, "%.*s", (int)length, text);
    }
    return length;
}

static size_t count_characters(const char *text)
{
    size_t count = 0;

    for (size_t length; *text != '\0'; text += length > 0 ? length : 1) {
        length = text_plain_length(text);
        count += length > 0 ? 1 : strlen("\\xff");
    }
    return count;
}

void picture_escape(FILE *file, const char *text, size_t max)
{
    size_t all = count_characters(text);
    size_t at = 0;
    bool left_out = false;

    while (*text != '\0') {
        size_t length = text_plain_length(text);
        bool shown = max == 0 || all <= max || at < max / 2 || at >= all - max / 2;
        if (shown) {
            (void)put_character(file, text);
        } else if (!left_out) {
            picture_print(file, "…");
            left_out = true;
        }
        at += length > 0 ? 1 : strlen("\\xff");
        text += length > 0 ? length : 1;
    }
}

size_t picture_length(const char *text, size_t max)
{
    size_t all = count_characters(text);

    return max > 0 && all > max ? max + 1 : all;
}

/* --- Numbers. -------------------------------------------------------------------------------- */

const char *picture_tick_time(double nsec, char text[static OUTPUT_TEXT_MAX])
{
    static const char *const units[] = {"ns", "µs", "ms", "s"};
    size_t unit = 0;

    while (nsec >= 999.5 && unit < sizeof(units) / sizeof(units[0]) - 1) {
        nsec /= 1000;
        unit++;
    }
    snprintf(text, OUTPUT_TEXT_MAX, "%.3g %s", nsec, units[unit]);
    return text;
}

const char *picture_tick_count(double count, char text[static OUTPUT_TEXT_MAX])
{
    if (count < 999.5) {
        snprintf(text, OUTPUT_TEXT_MAX, "%.3g", count);
    } else if (count < 999500) {
        snprintf(text, OUTPUT_TEXT_MAX, "%.3g k", count / 1000);
    } else {
        snprintf(text, OUTPUT_TEXT_MAX, "%.3g M", count / 1000000);
    }
    return text;
}

const char *picture_time(double nsec, char text[static OUTPUT_TEXT_MAX])
{
    const struct terminal terminal = {.utf8 = true};

    return output_time(&terminal, nsec / 1000, text);
}

const char *picture_load(const struct bench_point *point, char text[static PICTURE_LOAD_MAX])
{
    char rate[OUTPUT_TEXT_MAX];
    size_t length;

    if (point->connect) {
        snprintf(text, PICTURE_LOAD_MAX, "%u connection%s at a time, each for one message",
                 point->connections, point->connections == 1 ? "" : "s");
        return text;
    }
    snprintf(text, PICTURE_LOAD_MAX, "%u connection%s, %u in flight%s", point->connections,
             point->connections == 1 ? "" : "s", point->window,
             point->connections == 1 ? "" : " each");
    length = strlen(text);
    if (point->rate > 0) {
        snprintf(text + length, PICTURE_LOAD_MAX - length, ", %s/s",
                 output_count(point->rate, rate));
    }
    return text;
}

void picture_machine(FILE *file)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    time_t now = time(NULL);
    struct utsname machine;
    struct tm date;
    char text[64];

    if (uname(&machine) == 0) {
        picture_escape(file, machine.nodename, 0);
        picture_print(file, ", %s %s %s, ", machine.sysname, machine.release, machine.machine);
    }
    picture_print(file, "%ld CPU%s", cpus, cpus == 1 ? "" : "s");
    if (gmtime_r(&now, &date) && strftime(text, sizeof(text), "%Y-%m-%d %H:%M UTC", &date) > 0) {
        picture_print(file, ", %s", text);
    }
}

int picture_finish(FILE *file)
{
    errno = 0;
    if (fflush(file) == 0 && !ferror(file)) {
        return 0;
    }
    return errno != 0 ? -errno : -EIO;
}
