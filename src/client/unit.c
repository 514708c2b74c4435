// SPDX-License-Identifier: MIT

/* Which .socket unit listens at an address: of all that systemd has loaded or has files of. */

#include "unit.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "manager.h"
#include "util.h"
#include "wait.h"

enum {
    PATIENCE_USEC = 2 * 1000 * 1000, /* for all questions together */
    LAST_USEC = 500 * 1000,          /* of it, for those after having watched */
};

struct search {
    struct manager manager;
    const char *address;
    struct unit *unit; /* the best so far */
};

/* The states of the unit at PATH, but not of its service. */
static void look_at_socket(const struct manager *manager, const char *path, struct unit *unit)
{
    manager_get_string(manager, path, "Unit", "ActiveState", sizeof(unit->active), unit->active);
    manager_get_string(manager, path, "Unit", "SubState", sizeof(unit->sub), unit->sub);
    manager_get_string(manager, path, "Socket", "Result", sizeof(unit->result), unit->result);
}

static void look_at_service(const struct manager *manager, const char *path, struct unit *unit)
{
    /* In this order: the next start forgets the result first, so what was asked before belongs to
     * it. */
    unit->service_status = manager_get_int(manager, path, "Service", "ExecMainStatus");
    unit->service_code = manager_get_int(manager, path, "Service", "ExecMainCode");
    manager_get_string(manager, path, "Service", "Result", sizeof(unit->service_result),
                       unit->service_result);
    manager_get_string(manager, path, "Unit", "ActiveState", sizeof(unit->service_active),
                       unit->service_active);
}

/* The first unit that the one at PATH triggers. */
static void find_service(const struct manager *manager, const char *path, struct unit *unit)
{
    CLEANUP(manager_unref_message) sd_bus_message *reply = NULL;
    const char *text = "";

    if (manager_get(manager, path, "Unit", "Triggers", "as", &reply) < 0 ||
        sd_bus_message_enter_container(reply, SD_BUS_TYPE_ARRAY, "s") < 0 ||
        sd_bus_message_read(reply, "s", &text) <= 0) {
        text = "";
    }
    snprintf(unit->service, sizeof(unit->service), "%s", text);
}

static void close_manager(struct search *search)
{
    manager_close(&search->manager);
}

/* Whether the .socket unit at PATH listens at the address; a FIFO there does not count. */
static bool listens(struct search *search, const char *path)
{
    CLEANUP(manager_unref_message) sd_bus_message *reply = NULL;
    const char *type;
    const char *address;

    if (manager_get(&search->manager, path, "Socket", "Listen", "a(ss)", &reply) < 0 ||
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
    const struct manager *manager = &search->manager;
    CLEANUP(free_pointer) char *path = manager_unit_path(name);
    struct unit unit = {.found = UNIT_FOUND};

    if (strlen(name) >= UNIT_NAME_SIZE || !path ||
        (search->unit->found == UNIT_FOUND && rank(search->unit->active) == 2) ||
        !listens(search, path)) {
        return;
    }
    look_at_socket(manager, path, &unit);
    if (search->unit->found == UNIT_FOUND && rank(unit.active) <= rank(search->unit->active)) {
        return;
    }
    snprintf(unit.name, sizeof(unit.name), "%s", name);
    find_service(manager, path, &unit);
    *search->unit = unit;
}

/* Among the units that are loaded. Returns a negative errno if systemd does not answer. */
static int search_loaded(struct search *search)
{
    CLEANUP(manager_unref_message) sd_bus_message *reply = NULL;
    const char *name;
    int r = manager_list(&search->manager, "ListUnitsByPatterns", "(ssssssouso)", &reply);

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
    CLEANUP(manager_unref_message) sd_bus_message *reply = NULL;
    const char *path;
    const char *state;
    int r = manager_list(&search->manager, "ListUnitFilesByPatterns", "(ss)", &reply);

    while (r >= 0 && search->unit->found != UNIT_FOUND &&
           (r = sd_bus_message_read(reply, "(ss)", &path, &state)) > 0) {
        const char *slash = strrchr(path, '/');
        if (slash && !strstr(slash, "@.") && strcmp(state, "alias") != 0) {
            consider(search, slash + 1);
        }
    }
    return r;
}

/* Asks the system's or the user's manager. */
static void search_manager(struct unit *unit, const char *address, bool user)
{
    CLEANUP(close_manager) struct search search = {.address = address, .unit = unit};

    if (manager_open(&search.manager, user, PATIENCE_USEC) < 0 || search_loaded(&search) < 0) {
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

    *unit = (struct unit){0};
    if (runtime && is_below(address, runtime)) {
        search_manager(unit, address, true);
    }
    if (unit->found != UNIT_FOUND) {
        search_manager(unit, address, false);
    }
}

/* Takes over what has changed of the service. Returns whether it has failed. */
static int take_change(sd_bus_message *message, const char *interface, void *context)
{
    struct unit *unit = context;
    const char *result = "success";
    const char *name;
    int code = 0;
    int status = 0;

    if (strcmp(interface, "Service") != 0 ||
        sd_bus_message_enter_container(message, SD_BUS_TYPE_ARRAY, "{sv}") < 0) {
        return 0;
    }
    while (sd_bus_message_enter_container(message, SD_BUS_TYPE_DICT_ENTRY, "sv") > 0) {
        int r = sd_bus_message_read(message, "s", &name);
        if (r >= 0) {
            r = strcmp(name, "Result") == 0 ? sd_bus_message_read(message, "v", "s", &result)
                : strcmp(name, "ExecMainCode") == 0 ? sd_bus_message_read(message, "v", "i", &code)
                : strcmp(name, "ExecMainStatus") == 0
                    ? sd_bus_message_read(message, "v", "i", &status)
                    : sd_bus_message_skip(message, "v");
        }
        if (r < 0 || sd_bus_message_exit_container(message) < 0) {
            return 0;
        }
    }
    if (strcmp(result, "success") == 0) {
        return 0;
    }
    snprintf(unit->service_result, sizeof(unit->service_result), "%s", result);
    unit->service_code = code;
    unit->service_status = status;
    return 1;
}

/*
 * Looks at the service, and if it is just starting, until it has failed. One that fails at each
 * start has failed for less than a millisecond if a client waits, so only what systemd tells by
 * itself can be relied on.
 */
static void watch_service(const struct manager *manager, struct unit *unit)
{
    CLEANUP(free_pointer) char *path = manager_unit_path(unit->service);

    if (!path) {
        return;
    }
    look_at_service(manager, path, unit);
    if (strcmp(unit->service_active, "activating") == 0 ||
        (unit_service_has_failed(unit) && unit->service_code == 0)) {
        manager_watch(manager, path, manager->end - LAST_USEC, take_change, unit);
    }
}

void unit_look(struct unit *unit)
{
    CLEANUP(manager_close) struct manager manager = {0};
    CLEANUP(free_pointer) char *path = manager_unit_path(unit->name);

    if (unit->found != UNIT_FOUND || !path ||
        manager_open(&manager, unit->user, PATIENCE_USEC) < 0) {
        return;
    }
    if (unit->service[0] != '\0') {
        watch_service(&manager, unit);
    }
    look_at_socket(&manager, path, unit);
}

bool unit_service_has_failed(const struct unit *unit)
{
    return unit->service_result[0] != '\0' && strcmp(unit->service_result, "success") != 0 &&
           strcmp(unit->service_active, "active") != 0;
}

bool unit_service_is_up(const struct unit *unit)
{
    return strcmp(unit->service_active, "active") == 0 ||
           strcmp(unit->service_active, "activating") == 0 ||
           strcmp(unit->service_active, "reloading") == 0;
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
