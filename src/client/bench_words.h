// SPDX-License-Identifier: MIT
#pragma once

/* Text of a benchmark's report that fits into the columns of a terminal. */

#include <stddef.h>

#include "bench.h"

/* How many columns TEXT takes. */
unsigned words_width(const char *text);

/* TEXT in exactly WIDTH columns: filled up, or with its end alone if it is too long, as the end is
 * what paths differ in. What cannot be printed is a question mark. */
void words_print_fitted(const struct terminal *terminal, const char *text, unsigned width);

/* TEXT in as many lines as it takes; a word that is longer than a line is shortened. */
void words_print_wrapped(const struct terminal *terminal, const char *text);

/* "64 B, 16 connections, 8 in flight on each". */
void words_describe_point(const struct bench_point *point, char *text, size_t size);
