# SPDX-License-Identifier: MIT
"""uds-auth and its policy, users and units to come as, and what visitors hear."""

import ctypes
import os
import pwd
import signal
import socket
from pathlib import Path

import pytest
from uds import ALL, DGRAM, PATIENCE, STREAM, Units, open_socket, receive_exactly, run

CLIENTS = Path(__file__).parent / "clients"
POLICY = Path("/etc/uds-echo/policy")
VISITOR = ["/usr/bin/python3", str(CLIENTS / "visitor.py"), "/run/uds-auth"]
GATE_GROUP = "gate-keepers"


@pytest.fixture(scope="module")
def users():
    """alice and mallory; bob, whom the user database has in GATE_GROUP."""
    run("groupadd", "--system", GATE_GROUP)
    for name in ("alice", "bob", "mallory"):
        run("useradd", "--system", "--user-group", name)
    run("usermod", "--append", "--groups", GATE_GROUP, "bob")
    return {name: pwd.getpwnam(name).pw_uid for name in ("alice", "bob", "mallory")}


class Auth(Units):
    """uds-auth, and the policy that it and uds-whoami read."""

    def __init__(self):
        super().__init__("uds-auth")
        self.packaged = POLICY.read_text()

    def policy(self, *rules):
        POLICY.write_text("".join(f"{rule}\n" for rule in rules))

    def begin(self, *rules):
        self.policy(*rules)
        self.start()

    def reset(self):
        super().reset()
        run("systemctl", "stop", "uds-whoami.socket", "uds-whoami.service")
        run("systemctl", "reset-failed", "uds-whoami.socket", "uds-whoami.service")


@pytest.fixture
def auth(users):
    auth = Auth()
    auth.reset()
    yield auth
    POLICY.write_text(auth.packaged)
    auth.stop()


def visit(*prefix, kinds=()):
    """What a visitor hears that PREFIX starts: {"stream": "welcome", …}."""
    done = run(*prefix, *VISITOR, *kinds)
    assert done.returncode == 0, done.stderr
    return dict(line.split("=", 1) for line in done.stdout.splitlines())


EVERYWHERE_WELCOME = {kind: "welcome" for kind in ALL}
EVERYWHERE_DENIED = {kind: "denied" for kind in ALL}


def as_user(name, *groups, gid=None):
    """The prefix to be NAME with these groups and no others."""
    return ["setpriv", f"--reuid={name}", f"--regid={name if gid is None else gid}",
            f"--groups={','.join(groups)}" if groups else "--clear-groups"]


def in_unit(*properties, unit=None):
    """The prefix to be in a transient service."""
    return ["systemd-run", "--quiet", "--wait", "--pipe", "--collect", *([f"--unit={unit}"] if unit else []),
            *(f"--property={entry}" for entry in properties)]


def connect_and_die(kind, path):
    """A connection, or a datagram's socket, of a process that is gone, and its pid."""
    client, child = connect_in_child(kind, path)
    see_end(client, child)
    return client, child


def connect_and_die_all(kind, path, numbers):
    """Such sockets, of processes with these pids. All have begun before the end of any is awaited: on a busy machine each
    waits for its turn."""
    begun = [connect_in_child(kind, path, number) for number in numbers]
    for client, child in begun:
        see_end(client, child)
    return [client for client, _ in begun]


def connect_in_child(kind, path, number=None):
    client = open_socket(kind)
    client.settimeout(None)  # this is the socket's, not the process's
    child = fork(number)
    if child == 0:
        status = 1
        try:
            client.connect(path)
            if kind == DGRAM:
                client.send(b"of a process that is gone")
            status = 0
        finally:
            os._exit(status)
    return client, child


def see_end(client, child):
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    client.settimeout(PATIENCE)


class CloneArguments(ctypes.Structure):
    """struct clone_args of clone(2)."""

    _fields_ = [(name, ctypes.c_uint64) for name in (
        "flags", "pidfd", "child_tid", "parent_tid", "exit_signal", "stack", "stack_size", "tls", "set_tid",
        "set_tid_size")]


def fork(number=None):
    """fork(2), on request with that pid (set_tid of clone(2))."""
    if number is None:
        return os.fork()
    wanted = (ctypes.c_int * 1)(number)
    arguments = CloneArguments(exit_signal=signal.SIGCHLD, set_tid=ctypes.addressof(wanted), set_tid_size=1)
    libc = ctypes.CDLL(None, use_errno=True)
    pid = libc.syscall(435, ctypes.byref(arguments), ctypes.sizeof(arguments))
    assert pid >= 0, f"clone3: {os.strerror(ctypes.get_errno())}"
    return pid


class Sleepers:
    """Processes with chosen pids. One process that has gone elsewhere begets them there: to move each would take long."""

    def __init__(self, go):
        self.orders, orders = socket.socketpair()
        self.parent = os.fork()
        if self.parent == 0:
            try:
                self.orders.close()
                go()
                self.beget(orders)
            finally:
                os._exit(0)
        orders.close()

    @staticmethod
    def beget(orders):
        while order := orders.recv(99):
            sleepers = []
            for number in range(*map(int, order.split())):
                sleepers.append(fork(number))
                if sleepers[-1] == 0:
                    try:
                        signal.pause()
                    finally:
                        os._exit(0)
            orders.send(b"begun")
            orders.recv(1)
            for sleeper in sleepers:
                os.kill(sleeper, signal.SIGKILL)
            for sleeper in sleepers:
                os.waitpid(sleeper, 0)
            orders.send(b"ended")

    def begin(self, first, count):
        self.orders.send(b"%d %d" % (first, first + count))
        assert self.orders.recv(9) == b"begun"

    def end(self):
        self.orders.send(b"e")
        assert self.orders.recv(9) == b"ended"

    def close(self):
        self.orders.close()
        os.waitpid(self.parent, 0)


def answer_to(client, kind):
    return receive_exactly(client, 8) if kind == STREAM else client.recv(100)[:8]
