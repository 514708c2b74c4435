// SPDX-License-Identifier: MIT
#pragma once

/* Words and numbers for pictures and pages: XML that is well-formed whatever a socket is called. */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "bench.h"

void picture_print(FILE *file, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Writes TEXT as the content of an element or attribute. What is not UTF-8, and characters that do
 * not print, are written as their bytes (\x1b). All but about the first and the last half of MAX
 * characters is left out and marked with an ellipsis; with 0, nothing is.
 */
void picture_escape(FILE *file, const char *text, size_t max);

/* How many characters picture_escape() writes. */
size_t picture_length(const char *text, size_t max);

/* The values of an axis: "200 µs", "50 k". Return TEXT. */
const char *picture_tick_time(double nsec, char text[static OUTPUT_TEXT_MAX]);
const char *picture_tick_count(double count, char text[static OUTPUT_TEXT_MAX]);

/* A time and a number of three digits, as in the tables on the terminal. Return TEXT. */
const char *picture_time(double nsec, char text[static OUTPUT_TEXT_MAX]);

enum { PICTURE_LOAD_MAX = 128 };

/* "16 connections, 4 in flight each, 20.0 k/s". Returns TEXT. */
const char *picture_load(const struct bench_point *point, char text[static PICTURE_LOAD_MAX]);

/* "HOST, Linux 6.1.0 x86_64, 2 CPUs, 2026-01-31 12:00 UTC" */
void picture_machine(FILE *file);

/* Whether all of FILE could be written so far: 0, or a negative errno. */
int picture_finish(FILE *file);
