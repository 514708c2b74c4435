// SPDX-License-Identifier: MIT
#pragma once

/* The terminal: what it can show, and times and sizes in words. JSON goes through jansson. */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <wchar.h>

struct terminal {
    bool is_terminal; /* standard output is one: progress may be shown */
    bool colours;     /* and NO_COLOR is not set, and TERM is not dumb */
    bool utf8;        /* the locale's character set is UTF-8 */
    unsigned width;   /* columns, from 20 to 1000; 80 where it is not known */
};

/* Looks at standard output and the environment; setlocale(3) was called. */
void terminal_look(struct terminal *terminal);

/* Escape sequences, empty without colours. */
const char *colour_good(const struct terminal *terminal);
const char *colour_bad(const struct terminal *terminal);
const char *colour_strong(const struct terminal *terminal);
const char *colour_faint(const struct terminal *terminal);
const char *colour_end(const struct terminal *terminal);

enum { OUTPUT_TEXT_MAX = 32 };

/* "950 ns", "14.2 µs" ("us" without UTF-8), "3.41 ms", "1.20 s": three digits. Returns TEXT. */
const char *output_time(const struct terminal *terminal, double usec,
                        char text[static OUTPUT_TEXT_MAX]);

/* "64 B", "64 KiB", "1.5 MiB". Returns TEXT. */
const char *output_size(double bytes, char text[static OUTPUT_TEXT_MAX]);

/* "950", "12.3 k", "1.20 M". Returns TEXT. */
const char *output_count(double count, char text[static OUTPUT_TEXT_MAX]);

/*
 * The character at TEXT, which is in the locale's character set, into *RET: L'?' for what may not
 * be shown (text_is_plain()) or is none. Returns how many bytes it has.
 */
size_t output_character(const char *text, wchar_t *ret);

/* Replaces in TEXT, which comes from outside, whatever may not be shown. For people. */
void output_clean(char *text);

/* The same for programs, in UTF-8 whatever the locale is. NULL without memory. */
json_t *report_string(const char *text);

/* A line with the object, which it frees, on standard output. Returns whether that worked. */
bool output_json(json_t *object);

/* Whether all of standard output could be written; says so if not. To be asked at the end. */
bool output_finish(void);
