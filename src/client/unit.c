// SPDX-License-Identifier: MIT

/*
 * Which .socket unit listens at an address: systemd is asked over the bus for all that it has
 * loaded or has files of (org.freedesktop.systemd1(5)). Units are only looked at; one that is not
 * loaded is read by that, and forgotten again.
 */

#include "unit.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "target.h"
#include "util.h"
#include "wait.h"

#define SYSTEMD "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"

enum { PATIENCE_USEC = 2 * 1000 * 1000 }; /* for all questions together */

struct search {
    sd_bus *bus;
    uint64_t end; /* of patience, CLOCK_MONOTONIC */
    const char *address;
    struct unit *unit; /* the best so far */
};

static void unref_message(sd_bus_message **message)
{
    sd_bus_message_unref(*message);
}

static void close_bus(sd_bus **bus)
{
    sd_bus_close_unref(*bus);
}

/*
 * Waits until BUS can be asked. sd_bus_call(3) would wait for that by itself, but as long as the
 * other side takes to say who it is: its timeout is that of the answer.
 */
static int await_ready(sd_bus *bus, uint64_t end)
{
    int r;

    while ((r = sd_bus_is_ready(bus)) == 0) {
        uint64_t now = wait_now();
        if (now >= end) {
            return -ETIMEDOUT;
        }
        r = sd_bus_process(bus, NULL);
        if (r == 0) {
            r = sd_bus_wait(bus, end - now);
        }
        if (r < 0) {
            return r;
        }
    }
    return r;
}

/* Has REQUEST answered. Where there is no systemd, a bus is not to look for one to start. */
static int ask(struct search *search, sd_bus_message *request, sd_bus_message **reply)
{
    uint64_t now = wait_now();
    int r = now < search->end ? sd_bus_message_set_auto_start(request, 0) : -ETIMEDOUT;

    return r < 0 ? r : sd_bus_call(search->bus, request, search->end - now, NULL, reply);
}

/* The property NAME of INTERFACE of the object at PATH, of the D-Bus TYPE, entered in *REPLY. */
static int get(struct search *search, const char *path, const char *interface, const char *name,
               const char *type, sd_bus_message **reply)
{
    CLEANUP(unref_message) sd_bus_message *request = NULL;
    int r = sd_bus_message_new_method_call(search->bus, &request, SYSTEMD, path,
                                           "org.freedesktop.DBus.Properties", "Get");

    if (r >= 0) {
        r = sd_bus_message_append(request, "ss", interface, name);
    }
    if (r >= 0) {
        r = ask(search, request, reply);
    }
    return r < 0 ? r : sd_bus_message_enter_container(*reply, SD_BUS_TYPE_VARIANT, type);
}

/* The state NAME of the unit at PATH, "" if it has none. */
static void get_state(struct search *search, const char *path, const char *name,
                      char state[static UNIT_STATE_SIZE])
{
    CLEANUP(unref_message) sd_bus_message *reply = NULL;
    const char *text = "";

    if (get(search, path, SYSTEMD ".Unit", name, "s", &reply) < 0 ||
        sd_bus_message_read(reply, "s", &text) < 0) {
        text = "";
    }
    snprintf(state, UNIT_STATE_SIZE, "%s", text);
}

/* The first unit that the one at PATH triggers. */
static void get_service(struct search *search, const char *path,
                        char service[static UNIT_NAME_SIZE])
{
    CLEANUP(unref_message) sd_bus_message *reply = NULL;
    const char *text = "";

    if (get(search, path, SYSTEMD ".Unit", "Triggers", "as", &reply) < 0 ||
        sd_bus_message_enter_container(reply, SD_BUS_TYPE_ARRAY, "s") < 0 ||
        sd_bus_message_read(reply, "s", &text) <= 0) {
        text = "";
    }
    snprintf(service, UNIT_NAME_SIZE, "%s", text);
}

/* Whether the .socket unit at PATH listens at the address; a FIFO there does not count. */
static bool listens(struct search *search, const char *path)
{
    CLEANUP(unref_message) sd_bus_message *reply = NULL;
    const char *type;
    const char *address;

    if (get(search, path, SYSTEMD ".Socket", "Listen", "a(ss)", &reply) < 0 ||
        sd_bus_message_enter_container(reply, SD_BUS_TYPE_ARRAY, "(ss)") < 0) {
        return false;
    }
    while (sd_bus_message_read(reply, "(ss)", &type, &address) > 0) {
        if (strcmp(address, search->address) == 0 &&
            (strcmp(type, "Stream") == 0 || strcmp(type, "Datagram") == 0 ||
             strcmp(type, "SequentialPacket") == 0)) {
            return true;
        }
    }
    return false;
}

/* Which of several units with one address is meant: that which has it, or was to have it. */
static int rank(const char *active)
{
    return strcmp(active, "active") == 0 ? 2 : strcmp(active, "inactive") == 0 ? 0 : 1;
}

/* Looks at the unit NAME and keeps it if it is what is looked for. */
static void consider(struct search *search, const char *name)
{
    struct unit *unit = search->unit;
    char active[UNIT_STATE_SIZE];
    CLEANUP(free_pointer) char *path = NULL;

    if (strlen(name) >= UNIT_NAME_SIZE || (unit->found == UNIT_FOUND && rank(unit->active) == 2) ||
        sd_bus_path_encode(SYSTEMD_PATH "/unit", name, &path) < 0 || !listens(search, path)) {
        return;
    }
    get_state(search, path, "ActiveState", active);
    if (unit->found == UNIT_FOUND && rank(active) <= rank(unit->active)) {
        return;
    }
    unit->found = UNIT_FOUND;
    memcpy(unit->active, active, sizeof(active));
    snprintf(unit->name, sizeof(unit->name), "%s", name);
    get_state(search, path, "SubState", unit->sub);
    get_service(search, path, unit->service);
}

/* Calls METHOD for a list of .socket units, and enters the array of TYPE that comes back. */
static int list(struct search *search, const char *method, const char *type, sd_bus_message **reply)
{
    CLEANUP(unref_message) sd_bus_message *request = NULL;
    int r = sd_bus_message_new_method_call(search->bus, &request, SYSTEMD, SYSTEMD_PATH,
                                           SYSTEMD ".Manager", method);

    if (r >= 0) {
        r = sd_bus_message_append(request, "asas", 0, 1, "*.socket");
    }
    if (r >= 0) {
        r = ask(search, request, reply);
    }
    return r < 0 ? r : sd_bus_message_enter_container(*reply, SD_BUS_TYPE_ARRAY, type);
}

/* Among the units that are loaded. Returns a negative errno if systemd does not answer. */
static int search_loaded(struct search *search)
{
    CLEANUP(unref_message) sd_bus_message *reply = NULL;
    const char *name;
    int r = list(search, "ListUnitsByPatterns", "(ssssssouso)", &reply);

    while (r >= 0 && sd_bus_message_enter_container(reply, SD_BUS_TYPE_STRUCT, "ssssssouso") > 0) {
        r = sd_bus_message_read(reply, "s", &name);
        if (r >= 0) {
            consider(search, name);
            r = sd_bus_message_skip(reply, "sssssouso");
        }
        if (r >= 0) {
            r = sd_bus_message_exit_container(reply);
        }
    }
    return r;
}

/* Among those that there are files of, but not templates, which are no units. */
static int search_files(struct search *search)
{
    CLEANUP(unref_message) sd_bus_message *reply = NULL;
    const char *path;
    const char *state;
    int r = list(search, "ListUnitFilesByPatterns", "(ss)", &reply);

    while (r >= 0 && search->unit->found != UNIT_FOUND &&
           (r = sd_bus_message_read(reply, "(ss)", &path, &state)) > 0) {
        const char *slash = strrchr(path, '/');
        if (slash && !strstr(slash, "@.") && strcmp(state, "alias") != 0) {
            consider(search, slash + 1);
        }
    }
    return r;
}

/* Has *RET speak over the socket FD, which this takes whatever comes of it. */
static int open_over(int fd, sd_bus **ret)
{
    CLEANUP(close_bus) sd_bus *bus = NULL;
    int r = sd_bus_new(&bus);

    if (r >= 0) {
        r = sd_bus_set_fd(bus, fd, fd);
    }
    if (r < 0) {
        close(fd);
        return r;
    }
    r = sd_bus_start(bus);
    if (r >= 0) {
        *ret = bus;
        bus = NULL;
    }
    return r;
}

/*
 * Connects to the manager's own socket at PATH, as systemctl(1) does. It is there without a message
 * bus, and does not start one, as the user's bus is by its first client.
 */
static int open_private(const char *path, sd_bus **ret)
{
    struct target target;
    char reason[TARGET_REASON_MAX];
    int r = target_parse(path, &target, reason);

    if (r == 0) {
        target.type = SOCK_STREAM;
        r = target_connect(&target, PATIENCE_USEC);
    }
    return r < 0 ? r : open_over(r, ret);
}

/* Asks the manager with a socket of its own at PRIVATE, the system's over the bus if need be. */
static void search_manager(struct unit *unit, const char *address, const char *private, bool user)
{
    CLEANUP(close_bus) sd_bus *bus = NULL;
    struct search search = {.address = address, .unit = unit, .end = wait_now() + PATIENCE_USEC};

    if (open_private(private, &bus) < 0 && (user || sd_bus_open_system(&bus) < 0)) {
        return;
    }
    search.bus = bus;
    if (await_ready(bus, search.end) < 0 || search_loaded(&search) < 0) {
        return;
    }
    if (unit->found != UNIT_FOUND) {
        (void)search_files(&search);
    }
    if (unit->found == UNIT_UNASKED) {
        unit->found = UNIT_NONE;
    }
    unit->user = user && unit->found == UNIT_FOUND;
}

static bool is_below(const char *path, const char *directory)
{
    size_t length = strlen(directory);

    return length > 0 && strncmp(path, directory, length) == 0 && path[length] == '/';
}

void unit_find(struct unit *unit, const char *address)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR"); // NOLINT(concurrency-mt-unsafe): no threads
    char private[PATH_MAX];

    *unit = (struct unit){0};
    if (runtime && is_below(address, runtime)) {
        snprintf(private, sizeof(private), "%s/systemd/private", runtime);
        search_manager(unit, address, private, true);
    }
    if (unit->found != UNIT_FOUND) {
        search_manager(unit, address, "/run/systemd/private", false);
    }
}

bool unit_waits_for_client(const struct target *target)
{
    struct unit unit = {.found = UNIT_UNASKED};
    char path[PATH_MAX];

    if (target->family != AF_UNIX) {
        return false;
    }
    if (target->text[0] == '@') {
        unit_find(&unit, target->text);
    } else if (realpath(target->text, path)) {
        unit_find(&unit, path);
    }
    return unit.found == UNIT_FOUND && strcmp(unit.active, "active") == 0 &&
           strcmp(unit.sub, "listening") == 0;
}
