// SPDX-License-Identifier: MIT
#include "rehearsal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_USEC = 5 * 1000 * 1000 };

struct rehearsal {
    sd_event_source *child;
    sd_event_source *timer;
    bool is_late;
    rehearsal_ended *ended;
    void *context;
};

/* It is to have nothing of this process: no descriptor, and no signal blocked. */
static int spawn(char *program, pid_t *pid)
{
    char version[] = "--version";
    char *argv[] = {program, version, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    int r;

    sigemptyset(&none);
    (void)posix_spawn_file_actions_init(&actions); /* these two cannot fail in glibc */
    (void)posix_spawnattr_init(&attributes);
    if ((r = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDWR, 0)) ==
            0 &&
        (r = posix_spawn_file_actions_adddup2(&actions, STDIN_FILENO, STDOUT_FILENO)) == 0 &&
        (r = posix_spawn_file_actions_adddup2(&actions, STDIN_FILENO, STDERR_FILENO)) == 0 &&
        (r = posix_spawnattr_setsigmask(&attributes, &none)) == 0 &&
        (r = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK)) == 0) {
        r = posix_spawn(pid, program, &actions, &attributes, argv, environ);
    }
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return -r;
}

static int on_late(sd_event_source *source, uint64_t due, void *userdata)
{
    struct rehearsal *rehearsal = userdata;

    (void)source;
    (void)due;
    rehearsal->is_late = true;
    return sd_event_source_send_child_signal(rehearsal->child, SIGKILL, NULL, 0);
}

static int on_child(sd_event_source *source, const siginfo_t *info, void *userdata)
{
    struct rehearsal *rehearsal = userdata;
    char text[REHEARSAL_TEXT_MAX];

    (void)source;
    if (rehearsal->is_late) {
        snprintf(text, sizeof(text), "does not say its version (--version) within %d seconds",
                 PATIENCE_USEC / 1000000);
    } else if (info->si_code != CLD_EXITED) {
        snprintf(text, sizeof(text), "is ended by signal %d as soon as it starts (--version)",
                 info->si_status);
    } else {
        snprintf(text, sizeof(text), "does not start (--version exits with status %d)",
                 info->si_status);
    }
    rehearsal->ended(rehearsal->context,
                     info->si_code == CLD_EXITED && info->si_status == 0 ? NULL : text);
    return 0;
}

/* Watches the program, which is gone if that fails. */
static int watch(struct rehearsal *rehearsal, sd_event *event, pid_t pid)
{
    int r;

    if ((r = sd_event_add_child(event, &rehearsal->child, pid, WEXITED, on_child, rehearsal)) < 0 ||
        (r = sd_event_source_set_child_process_own(rehearsal->child, true)) < 0) {
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        return r;
    }
    r = sd_event_add_time_relative(event, &rehearsal->timer, CLOCK_MONOTONIC, PATIENCE_USEC, 0,
                                   on_late, rehearsal);
    return r < 0 ? r : 0;
}

int rehearsal_new(sd_event *event, char *program, rehearsal_ended *ended, void *context,
                  struct rehearsal **ret)
{
    struct rehearsal *rehearsal = calloc(1, sizeof(*rehearsal));
    pid_t pid = -1;
    int r;

    if (!rehearsal) {
        return -ENOMEM;
    }
    rehearsal->ended = ended;
    rehearsal->context = context;
    r = spawn(program, &pid);
    if (r == 0) {
        r = watch(rehearsal, event, pid);
    }
    if (r < 0) {
        rehearsal_free(rehearsal);
        return r;
    }
    *ret = rehearsal;
    return 0;
}

void rehearsal_free(struct rehearsal *rehearsal)
{
    if (!rehearsal) {
        return;
    }
    sd_event_source_disable_unref(rehearsal->timer);
    sd_event_source_unref(rehearsal->child); /* whose process goes with it */
    free(rehearsal);
}
