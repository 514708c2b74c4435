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
#include "text.h"
#include "util.h"

enum { WIDTH_USUAL = 80, WIDTH_MIN = 20, WIDTH_MAX = 1000 };

static unsigned find_width(void)
{
    const char *columns = getenv("COLUMNS"); // NOLINT(concurrency-mt-unsafe): before any thread
    struct winsize size;
    uint64_t width = WIDTH_USUAL;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        width = size.ws_col;
    } else if (columns && !read_number(columns, 1, UINT64_MAX, &width)) {
        width = WIDTH_USUAL;
    }
    return width < WIDTH_MIN ? WIDTH_MIN : width > WIDTH_MAX ? WIDTH_MAX : (unsigned)width;
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

/* wchar_t is Unicode (__STDC_ISO_10646__); wcwidth(3) knows what this locale can show. */
size_t output_character(const char *text, wchar_t *ret)
{
    mbstate_t state = {0};
    size_t left = strlen(text);
    size_t length = mbrtowc(ret, text, left, &state);

    if (length == 0 || length > left) {
        *ret = L'?';
        return 1;
    }
    if (!text_is_plain((uint32_t)*ret) || !iswprint((wint_t)*ret) || wcwidth(*ret) < 0) {
        *ret = L'?';
    }
    return length;
}

void output_clean(char *text)
{
    char *to = text;

    while (*text != '\0') {
        wchar_t character;
        size_t length = output_character(text, &character);
        if (character == L'?') {
            *to++ = '?';
        } else {
            memmove(to, text, length);
            to += length;
        }
        text += length;
    }
    *to = '\0';
}

json_t *report_string(const char *text)
{
    CLEANUP(free_pointer) char *copy = strdup(text);

    if (!copy) {
        return NULL;
    }
    text_clean(copy);
    return json_string(copy);
}

/* Whether all of TEXT may be shown as it is. */
static bool is_plain(const char *text)
{
    size_t length = 1;

    while (*text != '\0' && length > 0) {
        length = text_plain_length(text);
        text += length;
    }
    return *text == '\0';
}

bool output_json(json_t *object)
{
    char *text = json_dumps(object, JSON_COMPACT);
    bool written;

    /* What a service has said is passed on, but does not steer a terminal. */
    if (text && !is_plain(text)) {
        free(text);
        text = json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII);
    }
    written = text && printf("%s\n", text) > 0;
    free(text);
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
