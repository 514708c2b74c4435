// SPDX-License-Identifier: MIT
#pragma once

/*
 * SIGTERM says that a service has to end, and not whether another process is to follow. The service
 * manager knows: its job for the unit is a restart, or it is not (the properties Job of a unit and
 * JobType of a job, org.freedesktop.systemd1(5)). A service without privileges may be unable to
 * ask, where there is no message bus, or one that does not know its dynamic user. So it is asked by
 * a command of the unit that runs before the signal (ExecStop=), with the privileges that it takes,
 * and the service gets another signal first: SIGUSR1, hand over.
 */

/*
 * Sends the signal if it is a restart. To be called in a process that the unit has started, for its
 * main process ($MAINPID, systemd.exec(5)). Returns 1 if it was sent, 0 if it is no restart, or a
 * negative errno that the log has explained: -EINVAL if $MAINPID names no process.
 */
int restart_announce(void);
