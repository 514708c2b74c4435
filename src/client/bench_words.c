// SPDX-License-Identifier: MIT
#include "bench_words.h"

#include <stdio.h>
#include <string.h>
#include <wchar.h>

/* The character at *TEXT, which moves behind it; '?' for what cannot be printed. */
static wchar_t next_character(const char **text)
{
    wchar_t character;

    *text += output_character(*text, &character);
    return character;
}

unsigned words_width(const char *text)
{
    unsigned width = 0;

    while (*text != '\0') {
        width += (unsigned)wcwidth(next_character(&text));
    }
    return width;
}

/* From TEXT to its end; returns the columns that this took. */
static unsigned print_characters(const char *text)
{
    unsigned width = 0;

    while (*text != '\0') {
        const char *begin = text;
        wchar_t character = next_character(&text);
        if (character == L'?') {
            putchar('?');
        } else {
            (void)fwrite(begin, 1, (size_t)(text - begin), stdout);
        }
        width += (unsigned)wcwidth(character);
    }
    return width;
}

void words_print_fitted(const struct terminal *terminal, const char *text, unsigned width)
{
    const char *ellipsis = terminal->utf8 ? "…" : "...";
    unsigned dots = terminal->utf8 ? 1 : 3;
    unsigned used = 0;

    if (words_width(text) > width) {
        if (width >= dots) {
            (void)fputs(ellipsis, stdout);
            used = dots;
        }
        while (words_width(text) > width - used) {
            (void)next_character(&text);
        }
    }
    used += print_characters(text);
    printf("%*s", (int)(width > used ? width - used : 0), "");
}

void words_print_wrapped(const struct terminal *terminal, const char *text)
{
    unsigned used = 0;

    while (*text != '\0') {
        int length = (int)strcspn(text, " ");
        char word[256];
        unsigned width;

        snprintf(word, sizeof(word), "%.*s", length, text);
        width = words_width(word);
        width = width < terminal->width ? width : terminal->width;
        if (used > 0) {
            bool fits = used + 1 + width <= terminal->width;
            printf("%s", fits ? " " : "\n");
            used = fits ? used + 1 : 0;
        }
        words_print_fitted(terminal, word, width);
        used += width;
        text += length + (text[length] == ' ' ? 1 : 0);
    }
    printf("\n");
}

void words_describe_point(const struct bench_point *point, char *text, size_t size)
{
    char bytes[OUTPUT_TEXT_MAX];
    char rate[OUTPUT_TEXT_MAX];
    int n = snprintf(text, size, "%s, %u connection%s", output_size((double)point->size, bytes),
                     point->connections, point->connections == 1 ? "" : "s");

    if (point->window > 1) {
        n += snprintf(text + n, size - (size_t)n, ", %u in flight on each", point->window);
    }
    if (point->connect) {
        n += snprintf(text + n, size - (size_t)n, " at a time, a new one for each message");
    }
    if (point->rate > 0) {
        snprintf(text + n, size - (size_t)n, ", %s messages/s asked for",
                 output_count(point->rate, rate));
    }
}
