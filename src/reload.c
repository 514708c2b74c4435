// SPDX-License-Identifier: MIT
#include "reload.h"

#include <inttypes.h>
#include <systemd/sd-daemon.h>

#include "log.h"
#include "loop.h"
#include "outlook.h"
#include "policy.h"

static void finish(void)
{
    (void)sd_notify(0, "READY=1");
}

/* Returns whether the workers have to take it first. */
static bool reload_policy(struct reload *reload)
{
    struct policy *policy = NULL;

    if (!reload->policy_file) {
        log_line(LOG_INFO, "Nothing to reload: the program has not changed.");
        return false;
    }
    if (policy_load_or_log(reload->policy_file, &policy) < 0) {
        log_line(LOG_ERR, "Reload failed: the policy that was in force stays in force.");
        return false;
    }
    log_line(LOG_INFO, "Reloading: %zu rule%s in %s.", policy_size(policy),
             policy_size(policy) == 1 ? "" : "s", reload->policy_file);
    outlook_tell(policy_needs(policy));
    reload->policies++;
    workers_set_policy(reload->workers, policy);
    return true;
}

static void begin(struct reload *reload)
{
    int r;

    (void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, loop_now());
    r = departure_reload(reload->departure);
    if (r > 0) {
        return; /* the program that comes is ready when it is */
    }
    reload->waits = r == 0 && reload_policy(reload);
    if (!reload->waits) {
        finish();
    }
}

void reload_begin(struct reload *reload)
{
    if (departure_is_final(reload->departure)) {
        return;
    }
    if (reload->waits || departure_rehearses(reload->departure)) {
        reload->again = true;
    } else {
        begin(reload);
    }
}

void reload_end(struct reload *reload)
{
    if (reload->again) {
        reload->again = false;
        begin(reload);
        return;
    }
    finish();
}

void reload_advance(struct reload *reload)
{
    if (reload->waits && workers_policies(reload->workers) == reload->policies) {
        reload->waits = false;
        reload_end(reload);
    }
}
