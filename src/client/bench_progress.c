// SPDX-License-Identifier: MIT
#include "bench_progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bench_flow.h"

enum { TEXT = 24, BAR_MAX = 60, BAR_MIN = 4 };

void progress_init(struct progress *progress, const struct terminal *terminal, size_t steps,
                   uint64_t step_usec)
{
    struct winsize size;

    *progress = (struct progress){
        .shown = isatty(STDERR_FILENO) == 1,
        .utf8 = terminal->utf8,
        .width = terminal->width,
        .steps = steps,
        .step_nsec = step_usec * 1000,
        .begun = now_nsec(),
        .step_begun = now_nsec(),
    };
    /* The width that is known is that of standard output. */
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        progress->width = size.ws_col;
    }
}

static double steps_done(const struct progress *progress, uint64_t now)
{
    double step = (double)(now - progress->step_begun) /
                  (double)(progress->step_nsec ? progress->step_nsec : 1);

    return (double)progress->done + (step > 1 ? 1 : step);
}

/* WIDTH characters, DONE (0 to 1) of them full; eighths of one where there are such. */
static void draw_bar(const struct progress *progress, unsigned width, double done)
{
    static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    unsigned full = (unsigned)(done * width * 8);
    unsigned drawn = full / 8;

    for (unsigned i = 0; i < drawn; i++) {
        (void)fputs(progress->utf8 ? "█" : "#", stderr);
    }
    if (progress->utf8 && full % 8 > 0) {
        (void)fputs(eighths[full % 8], stderr);
        drawn++;
    }
    for (; drawn < width; drawn++) {
        (void)fputs(progress->utf8 ? " " : "-", stderr);
    }
}

static void write_time(double seconds, char *text, size_t size)
{
    unsigned long whole = (unsigned long)(seconds + 0.999);

    if (whole < 100) {
        snprintf(text, size, "%lu s", whole);
    } else {
        snprintf(text, size, "%lu min", (whole + 59) / 60);
    }
}

void progress_tick(void *context)
{
    const struct progress *progress = context;
    uint64_t now = now_nsec();
    double done = steps_done(progress, now);
    double step = (double)progress->step_nsec / 1e9;
    double rest = ((double)progress->steps - done) * step;
    double fraction = progress->steps > 0 ? done / (double)progress->steps : 1;
    unsigned width;
    char left[OUTPUT_TEXT_MAX];

    if (!progress->shown || progress->width < TEXT + BAR_MIN) {
        return;
    }
    width = progress->width > TEXT + BAR_MAX ? BAR_MAX : progress->width - TEXT;
    /* As long as those that are done have really taken, connecting included. */
    if (progress->done > 0) {
        rest = (double)(now - progress->begun) / 1e9 / done * ((double)progress->steps - done);
    }
    write_time(rest, left, sizeof(left));
    (void)fputs(progress->utf8 ? "\r▕" : "\r[", stderr);
    draw_bar(progress, width, fraction);
    fprintf(stderr, "%s %3.0f %%, %s left ", progress->utf8 ? "▏" : "]", fraction * 100, left);
    (void)fflush(stderr);
}

void progress_step(struct progress *progress)
{
    progress->done++;
    progress->step_begun = now_nsec();
    progress_tick(progress);
}

void progress_clear(const struct progress *progress)
{
    if (progress->shown && progress->width >= TEXT + BAR_MIN) {
        /* Blanks, which every terminal knows; not in the last column, where some go on. */
        fprintf(stderr, "\r%*s\r", (int)progress->width - 1, "");
        (void)fflush(stderr);
    }
}
