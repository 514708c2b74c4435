// SPDX-License-Identifier: MIT
#include "log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util.h"

enum { LINE_MAX_BYTES = 1024 };

static int log_level = LOG_INFO;
static bool log_to_journal = false;

void log_open(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    uintmax_t device = 0;
    uintmax_t inode = 0;
    struct stat status;

    // NOLINTNEXTLINE(cert-err34-c): systemd wrote it; what does not match is no journal
    log_to_journal = stream && sscanf(stream, "%ju:%ju", &device, &inode) == 2 &&
                     fstat(STDERR_FILENO, &status) == 0 && status.st_dev == (dev_t)device &&
                     status.st_ino == (ino_t)inode;
}

void log_set_level(int level)
{
    log_level = level;
}

bool log_wants(int priority)
{
    return priority <= log_level;
}

bool log_is_journal(void)
{
    return log_to_journal;
}

int log_level_parse(const char *text)
{
    static const char *const names[] = {
        [LOG_EMERG] = "emerg", [LOG_ALERT] = "alert",     [LOG_CRIT] = "crit",
        [LOG_ERR] = "err",     [LOG_WARNING] = "warning", [LOG_NOTICE] = "notice",
        [LOG_INFO] = "info",   [LOG_DEBUG] = "debug",
    };

    if (text[0] >= '0' && text[0] <= '7' && text[1] == '\0') {
        return text[0] - '0';
    }
    for (size_t i = 0; i < ELEMENTS(names); i++) {
        if (strcmp(text, names[i]) == 0) {
            return (int)i;
        }
    }
    return -EINVAL;
}

void log_line(int priority, const char *format, ...)
{
    char line[LINE_MAX_BYTES];
    int head;
    int body;
    size_t length;
    va_list arguments;

    if (!log_wants(priority)) {
        return;
    }
    head = log_to_journal ? snprintf(line, sizeof(line), "<%d>", priority)
                          : snprintf(line, sizeof(line), "uds-echod: ");
    va_start(arguments, format);
    body = vsnprintf(line + head, sizeof(line) - (size_t)head, format, arguments);
    va_end(arguments);
    if (body < 0) {
        return;
    }

    length = (size_t)head + (size_t)body;
    if (length > sizeof(line) - 2) {
        length = sizeof(line) - 2;
    }
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)line[i] < ' ' || line[i] == 127) {
            line[i] = '?';
        }
    }
    line[length++] = '\n';
    /* Nobody is left to tell if this fails. */
    (void)!write(STDERR_FILENO, line, length);
}
