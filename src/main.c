// SPDX-License-Identifier: MIT

/*
 * uds-echod: serves the sockets that systemd declared, created and handed over. Exit statuses are
 * those of sysexits.h, as systemd.exec(5) lists them.
 */

#include <sysexits.h>

#include "activation.h"
#include "log.h"
#include "options.h"
#include "service.h"
#include "util.h"

int main(int argc, char **argv)
{
    struct options options;
    CLEANUP(free_pointer) struct activated *sockets = NULL;
    int n;

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

    n = activation_collect(&sockets);
    if (n < 0) {
        return EX_CONFIG;
    }
    if (n == 0) {
        log_line(LOG_ERR, "No sockets were passed: this program is started by systemd "
                          "(systemctl start uds-echo.socket), or to try it by "
                          "systemd-socket-activate --listen=PATH uds-echod.");
        return EX_USAGE;
    }
    return service_run(&options, sockets, (size_t)n) < 0 ? EX_OSERR : EX_OK;
}
