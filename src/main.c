// SPDX-License-Identifier: MIT

/*
 * uds-echod: serves the sockets that systemd declared, created and handed over. Exit statuses are
 * those of sysexits.h, as systemd.exec(5) lists them.
 */

#include <errno.h>
#include <sysexits.h>
#include <time.h>

#include "activation.h"
#include "log.h"
#include "options.h"
#include "policy.h"
#include "service.h"
#include "util.h"

static int check_policy(const char *file)
{
    struct policy *policy = NULL;

    if (policy_load_or_log(file, &policy) < 0) {
        return EX_CONFIG;
    }
    policy_print(policy, stdout);
    policy_unref(policy);
    return EX_OK;
}

/*
 * The exit status where ERROR was in the way, but under a service manager only after a moment: a
 * client that waits at the socket has the service started again at once, over and over, until what
 * is wrong is mended.
 */
static int fail(int error)
{
    const struct timespec pause = {.tv_sec = 1};

    if (getenv("NOTIFY_SOCKET")) { // NOLINT(concurrency-mt-unsafe): there is one thread
        (void)nanosleep(&pause, NULL);
    }
    return is_shortage(error) || error == EINTR ? EX_OSERR : EX_CONFIG;
}

int main(int argc, char **argv)
{
    struct options options;
    CLEANUP(free_pointer) struct activated *sockets = NULL;
    struct policy *policy = NULL;
    int n;
    int r;

    log_open();
    switch (options_parse(argc, argv, &options)) {
    case OPTIONS_DONE:
        return EX_OK;
    case OPTIONS_INVALID:
        return EX_USAGE;
    case OPTIONS_RUN:
        break;
    }
    log_set_level(options.log_level);
    if (options.check_policy) {
        return check_policy(options.check_policy);
    }

    n = activation_collect(options.policy != NULL, &sockets);
    if (n < 0) {
        return fail(-n);
    }
    if (n == 0) {
        log_line(LOG_ERR, "No sockets were passed: this program is started by systemd "
                          "(systemctl start uds-echo.socket), or to try it by "
                          "systemd-socket-activate --listen=PATH uds-echod.");
        return EX_USAGE;
    }
    r = options.policy ? policy_load_or_log(options.policy, &policy) : 0;
    if (r < 0) {
        return fail(-r);
    }
    return service_run(&options, sockets, (size_t)n, policy) < 0 ? EX_OSERR : EX_OK;
}
