// SPDX-License-Identifier: MIT
#pragma once

/*
 * A service manager, the system's or the user's, that is asked over the bus
 * (org.freedesktop.systemd1(5)). Units are only looked at; one that is not loaded is read by that,
 * and forgotten again. All questions together may take as long as it is said when it is opened.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

struct manager {
    sd_bus *bus;
    uint64_t end; /* of patience, CLOCK_MONOTONIC */
};

/*
 * Connects to the user's manager if USER, or else to the system's. Returns 0 or a negative errno:
 * MANAGER is then closed.
 */
int manager_open(struct manager *manager, bool user, uint64_t patience_usec);
void manager_close(struct manager *manager);

/* The path of the unit NAME's object, for free(3), or NULL. */
char *manager_unit_path(const char *name);

/* The property NAME of INTERFACE ("Unit", "Socket", …) of the object at PATH, of the D-Bus TYPE,
 * entered in *REPLY. Returns a negative errno where there is none. */
int manager_get(const struct manager *manager, const char *path, const char *interface,
                const char *name, const char *type, sd_bus_message **reply);

/* One that is a string, "" if there is none. */
void manager_get_string(const struct manager *manager, const char *path, const char *interface,
                        const char *name, size_t size, char *text);

/* One that is a number, 0 if there is none. */
int manager_get_int(const struct manager *manager, const char *path, const char *interface,
                    const char *name);

/* Calls METHOD for a list of .socket units, and enters the array of TYPE that comes back. */
int manager_list(const struct manager *manager, const char *method, const char *type,
                 sd_bus_message **reply);

/*
 * Calls CHANGED with each PropertiesChanged of the object at PATH, until it returns other than 0 or
 * DEADLINE. The message is at the changed properties' dictionary.
 */
void manager_watch(const struct manager *manager, const char *path, uint64_t deadline,
                   int (*changed)(sd_bus_message *message, const char *interface, void *context),
                   void *context);

void manager_unref_message(sd_bus_message **message);
