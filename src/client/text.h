// SPDX-License-Identifier: MIT
#pragma once

/*
 * What of a text that comes from outside is shown: letters, and nothing that steers a terminal,
 * turns the direction of writing, or cannot be seen. What is shown must be what is there.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether CHARACTER (Unicode) may be shown. */
bool text_is_plain(uint32_t character);

/* How many bytes the character at TEXT, which is UTF-8, has; 0 if it is none, or may not be shown.
 */
size_t text_plain_length(const char *text);

/* Replaces in TEXT, which is to be UTF-8 whatever the locale is, what may not be shown. */
void text_clean(char *text);
