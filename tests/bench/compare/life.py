# SPDX-License-Identifier: MIT
"""What is not a matter of load: how often an idle server wakes up, and how long the first client of a
stopped service waits."""

import contextlib
import pathlib
import socket
import time

from . import servers, units
from .client import spread
from .servers import await_echo

IDLE_CONNECTIONS = 1000
SETTLE = 3  # seconds; STATUS= is brought up to date once a second, for a while
UNITS = pathlib.Path("/usr/lib/systemd/system")


def hold(server, kind, connections):
    """Opens as many connections to SERVER as IDLE_CONNECTIONS says, each with an echo."""
    for _ in range(IDLE_CONNECTIONS):
        client = connections.enter_context(socket.socket(socket.AF_UNIX, servers.TYPES[kind]))
        client.settimeout(servers.PATIENCE)
        client.connect(server.path(kind))
        client.send(b"hello")
        if client.recv(16) != b"hello":
            raise units.Failure(f"{server.title} ({kind}) answers wrongly")


def measure_idle(chosen, kind, seconds):
    """Wake-ups of each of the servers CHOSEN in SECONDS, all at the same time."""
    with contextlib.ExitStack() as stack:
        for server in chosen:
            stack.callback(server.stop, kind)
            server.start(kind)
        for server in chosen:
            hold(server, kind, stack)
        time.sleep(SETTLE)
        before = [units.context_switches(server.unit(kind)) for server in chosen]
        time.sleep(seconds)
        after = [units.context_switches(server.unit(kind)) for server in chosen]
    return [{"server": server.name, "title": server.title, "wake_ups": end - start, "seconds": seconds}
            for server, start, end in zip(chosen, before, after)]


class Sandboxed(servers.UdsEchod):
    """The bare loop in the place of uds-echod: the same two units with other names and another program."""

    def __init__(self):
        super().__init__()
        self.name, self.title = "bare", "bare loop, same unit"

    def path(self, kind):
        return f"/run/bench-bare/{self.FILES[kind]}"

    def unit(self, kind):
        return "bench-bare.service"

    def write_units(self):
        for kind in ("socket", "service"):
            lines = (UNITS / f"uds-echo.{kind}").read_text(encoding="utf-8").splitlines()
            lines = [f"ExecStart={servers.program('floor')}" if line.startswith("ExecStart=") else line
                     for line in lines]
            text = "\n".join(lines).replace("/run/uds-echo/", "/run/bench-bare/")
            text = text.replace("uds-echo.socket", "bench-bare.socket").replace("User=uds-echod", "User=bench-bared")
            units.write_unit(f"bench-bare.{kind}", text + "\n")
        units.systemctl("daemon-reload")

    def start(self, kind):
        self.write_units()
        units.systemctl("start", "bench-bare.socket")
        await_echo(self, kind)

    def stop(self, kind):
        units.stop("bench-bare.socket", "bench-bare.service")


def first_reply(server, kind):
    """Seconds from connecting to the echo, with the service not running."""
    units.systemctl("stop", server.unit(kind))
    with socket.socket(socket.AF_UNIX, servers.TYPES[kind]) as client:
        client.settimeout(servers.PATIENCE)
        start = time.perf_counter()
        client.connect(server.path(kind))
        client.send(b"hello")
        if client.recv(16) != b"hello":
            raise units.Failure(f"{server.title} ({kind}) answers wrongly when it is started by a client")
        return time.perf_counter() - start


def start_up(unit):
    """Seconds from when systemd has started the unit's process, before its sandbox is made and the program
    executed, until it has taken note of READY=1."""
    started, active = (int(units.show(unit, name)) for name in
                       ("ExecMainStartTimestampMonotonic", "ActiveEnterTimestampMonotonic"))
    return (active - started) / 1e6


def measure_activation(kind, rounds):
    """The time to the first reply of uds-echod, and of the bare loop in the same unit, in turns."""
    both = [servers.ALL[0], Sandboxed()]
    replies, starts = {server.name: [] for server in both}, {server.name: [] for server in both}
    with contextlib.ExitStack() as stack:
        for server in both:
            stack.callback(server.stop, kind)
            server.start(kind)
        for _ in range(rounds):
            for server in both:
                replies[server.name].append(first_reply(server, kind) * 1e6)
                starts[server.name].append(start_up(server.unit(kind)) * 1e6)
    return [{"server": server.name, "title": server.title, "first_reply": spread(replies[server.name]),
             "start_up": spread(starts[server.name])} for server in both]
