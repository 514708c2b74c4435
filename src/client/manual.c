// SPDX-License-Identifier: MIT

/*
 * Help: the sections of the manual page uds-echo(1), as plain text. They are made from the page's
 * source when this is built (manual_text.py), so that both say the same, and help needs neither the
 * page nor man(1).
 */

#include <stdio.h>
#include <string.h>

#include "client.h"
#include "util.h"

/* A section of the page. */
struct part {
    const char *command;      /* that it is about, or NULL */
    bool common;              /* goes for every command */
    const char *const *lines; /* up to NULL; the first is the title */
};

#include "manual_text.h"

static void show(const struct part *part, bool first)
{
    if (!first) {
        (void)putchar('\n');
    }
    for (const char *const *line = part->lines; *line; line++) {
        (void)puts(*line);
    }
}

bool manual_show(const char *subcommand)
{
    const struct part *found = NULL;

    for (size_t i = 0; i < ELEMENTS(parts); i++) {
        if (!subcommand) {
            show(&parts[i], i == 0);
        } else if (parts[i].command && strcmp(parts[i].command, subcommand) == 0) {
            found = &parts[i];
        }
    }
    if (!found) {
        return !subcommand;
    }
    show(found, true);
    for (size_t i = 0; i < ELEMENTS(parts); i++) {
        if (parts[i].common) {
            show(&parts[i], false);
        }
    }
    return true;
}
