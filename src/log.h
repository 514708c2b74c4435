// SPDX-License-Identifier: MIT
#pragma once

/*
 * Log lines: one sentence each, on standard error. Where that is the journal's stream, a line
 * carries its priority as "<N>" (sd-daemon(3)); on a terminal or in a file it is plain text after
 * the program's name. Only the control plane logs: a write here can block.
 */

#include <stdbool.h>
#include <syslog.h>

/* Finds out where standard error leads: the journal says so in $JOURNAL_STREAM (systemd.exec(5)).
 */
void log_open(void);

/* Lines of a priority above LEVEL (LOG_EMERG 0 … LOG_DEBUG 7) are left out; LOG_INFO at first. */
void log_set_level(int level);

/* Whether a line of PRIORITY is not left out. */
bool log_wants(int priority);

/* Whether standard error leads to the journal. */
bool log_is_journal(void);

/* Reads a level as systemd's --log-level= takes it, a name or 0 to 7; -EINVAL if it is neither. */
int log_level_parse(const char *text);

/* Control characters in the finished line become '?': it stays one line whatever it quotes. */
void log_line(int priority, const char *format, ...) __attribute__((format(printf, 2, 3)));
