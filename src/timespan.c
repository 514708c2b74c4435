// SPDX-License-Identifier: MIT
#include "timespan.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "util.h"

#define USEC_PER_MSEC UINT64_C(1000)
#define USEC_PER_SEC (1000 * USEC_PER_MSEC)
#define USEC_PER_MINUTE (60 * USEC_PER_SEC)
#define USEC_PER_HOUR (60 * USEC_PER_MINUTE)
#define USEC_PER_DAY (24 * USEC_PER_HOUR)
#define USEC_PER_WEEK (7 * USEC_PER_DAY)
#define USEC_PER_MONTH UINT64_C(2629800000000)
#define USEC_PER_YEAR UINT64_C(31557600000000)

/* The words of systemd.time(7). */
static const struct {
    const char *name;
    uint64_t usec;
} units[] = {
    {"y", USEC_PER_YEAR},
    {"year", USEC_PER_YEAR},
    {"years", USEC_PER_YEAR},
    {"month", USEC_PER_MONTH},
    {"months", USEC_PER_MONTH},
    {"M", USEC_PER_MONTH},
    {"w", USEC_PER_WEEK},
    {"week", USEC_PER_WEEK},
    {"weeks", USEC_PER_WEEK},
    {"d", USEC_PER_DAY},
    {"day", USEC_PER_DAY},
    {"days", USEC_PER_DAY},
    {"h", USEC_PER_HOUR},
    {"hr", USEC_PER_HOUR},
    {"hour", USEC_PER_HOUR},
    {"hours", USEC_PER_HOUR},
    {"min", USEC_PER_MINUTE},
    {"m", USEC_PER_MINUTE},
    {"minute", USEC_PER_MINUTE},
    {"minutes", USEC_PER_MINUTE},
    {"s", USEC_PER_SEC},
    {"sec", USEC_PER_SEC},
    {"second", USEC_PER_SEC},
    {"seconds", USEC_PER_SEC},
    {"ms", USEC_PER_MSEC},
    {"msec", USEC_PER_MSEC},
    {"us", 1},
    {"usec", 1},
    {"µs", 1},
    {"μs", 1},
};

static const char *skip_space(const char *text)
{
    return text + strspn(text, " \t\n\r");
}

/* Reads the unit at *TEXT and moves behind it; no word means seconds. 0 if the word is no unit. */
static uint64_t parse_unit(const char **text)
{
    size_t length = strcspn(*text, "0123456789. \t\n\r");

    if (length == 0) {
        return USEC_PER_SEC;
    }
    for (size_t i = 0; i < ELEMENTS(units); i++) {
        if (strlen(units[i].name) == length && memcmp(units[i].name, *text, length) == 0) {
            *text += length;
            return units[i].usec;
        }
    }
    return 0;
}

/* Adds "NUMBER[.FRACTION][ ][UNIT]" at *TEXT to *USEC and moves behind it. */
static int parse_term(const char **text, uint64_t *usec)
{
    const char *at = *text;
    const char *fraction = NULL;
    uint64_t whole = 0;
    uint64_t unit;
    uint64_t term;
    size_t digits = 0;

    for (; isdigit((unsigned char)*at); at++, digits++) {
        if (__builtin_mul_overflow(whole, 10, &whole) ||
            __builtin_add_overflow(whole, (uint64_t)(*at - '0'), &whole)) {
            return -ERANGE;
        }
    }
    if (*at == '.') {
        fraction = ++at;
        for (; isdigit((unsigned char)*at); at++, digits++) {
        }
    }
    if (digits == 0) {
        return -EINVAL;
    }

    at = skip_space(at);
    unit = parse_unit(&at);
    if (unit == 0) {
        return -EINVAL;
    }
    if (__builtin_mul_overflow(whole, unit, &term)) {
        return -ERANGE;
    }
    for (uint64_t scale = unit / 10; fraction && isdigit((unsigned char)*fraction); fraction++) {
        if (__builtin_add_overflow(term, scale * (uint64_t)(*fraction - '0'), &term)) {
            return -ERANGE;
        }
        scale /= 10;
    }
    if (__builtin_add_overflow(*usec, term, usec) || *usec == TIMESPAN_INFINITY) {
        return -ERANGE;
    }
    *text = at;
    return 0;
}

int timespan_parse(const char *text, uint64_t *usec)
{
    uint64_t sum = 0;
    bool any = false;

    text = skip_space(text);
    if (strncmp(text, "infinity", 8) == 0 && *skip_space(text + 8) == '\0') {
        *usec = TIMESPAN_INFINITY;
        return 0;
    }
    for (; *text != '\0'; text = skip_space(text)) {
        int r = parse_term(&text, &sum);
        if (r < 0) {
            return r;
        }
        any = true;
    }
    if (!any) {
        return -EINVAL;
    }
    *usec = sum;
    return 0;
}
