# SPDX-License-Identifier: MIT
"""A clean Debian that has booted, and what is asked of it as its administrator would."""

import contextlib
import os
import pathlib
import re
import selectors
import subprocess
import time

TOP = pathlib.Path(__file__).parents[2]
SOURCE = "/usr/src/uds-echo"  # the source tree, as it is seen there
PATIENCE = 120  # seconds; what takes longer hangs
END_OF_COMMAND = "end-of-command"


class Failed(AssertionError):
    """A command that did not go well."""


def wait_for(condition, seconds=30):
    """A command line that waits until this one succeeds."""
    return f"for _ in {{1..{10 * seconds}}}; do {condition} && break; sleep 0.1; done; {condition}"


class Host:
    """A booted system, whose changes to the root file system in DIRECTORY are gone with it. One shell runs in it."""

    def __init__(self, directory):
        self.shell = subprocess.Popen(
            [TOP / "tools/machine", "--root", directory, "/bin/bash", "--norc"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.said = b""
        try:
            self.run("true")
        except Failed:
            self.close()
            raise

    def close(self):
        with contextlib.suppress(BrokenPipeError):
            self.shell.stdin.close()
        try:
            self.shell.wait(PATIENCE)
        finally:
            self.shell.terminate()
            self.shell.wait()
            self.shell.stdout.close()

    def _read_until(self, pattern):
        deadline = time.monotonic() + PATIENCE
        with selectors.DefaultSelector() as selector:
            selector.register(self.shell.stdout, selectors.EVENT_READ)
            while not (found := re.search(pattern, self.said)):
                if not selector.select(deadline - time.monotonic()):
                    raise Failed(f"nothing for {PATIENCE} s after: {self.said.decode()}")
                piece = os.read(self.shell.stdout.fileno(), 1 << 16)
                if not piece:
                    raise Failed(f"the machine ended: {self.said.decode()}")
                self.said += piece
        before, self.said = self.said[:found.start()], self.said[found.end():]
        return before.decode(), found

    def status(self, command):
        """The exit status of a command line, and what it wrote."""
        # If it is gone, that shows when it is read from.
        with contextlib.suppress(BrokenPipeError):
            self.shell.stdin.write(f"( {command}\n) </dev/null 2>&1; echo {END_OF_COMMAND} $?\n".encode())
            self.shell.stdin.flush()
        output, found = self._read_until(rb"%s (\d+)\n" % END_OF_COMMAND.encode())
        return int(found[1]), output

    def run(self, command):
        """What a command line writes, which has to go well."""
        status, output = self.status(command)
        if status != 0:
            raise Failed(f"{command}: exit status {status}\n{output}")
        return output.rstrip("\n")

    # --- What goes on in the background. ----------------------------------------------------------------

    def start(self, name, command):
        """Runs a command under this name until its end()."""
        self.run(f"( sh -c 'echo $$ >/tmp/{name}.pid; exec {command}' >/tmp/{name}.out 2>&1; "
                 f"echo $? >/tmp/{name}.status ) >/dev/null 2>&1 &")
        self.run(f"{wait_for(f'[ -s /tmp/{name}.pid ]')}")

    def is_running(self, name):
        return self.status(f"kill -0 $(cat /tmp/{name}.pid)")[0] == 0

    def end(self, name):
        """Waits for it. Its exit status, and what it wrote."""
        self.run(wait_for(f"[ -s /tmp/{name}.status ]", seconds=PATIENCE - 10))
        return int(self.run(f"cat /tmp/{name}.status")), self.run(f"cat /tmp/{name}.out")

    def property(self, unit, name):
        return self.run(f"systemctl show --property={name} --value {unit}")

    # --- Packages. --------------------------------------------------------------------------------------

    def install(self, *packages, options=""):
        """As an administrator would, without somebody who answers questions."""
        names = " ".join(f"{SOURCE}/{package.relative_to(TOP)}" for package in packages)
        return self.run(f"DEBIAN_FRONTEND=noninteractive apt-get install --yes {options} {names}")

    def purge(self):
        return self.run("DEBIAN_FRONTEND=noninteractive apt-get purge --yes --auto-remove uds-echo uds-echo-services")

    def files(self):
        """What there is on the root file system: for each path its kind, mode, owner, and what is in it. Without logs,
        caches, and the copies that are kept of a file when it is changed."""
        passed_over = ("/usr/src", "/var/log", "/var/cache", "/var/tmp", "/var/lib/apt")
        pruned = " -o ".join(f"-path {path}" for path in passed_over)
        find = rf"find / -xdev \( {pruned} -o -name '*-old' -o -path '/etc/*-' \) -prune -o"
        listed = self.run(rf"{find} \( -type d -printf '%p %M %u %g\n' -o -printf '%p %M %u %g %s %l\n' \)")
        sums = self.run(rf"{find} -type f -exec sha256sum {{}} +")
        return set(listed.splitlines()) | set(sums.splitlines())

    # --- The services. ----------------------------------------------------------------------------------

    def main_process(self, service):
        return int(self.property(service, "MainPID"))

    def is_program_of_now(self, service):
        """Whether the service runs the program that is installed, and not one that was replaced."""
        pid = self.main_process(service)
        return self.status(f"[ /proc/{pid}/exe -ef /usr/libexec/uds-echod ]")[0] == 0
