// SPDX-License-Identifier: MIT
#pragma once

/* How clients behave: a table of names, and what each means. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum reading {
    READING_ALWAYS,
    READING_LATE, /* when the swarm stops */
    READING_NEVER,
};

enum leaving {
    LEAVING_POLITELY, /* shuts down after the last message, reads what is owed and the end */
    LEAVING_ABRUPTLY, /* closes as soon as all is sent, or when an answer has come, unread */
    LEAVING_LAST,     /* stays to the swarm's end, then closes */
    LEAVING_AT_WHIM,  /* in one of many ways that make no sense */
};

enum { SIZES_MAX = 8, SIZE_LARGEST = -1 };

#define MESSAGES_ENDLESS UINT64_MAX

struct conduct {
    const char *name;
    enum reading reading;
    enum leaving leaving;
    bool passes;       /* descriptors with each message */
    uint64_t messages; /* of one client */
    uint64_t window;   /* messages under way at once, if it reads; and between two pauses */
    int sizes[SIZES_MAX];
    unsigned n_sizes;
    uint64_t pause_msec; /* after each window */
};

/* NULL if there is none of that name. */
const struct conduct *conduct_find(const char *name);

/* Their names, for usage. */
void conduct_print_names(void);

/* TEXT is sizes of messages with commas between, where "largest" is one. Returns false if not. */
bool conduct_set_sizes(struct conduct *conduct, const char *text);
