// SPDX-License-Identifier: MIT
#include "manager.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "target.h"
#include "timespan.h"
#include "util.h"
#include "wait.h"

#define SYSTEMD "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"

void manager_unref_message(sd_bus_message **message)
{
    sd_bus_message_unref(*message);
}

static void close_bus(sd_bus **bus)
{
    sd_bus_close_unref(*bus);
    *bus = NULL;
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
static int open_private(const char *path, uint64_t patience_usec, sd_bus **ret)
{
    struct target target;
    char reason[TARGET_REASON_MAX];
    int r = target_parse(path, &target, reason);

    if (r == 0) {
        target.type = SOCK_STREAM;
        r = target_connect(&target, patience_usec);
    }
    return r < 0 ? r : open_over(r, ret);
}

int manager_open(struct manager *manager, bool user, uint64_t patience_usec)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR"); // NOLINT(concurrency-mt-unsafe): no threads
    char path[PATH_MAX] = "/run/systemd/private";
    int r;

    *manager = (struct manager){.end = wait_deadline(patience_usec)};
    if (user) {
        snprintf(path, sizeof(path), "%s/systemd/private", runtime ? runtime : "");
    }
    r = open_private(path, patience_usec, &manager->bus);
    if (r < 0 && !user) {
        r = sd_bus_open_system(&manager->bus);
    }
    if (r >= 0) {
        r = await_ready(manager->bus, manager->end);
    }
    if (r < 0) {
        manager_close(manager);
    }
    return r < 0 ? r : 0;
}

void manager_close(struct manager *manager)
{
    close_bus(&manager->bus);
}

char *manager_unit_path(const char *name)
{
    char *path = NULL;

    return sd_bus_path_encode(SYSTEMD_PATH "/unit", name, &path) < 0 ? NULL : path;
}

/* Has REQUEST answered. Where there is no systemd, a bus is not to look for one to start. */
static int ask(const struct manager *manager, sd_bus_message *request, sd_bus_message **reply)
{
    uint64_t now = wait_now();
    int r = now < manager->end ? sd_bus_message_set_auto_start(request, 0) : -ETIMEDOUT;

    return r < 0 ? r : sd_bus_call(manager->bus, request, manager->end - now, NULL, reply);
}

int manager_get(const struct manager *manager, const char *path, const char *interface,
                const char *name, const char *type, sd_bus_message **reply)
{
    CLEANUP(manager_unref_message) sd_bus_message *request = NULL;
    char whole[64];
    int r;

    snprintf(whole, sizeof(whole), SYSTEMD ".%s", interface);
    r = sd_bus_message_new_method_call(manager->bus, &request, SYSTEMD, path,
                                       "org.freedesktop.DBus.Properties", "Get");

    if (r >= 0) {
        r = sd_bus_message_append(request, "ss", whole, name);
    }
    if (r >= 0) {
        r = ask(manager, request, reply);
    }
    return r < 0 ? r : sd_bus_message_enter_container(*reply, SD_BUS_TYPE_VARIANT, type);
}

void manager_get_string(const struct manager *manager, const char *path, const char *interface,
                        const char *name, size_t size, char *text)
{
    CLEANUP(manager_unref_message) sd_bus_message *reply = NULL;
    const char *value = "";

    if (manager_get(manager, path, interface, name, "s", &reply) < 0 ||
        sd_bus_message_read(reply, "s", &value) < 0) {
        value = "";
    }
    snprintf(text, size, "%s", value);
}

int manager_get_int(const struct manager *manager, const char *path, const char *interface,
                    const char *name)
{
    CLEANUP(manager_unref_message) sd_bus_message *reply = NULL;
    int value = 0;

    if (manager_get(manager, path, interface, name, "i", &reply) < 0 ||
        sd_bus_message_read(reply, "i", &value) < 0) {
        return 0;
    }
    return value;
}

int manager_list(const struct manager *manager, const char *method, const char *type,
                 sd_bus_message **reply)
{
    CLEANUP(manager_unref_message) sd_bus_message *request = NULL;
    int r = sd_bus_message_new_method_call(manager->bus, &request, SYSTEMD, SYSTEMD_PATH,
                                           SYSTEMD ".Manager", method);

    if (r >= 0) {
        r = sd_bus_message_append(request, "asas", 0, 1, "*.socket");
    }
    if (r >= 0) {
        r = ask(manager, request, reply);
    }
    return r < 0 ? r : sd_bus_message_enter_container(*reply, SD_BUS_TYPE_ARRAY, type);
}

struct watch {
    int (*changed)(sd_bus_message *message, const char *interface, void *context);
    void *context;
    bool done;
};

static int on_change(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
    struct watch *watch = userdata;
    const char *interface;

    (void)error;
    if (sd_bus_message_read(message, "s", &interface) >= 0 &&
        strncmp(interface, SYSTEMD ".", sizeof(SYSTEMD)) == 0 &&
        watch->changed(message, interface + sizeof(SYSTEMD), watch->context) != 0) {
        watch->done = true;
    }
    return 0;
}

void manager_watch(const struct manager *manager, const char *path, uint64_t deadline,
                   int (*changed)(sd_bus_message *message, const char *interface, void *context),
                   void *context)
{
    bool has_names = sd_bus_is_bus_client(manager->bus) > 0;
    struct watch watch = {.changed = changed, .context = context};
    sd_bus_slot *slot = NULL;
    int r = sd_bus_match_signal(manager->bus, &slot, has_names ? SYSTEMD : NULL, path,
                                "org.freedesktop.DBus.Properties", "PropertiesChanged", on_change,
                                &watch);

    /* Over a bus it tells nobody who has not asked for it; that ends with the connection. */
    if (r >= 0 && has_names) {
        CLEANUP(manager_unref_message) sd_bus_message *request = NULL;
        CLEANUP(manager_unref_message) sd_bus_message *reply = NULL;
        r = sd_bus_message_new_method_call(manager->bus, &request, SYSTEMD, SYSTEMD_PATH,
                                           SYSTEMD ".Manager", "Subscribe");
        r = r < 0 ? r : ask(manager, request, &reply);
    }
    while (r >= 0 && !watch.done) {
        uint64_t now = wait_now();
        r = now < deadline ? sd_bus_process(manager->bus, NULL) : -ETIMEDOUT;
        if (r == 0) {
            r = sd_bus_wait(manager->bus, deadline - now);
        }
    }
    sd_bus_slot_unref(slot);
}
