// SPDX-License-Identifier: MIT

/* uds-echo: the client for people. See uds-echo(1). */

#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "config.h"
#include "output.h"
#include "util.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
} commands[] = {
    {"send", cmd_send, "send a text, or standard input, and print what comes back"},
    {"ping", cmd_ping, "send messages and tell how long each takes"},
    {"whoami", cmd_whoami, "tell who the service sees"},
    {"check", cmd_check, "find out what is wrong with a socket, and what to do about it"},
    {"bench", cmd_bench, "measure latency and throughput of sockets side by side"},
};

static void print_help(void)
{
    printf("uds-echo COMMAND [OPTIONS...] [SOCKET...]\n\n");
    for (size_t i = 0; i < ELEMENTS(commands); i++) {
        printf("  %-8s  %s\n", commands[i].name, commands[i].summary);
    }
    printf("  %-8s  %s\n\n", "help",
           "show this, or with a command what the manual page says of it");
    printf("SOCKET is a path, @NAME (abstract), tcp:HOST:PORT, udp:HOST:PORT or vsock:CID:PORT;\n"
           "%s if there is none.\n",
           DEFAULT_SOCKET);
}

static int show_help(const char *command)
{
    if (!command) {
        print_help();
        return STATUS_OK;
    }
    if (!manual_show(command)) {
        complain("%s is no command; see uds-echo --help.", command);
        return STATUS_USAGE;
    }
    return STATUS_OK;
}

static int run(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";

    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        return show_help(argc > 2 ? argv[2] : NULL);
    }
    if (strcmp(name, "--version") == 0) {
        printf("uds-echo " PROJECT_VERSION "\n");
        return STATUS_OK;
    }
    for (size_t i = 0; i < ELEMENTS(commands); i++) {
        if (strcmp(name, commands[i].name) == 0) {
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    if (name[0] == '\0') {
        complain("What is to be done? See uds-echo --help.");
    } else {
        complain("%s is no command; see uds-echo --help.", name);
    }
    return STATUS_USAGE;
}

/* What is opened later must not be taken for standard input, output or error. Writing to what was
 * closed stays an error. */
static void fill_standard(void)
{
    int fd;

    do {
        fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0) {
        close(fd);
    }
}

int main(int argc, char **argv)
{
    int status;

    fill_standard();

    (void)setlocale(LC_ALL, "");
    (void)setlocale(LC_NUMERIC, "C"); /* programs read the figures, too */
    /* A socket or pipe that is closed is an error where it is written to, not the end. */
    (void)signal(SIGPIPE, SIG_IGN);
    status = run(argc, argv);
    return output_finish() ? status : STATUS_WRONG;
}
