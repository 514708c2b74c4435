// SPDX-License-Identifier: MIT

/* What check has found: lines for people as it comes, or one object for programs at the end. */

#include <stdarg.h>
#include <string.h>

#include "check.h"
#include "client.h"
#include "util.h"

static const struct {
    const char *name;
    int status;
} causes[] = {
    [CAUSE_NONE] = {"none", STATUS_OK},
    [CAUSE_NO_DIRECTORY] = {"no-directory", STATUS_UNREACHABLE},
    [CAUSE_NOT_A_DIRECTORY] = {"not-a-directory", STATUS_UNREACHABLE},
    [CAUSE_DIRECTORY_FORBIDDEN] = {"directory-forbidden", STATUS_REFUSED},
    [CAUSE_LINK_LOOP] = {"link-loop", STATUS_UNREACHABLE},
    [CAUSE_NO_FILE] = {"no-file", STATUS_UNREACHABLE},
    [CAUSE_NOT_A_SOCKET] = {"not-a-socket", STATUS_UNREACHABLE},
    [CAUSE_FILE_FORBIDDEN] = {"file-forbidden", STATUS_REFUSED},
    [CAUSE_NO_NAME] = {"no-name", STATUS_UNREACHABLE},
    [CAUSE_NOBODY_LISTENING] = {"nobody-listening", STATUS_UNREACHABLE},
    [CAUSE_WRONG_TYPE] = {"wrong-type", STATUS_UNREACHABLE},
    [CAUSE_BACKLOG_FULL] = {"backlog-full", STATUS_UNREACHABLE},
    [CAUSE_CONNECT_FORBIDDEN] = {"connect-forbidden", STATUS_REFUSED},
    [CAUSE_UNREACHABLE] = {"unreachable", STATUS_UNREACHABLE},
    [CAUSE_NAME_NOT_FOUND] = {"name-not-found", STATUS_UNREACHABLE},
    [CAUSE_CONNECT_TIMEOUT] = {"connect-timeout", STATUS_UNREACHABLE},
    [CAUSE_NOT_SUPPORTED] = {"not-supported", STATUS_UNREACHABLE},
    [CAUSE_SERVICE_FAILED] = {"service-failed", STATUS_UNREACHABLE},
    [CAUSE_REFUSED_BY_POLICY] = {"refused-by-policy", STATUS_REFUSED},
    [CAUSE_NO_ANSWER] = {"no-answer", STATUS_WRONG},
    [CAUSE_WRONG_ANSWER] = {"wrong-answer", STATUS_WRONG},
    [CAUSE_CLOSED] = {"closed", STATUS_WRONG},
    [CAUSE_SYSTEM_ERROR] = {"system-error", STATUS_UNREACHABLE},
};

const char *cause_name(enum cause cause)
{
    return causes[cause].name;
}

int cause_status(enum cause cause)
{
    return causes[cause].status;
}

void report_init(struct report *report, bool json)
{
    *report = (struct report){.json = json, .steps = json_array(), .advice = json_array()};
    terminal_look(&report->terminal);
}

void report_deinit(struct report *report)
{
    json_decref(report->steps);
    json_decref(report->advice);
    json_decref(report->message);
    *report = (struct report){0};
}

static json_t *make_text(const char *format, va_list arguments)
    __attribute__((format(printf, 1, 0)));

/* The text as a JSON string, or NULL without memory; see report_string(). */
static json_t *make_text(const char *format, va_list arguments)
{
    CLEANUP(free_pointer) char *text = NULL;

    if (vasprintf(&text, format, arguments) < 0) {
        text = NULL;
        return NULL;
    }
    return report_string(text);
}

/* How many columns the SIZE bytes at TEXT take. */
static unsigned columns(const char *text, size_t size)
{
    unsigned count = 0;

    for (const char *end = text + size; text < end;) {
        wchar_t character;
        text += output_character(text, &character);
        count += (unsigned)wcwidth(character);
    }
    return count;
}

/* Prints WORDS behind what takes INDENT columns; on a terminal, lines are broken between them. */
static void print_words(const struct terminal *terminal, const char *words, unsigned indent)
{
    CLEANUP(free_pointer) char *copy = strdup(words);
    const char *text = copy;
    unsigned column = indent;

    if (!copy) {
        return;
    }
    output_clean(copy);
    while (*text != '\0') {
        size_t size = strcspn(text, " ");
        unsigned width = columns(text, size);
        if (column > indent && terminal->is_terminal && column + 1 + width > terminal->width) {
            printf("\n%*s", (int)indent, "");
            column = indent;
        } else if (column > indent) {
            putchar(' ');
            column++;
        }
        printf("%.*s", (int)size, text);
        column += width;
        text += size;
        text += strspn(text, " ");
    }
    putchar('\n');
}

/* The columns before the text of a step: a mark, and two on either side of it. */
static unsigned indent_of(const struct terminal *terminal)
{
    return terminal->utf8 ? 5 : 6;
}

static void print_step(const struct report *report, bool ok, const char *text)
{
    const struct terminal *terminal = &report->terminal;
    const char *mark = terminal->utf8 ? (ok ? "✓" : "✗") : (ok ? "ok" : "no");

    if (!report->json) {
        printf("  %s%s%s  ", ok ? colour_good(terminal) : colour_bad(terminal), mark,
               colour_end(terminal));
        print_words(terminal, text, indent_of(terminal));
    }
}

static bool is_said(const struct report *report, const json_t *text)
{
    size_t i;
    json_t *step;

    json_array_foreach(report->steps, i, step)
    {
        if (json_equal(json_object_get(step, "text"), text)) {
            return true;
        }
    }
    return false;
}

void report_pass(struct report *report, const char *format, ...)
{
    va_list arguments;
    json_t *text;

    va_start(arguments, format);
    text = make_text(format, arguments);
    va_end(arguments);
    if (!text || is_said(report, text)) {
        json_decref(text);
        return;
    }
    print_step(report, true, json_string_value(text));
    (void)json_array_append_new(report->steps, json_pack("{sbso}", "ok", 1, "text", text));
}

void report_fail(struct report *report, enum cause cause, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    report->message = make_text(format, arguments);
    va_end(arguments);
    report->cause = cause;
    if (report->message) {
        print_step(report, false, json_string_value(report->message));
        (void)json_array_append_new(report->steps,
                                    json_pack("{sbsO}", "ok", 0, "text", report->message));
    }
}

static void print_advice(const struct report *report, const char *text)
{
    printf("%*s", (int)indent_of(&report->terminal), "");
    print_words(&report->terminal, text, indent_of(&report->terminal));
}

/* As it is, in one line: it is to be copied. */
static void print_command(const struct report *report, const char *text)
{
    const struct terminal *terminal = &report->terminal;
    CLEANUP(free_pointer) char *command = strdup(text);

    if (command) {
        output_clean(command);
        printf("%*s%s%s%s\n", (int)indent_of(terminal) + 2, "", colour_strong(terminal), command,
               colour_end(terminal));
    }
}

/* Adds to what is to be done, and shows it as PRINT does. */
static void add_advice(struct report *report, const char *format, va_list arguments,
                       void (*print)(const struct report *report, const char *text))
    __attribute__((format(printf, 2, 0)));

static void add_advice(struct report *report, const char *format, va_list arguments,
                       void (*print)(const struct report *report, const char *text))
{
    json_t *text = make_text(format, arguments);

    if (text && !report->json) {
        print(report, json_string_value(text));
    }
    (void)json_array_append_new(report->advice, text);
}

void report_advise(struct report *report, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    add_advice(report, format, arguments, print_advice);
    va_end(arguments);
}

void report_command(struct report *report, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    add_advice(report, format, arguments, print_command);
    va_end(arguments);
}
