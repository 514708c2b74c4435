// SPDX-License-Identifier: MIT

/* What to do about each cause. What has to do with systemd is in check_units. */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

static void advise_missing(struct check *check)
{
    if (check->path.link[0] != '\0') {
        report_advise(&check->report, "The symbolic link %s leads there; does it point right?",
                      check->path.link);
    }
    advise_absent(check);
}

static void advise_not_a_socket(struct check *check)
{
    if (S_ISDIR(check->path.status.st_mode)) {
        report_advise(&check->report, "Say the name of a socket in it.");
        return;
    }
    report_advise(&check->report,
                  "Is this the name that you meant? If it is, nobody can listen there while it is "
                  "taken: find out whose it is and what it is for before anything else.");
    if (check->unit.found == UNIT_FOUND) {
        advise_found(check);
    }
}

static void advise_name(struct check *check)
{
    report_advise(&check->report,
                  "An abstract name belongs to a network namespace: one in a container, or of a "
                  "service with PrivateNetwork=, is not seen from here. Those that are:");
    report_command(&check->report, "ss --unix --all 'src @*'");
    advise_absent(check);
}

static void advise_listening(struct check *check)
{
    if (check->target.family == AF_UNIX) {
        advise_absent(check);
        return;
    }
    report_advise(&check->report,
                  "Start the service there, or look for the right port. Who listens on a machine:");
    report_command(&check->report, "ss --listening --numeric --%s",
                   check->target.family == AF_VSOCK    ? "vsock"
                   : check->target.type == SOCK_STREAM ? "tcp"
                                                       : "udp");
}

static void advise_forbidden(struct check *check)
{
    if (check->target.family != AF_UNIX) {
        report_advise(&check->report,
                      "A firewall on this machine forbids it, or it is no address of one machine.");
    } else if (check->error == EPERM) {
        report_advise(&check->report, "The socket is itself connected to another one, and takes "
                                      "datagrams from that alone.");
    } else if (check->path.link[0] != '\0') {
        report_advise(&check->report,
                      "The link %s is perhaps one that you may not follow: the kernel does not let "
                      "links of others lead out of directories such as /tmp "
                      "(fs.protected_symlinks, proc(5)). Say where it leads to instead.",
                      check->path.link);
    } else {
        report_advise(&check->report,
                      "Permissions are not what stands in the way: it is a security "
                      "module such as SELinux or AppArmor.");
    }
}

static void advise_unreachable(struct check *check)
{
    if (check->target.family == AF_VSOCK) {
        report_advise(&check->report,
                      "Is the CID right (2 is the host, 1 this machine itself), and "
                      "is there a way to it?");
        return;
    }
    report_advise(&check->report, "There is no way to that network or machine from here:");
    report_command(&check->report, "ip route");
}

static void advise_host(struct check *check)
{
    const char *host = strchr(check->target.text, ':') + 1;
    int length = (int)(strrchr(host, ':') - host);

    report_advise(&check->report,
                  "Is the name right, and does this machine know whom to ask for names?");
    if (strcspn(host, "' \\\"$`") >= (size_t)length) {
        report_command(&check->report, "getent ahosts '%.*s'", length, host);
    }
}

static void advise_policy(struct check *check)
{
    struct report *report = &check->report;

    report_advise(report, "You may connect; it is what the service knows of you that does not "
                          "satisfy its policy. What it sees of you (uds-whoami.socket):");
    report_command(report, "uds-echo whoami /run/uds-whoami/stream.sock");
    report_advise(report, "To see the refusals, and the line of the policy that decided%s:",
                  as_root(&check->unit));
    report_command(report, "journalctl UDS_VERDICT=deny UDS_PEER_UID=%u", geteuid());
}

/* A sentence that needs no more than the cause, or NULL. */
static const char *sentence(enum cause cause)
{
    switch ((int)cause) {
    case CAUSE_NOT_A_DIRECTORY:
        return "The path is wrong, or what stands in the way is to be moved.";
    case CAUSE_LINK_LOOP:
        return "Make the links lead somewhere.";
    case CAUSE_WRONG_TYPE:
        return "Leave --type= away: the type is found out without it.";
    case CAUSE_BACKLOG_FULL:
        return "Whoever listens does not take up its connections: it hangs, has too much to do, or "
               "is not started.";
    case CAUSE_CONNECT_TIMEOUT:
        return "The machine is not there, a firewall drops what you send, or the service does not "
               "take up its connections. If it is only far away, --timeout= waits longer.";
    case CAUSE_NOT_SUPPORTED:
        return "A module of the kernel is missing, or a sandbox forbids this kind of socket "
               "(RestrictAddressFamilies=).";
    case CAUSE_NO_ANSWER:
        return "The service hangs, is no echo service, or takes long to start: --timeout= waits "
               "longer.";
    case CAUSE_WRONG_ANSWER:
        return "It is no echo service, or it is broken. A mirror (uds-whoami) is asked with "
               "uds-echo whoami.";
    case CAUSE_CLOSED:
        return "It is no echo service, or it has ended, or it takes no more connections.";
    case CAUSE_SYSTEM_ERROR:
        return "This is all that the kernel says.";
    default:
        return NULL;
    }
}

void advise(struct check *check)
{
    struct report *report = &check->report;
    enum cause cause = report->cause;

    if (sentence(cause)) {
        report_advise(report, "%s", sentence(cause));
    }
    switch ((int)cause) {
    case CAUSE_NO_DIRECTORY:
    case CAUSE_NO_FILE:
        advise_missing(check);
        break;
    case CAUSE_DIRECTORY_FORBIDDEN:
        access_advise(report, &check->path.status, ACCESS_ENTER, &check->unit);
        break;
    case CAUSE_FILE_FORBIDDEN:
        access_advise(report, &check->path.status, ACCESS_CONNECT, &check->unit);
        break;
    case CAUSE_NOT_A_SOCKET:
        advise_not_a_socket(check);
        break;
    case CAUSE_NO_NAME:
        advise_name(check);
        break;
    case CAUSE_NOBODY_LISTENING:
        advise_listening(check);
        break;
    case CAUSE_CONNECT_FORBIDDEN:
        advise_forbidden(check);
        break;
    case CAUSE_UNREACHABLE:
        advise_unreachable(check);
        break;
    case CAUSE_NAME_NOT_FOUND:
        advise_host(check);
        break;
    case CAUSE_SERVICE_FAILED:
        advise_failed(check);
        break;
    case CAUSE_REFUSED_BY_POLICY:
        advise_policy(check);
        break;
    case CAUSE_BACKLOG_FULL:
    case CAUSE_NO_ANSWER:
    case CAUSE_WRONG_ANSWER:
    case CAUSE_CLOSED:
        advise_service(check);
        break;
    default:
        break;
    }
}
