// SPDX-License-Identifier: MIT
#include "output.h"

#include <errno.h>
#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>
#include <wctype.h>

#include "client.h"

enum { WIDTH_USUAL = 80, WIDTH_MAX = 1000 };

static unsigned find_width(void)
{
    const char *columns = getenv("COLUMNS"); // NOLINT(concurrency-mt-unsafe): before any thread
    struct winsize size;
    uint64_t width;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        return size.ws_col;
    }
    return columns && read_number(columns, 1, WIDTH_MAX, &width) ? (unsigned)width : WIDTH_USUAL;
}

void terminal_look(struct terminal *terminal)
{
    const char *no_color = getenv("NO_COLOR"); // NOLINT(concurrency-mt-unsafe)
    const char *term = getenv("TERM");         // NOLINT(concurrency-mt-unsafe)

    terminal->is_terminal = isatty(STDOUT_FILENO) == 1;
    /* no-color.org: set and not empty, whatever it says */
    terminal->colours = terminal->is_terminal && !(no_color && no_color[0] != '\0') && term &&
                        strcmp(term, "dumb") != 0;
    terminal->utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    terminal->width = find_width();
}

const char *colour_good(const struct terminal *terminal)
{
    return terminal->colours ? "\033[32m" : "";
}

const char *colour_bad(const struct terminal *terminal)
{
    return terminal->colours ? "\033[31m" : "";
}

const char *colour_strong(const struct terminal *terminal)
{
    return terminal->colours ? "\033[1m" : "";
}

const char *colour_faint(const struct terminal *terminal)
{
    return terminal->colours ? "\033[2m" : "";
}

const char *colour_end(const struct terminal *terminal)
{
    return terminal->colours ? "\033[0m" : "";
}

/* VALUE with three digits that count, and UNIT. */
static const char *three_digits(double value, const char *unit, char text[static OUTPUT_TEXT_MAX])
{
    snprintf(text, OUTPUT_TEXT_MAX, "%.*f%s",
             value < 9.995   ? 2
             : value < 99.95 ? 1
                             : 0,
             value, unit);
    return text;
}

const char *output_time(const struct terminal *terminal, double usec,
                        char text[static OUTPUT_TEXT_MAX])
{
    if (usec < 0.9995) {
        snprintf(text, OUTPUT_TEXT_MAX, "%.0f ns", usec * 1000);
        return text;
    }
    return usec < 999.5      ? three_digits(usec, terminal->utf8 ? " µs" : " us", text)
           : usec < 999500.0 ? three_digits(usec / 1000, " ms", text)
                             : three_digits(usec / 1000000, " s", text);
}

const char *output_size(double bytes, char text[static OUTPUT_TEXT_MAX])
{
    static const char *const units[] = {" B", " KiB", " MiB", " GiB"};
    size_t unit = 0;

    while (bytes >= 1024 && unit < sizeof(units) / sizeof(units[0]) - 1) {
        bytes /= 1024;
        unit++;
    }
    if (bytes == (double)(uint64_t)bytes) {
        snprintf(text, OUTPUT_TEXT_MAX, "%.0f%s", bytes, units[unit]);
        return text;
    }
    return three_digits(bytes, units[unit], text);
}

const char *output_count(double count, char text[static OUTPUT_TEXT_MAX])
{
    if (count < 999.5) {
        snprintf(text, OUTPUT_TEXT_MAX, "%.0f", count);
        return text;
    }
    return count < 999500.0 ? three_digits(count / 1000, " k", text)
                            : three_digits(count / 1000000, " M", text);
}

void output_clean(char *text)
{
    while (*text != '\0') {
        mbstate_t state = {0};
        wchar_t character;
        size_t length = mbrtowc(&character, text, strlen(text), &state);
        bool valid = length > 0 && length <= strlen(text);
        if (!valid || !iswprint((wint_t)character)) {
            memset(text, '?', valid ? length : 1);
        }
        text += valid ? length : 1;
    }
}

bool output_json(json_t *object)
{
    bool written = object && json_dumpf(object, stdout, JSON_COMPACT) == 0 && putchar('\n') != EOF;

    json_decref(object);
    return written;
}

bool output_finish(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) {
        return true;
    }
    complain("Standard output could not be written: %s.", strerror(errno));
    return false;
}
