// SPDX-License-Identifier: MIT
#include "restart.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "log.h"
#include "util.h"

#define MANAGER "org.freedesktop.systemd1"

enum { PATIENCE_USEC = 5 * 1000 * 1000 };

/* The manager's own socket, which is there without a message bus; as systemctl(1) does it. */
static int open_private(sd_bus **bus, const char *directory)
{
    char address[256];
    int r = sd_bus_new(bus);

    if (r < 0) {
        return r;
    }
    snprintf(address, sizeof(address), "unix:path=%s/systemd/private", directory);
    if ((r = sd_bus_set_address(*bus, address)) < 0 || (r = sd_bus_start(*bus)) < 0) {
        *bus = sd_bus_close_unref(*bus);
    }
    return r;
}

/* Connects to the manager that has started this process. */
static int open_manager(sd_bus **bus)
{
    // NOLINTBEGIN(concurrency-mt-unsafe): there is one thread
    bool is_user = getenv("MANAGERPID") != NULL; /* systemd.exec(5) */
    const char *directory = is_user ? getenv("XDG_RUNTIME_DIR") : "/run";
    // NOLINTEND(concurrency-mt-unsafe)

    if (directory && open_private(bus, directory) >= 0) {
        return 0;
    }
    return is_user ? sd_bus_open_user(bus) : sd_bus_open_system(bus);
}

/* Returns 1 if this process's unit is being restarted, 0 if not, or a negative errno. */
static int is_restart(sd_bus *bus)
{
    CLEANUP(sd_bus_message_unrefp) sd_bus_message *unit = NULL;
    CLEANUP(sd_bus_message_unrefp) sd_bus_message *job = NULL;
    CLEANUP(free_pointer) char *type = NULL;
    const char *path = NULL;
    uint32_t id = 0;
    int r;

    if ((r = sd_bus_set_method_call_timeout(bus, PATIENCE_USEC)) < 0 ||
        (r = sd_bus_call_method(bus, MANAGER, "/org/freedesktop/systemd1", MANAGER ".Manager",
                                "GetUnitByPID", NULL, &unit, "u", (uint32_t)0)) < 0 ||
        (r = sd_bus_message_read(unit, "o", &path)) < 0 ||
        (r = sd_bus_get_property(bus, MANAGER, path, MANAGER ".Unit", "Job", NULL, &job, "(uo)")) <
            0 ||
        (r = sd_bus_message_read(job, "(uo)", &id, &path)) < 0) {
        return r;
    }
    if (id == 0) {
        return 0;
    }
    r = sd_bus_get_property_string(bus, MANAGER, path, MANAGER ".Job", "JobType", NULL, &type);
    return r < 0 ? r : strcmp(type, "restart") == 0;
}

/* Returns 0 or a negative errno. */
static int find_main_process(pid_t *pid)
{
    const char *text = getenv("MAINPID"); // NOLINT(concurrency-mt-unsafe): there is one thread
    char *end = NULL;
    long number;

    errno = 0;
    number = text ? strtol(text, &end, 10) : 0;
    if (errno != 0 || number <= 1 || *end != '\0') {
        return -EINVAL;
    }
    *pid = (pid_t)number;
    return 0;
}

int restart_announce(void)
{
    CLEANUP(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
    pid_t pid;
    int r = find_main_process(&pid);

    if (r < 0) {
        log_line(LOG_ERR, "Option --announce-restart is for ExecStop= in a unit: "
                          "$MAINPID names no process.");
        return r;
    }
    r = open_manager(&bus);
    if (r >= 0) {
        r = is_restart(bus);
    }
    if (r < 0) {
        log_line(LOG_WARNING,
                 "Whether this is a stop or a restart, the service manager does not say (%s): "
                 "connections are ended.",
                 strerror(-r));
        return r;
    }
    return r > 0 && kill(pid, SIGUSR1) < 0 ? -errno : r;
}
