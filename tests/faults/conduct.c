// SPDX-License-Identifier: MIT
#include "conduct.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZES(...)                                                                                 \
    .sizes = {__VA_ARGS__}, .n_sizes = sizeof((const int[]){__VA_ARGS__}) / sizeof(int)

enum { SIZE_MAX_ALLOWED = 64 * 1024 * 1024 };

static const struct conduct conducts[] = {
    {.name = "echo", .messages = MESSAGES_ENDLESS, .window = 4, SIZES(1, 64, 1000, 20000)},
    {.name = "half-close", .messages = 3, .window = 3, SIZES(64, 70000)},
    {.name = "largest", .messages = 4, .window = 2, SIZES(SIZE_LARGEST)},
    {.name = "empty", .messages = 20, .window = 5, SIZES(0, 0, 7)},
    {.name = "trickle", .messages = 30, .window = 1, SIZES(1), .pause_msec = 20},
    {.name = "passing", .messages = 10, .window = 2, SIZES(64), .passes = true},
    {.name = "late",
     .reading = READING_LATE,
     .messages = MESSAGES_ENDLESS,
     .window = 1,
     SIZES(1, 5000)},
    {.name = "vanish", .reading = READING_NEVER, .leaving = LEAVING_ABRUPTLY, SIZES(0)},
    {.name = "abrupt",
     .reading = READING_NEVER,
     .leaving = LEAVING_ABRUPTLY,
     .messages = 3,
     .window = 3,
     SIZES(100, 30000)},
    {.name = "mute",
     .reading = READING_NEVER,
     .leaving = LEAVING_LAST,
     .messages = MESSAGES_ENDLESS,
     .window = 1,
     SIZES(1000, 20000)},
    {.name = "fickle", .leaving = LEAVING_AT_WHIM, .messages = 4, .window = 2, SIZES(100, 20000)},
    {.name = "storm", .leaving = LEAVING_LAST, .messages = 1, .window = 1, SIZES(64)},
};

enum { CONDUCTS = sizeof(conducts) / sizeof(conducts[0]) };

const struct conduct *conduct_find(const char *name)
{
    for (size_t i = 0; i < CONDUCTS; i++) {
        if (strcmp(conducts[i].name, name) == 0) {
            return &conducts[i];
        }
    }
    return NULL;
}

void conduct_print_names(void)
{
    for (size_t i = 0; i < CONDUCTS; i++) {
        printf("%s%s", i == 0 ? "" : ", ", conducts[i].name);
    }
    printf("\n");
}

static bool parse_size(const char *text, size_t length, int *ret)
{
    char *end;
    long size;

    if (length == strlen("largest") && strncmp(text, "largest", length) == 0) {
        *ret = SIZE_LARGEST;
        return true;
    }
    errno = 0;
    size = strtol(text, &end, 10);
    *ret = (int)size;
    return length > 0 && end == text + length && errno == 0 && size >= 0 &&
           size <= SIZE_MAX_ALLOWED;
}

bool conduct_set_sizes(struct conduct *conduct, const char *text)
{
    conduct->n_sizes = 0;
    for (;;) {
        size_t length = strcspn(text, ",");
        if (conduct->n_sizes == SIZES_MAX ||
            !parse_size(text, length, &conduct->sizes[conduct->n_sizes])) {
            return false;
        }
        conduct->n_sizes++;
        if (text[length] == '\0') {
            return true;
        }
        text += length + 1;
    }
}
