# SPDX-License-Identifier: MIT
"""The servers that are compared, each in a unit of its own, started anew for each measurement."""

import os
import pathlib
import re
import socket
import time

from . import units
from .units import Failure

PROGRAMS = pathlib.Path("/usr/libexec/uds-echo-bench")
SOCKETS = pathlib.Path("/run/uds-echo-bench")
FILES_MAX = 65536
BACKLOG = 4096
S6_LIMITS = ("-c", "10000", "-C", "10000")  # connections, of all and of each user; 40 otherwise
PATIENCE = 20
TYPES = {"stream": socket.SOCK_STREAM, "seqpacket": socket.SOCK_SEQPACKET, "dgram": socket.SOCK_DGRAM}


def affinity(processors):
    return f"CPUAffinity={' '.join(map(str, processors or []))}"


class Server:
    """NAME is for the command line and JSON, TITLE for people. COMMANDS: by type, what to run, PATH standing for
    the socket."""

    def __init__(self, name, title, commands):
        self.name = name
        self.title = title
        self.commands = commands

    def serves(self, kind):
        return kind in self.commands

    def path(self, kind):
        return str(SOCKETS / f"{self.name}-{kind}.sock")

    def unit(self, kind):
        """What CPU time and memory are read from."""
        return f"bench-{self.name}-{kind}.service"

    def start(self, kind, processors=None):
        """PROCESSORS: those that it may run on, None for all."""
        command = [self.path(kind) if word == "PATH" else word for word in self.commands[kind]]
        units.run("systemd-run", "--quiet", f"--unit={self.unit(kind)}", f"--property=LimitNOFILE={FILES_MAX}",
                  "--property=Type=exec", f"--property={affinity(processors)}", *command)
        await_echo(self, kind)

    def stop(self, kind):
        units.stop(self.unit(kind))
        pathlib.Path(self.path(kind)).unlink(missing_ok=True)


class UdsEchod(Server):
    """As it is installed: uds-echo.socket and uds-echo.service. But one user may have all connections: the one who
    measures stands for many."""

    FILES = {"stream": "stream.sock", "seqpacket": "seqpacket.sock", "dgram": "dgram.sock"}

    def __init__(self):
        super().__init__("uds-echo", "uds-echod", self.FILES)

    def path(self, kind):
        return f"/run/uds-echo/{self.FILES[kind]}"

    def unit(self, kind):
        return "uds-echo.service"

    def start(self, kind, processors=None):
        command = re.search(r"argv\[\]=(.*?) ;", units.show(self.unit(kind), "ExecStart"))[1]
        units.write_unit("uds-echo.service.d/bench.conf",
                         f"[Service]\n{affinity(processors)}\nExecStart=\n"
                         f"ExecStart={command} --connections-max-per-user={FILES_MAX}\n")
        units.systemctl("daemon-reload")
        units.systemctl("start", "uds-echo.socket")
        await_echo(self, kind)

    def stop(self, kind):
        units.stop("uds-echo.socket", "uds-echo.service")
        units.remove_unit("uds-echo.service.d/bench.conf")
        units.systemctl("daemon-reload")


class AcceptCat(Server):
    """systemd accepts, and starts a cat(1) for each connection; their slice is what is measured, and systemd's
    own work is not in it."""

    OPTIONS = {"stream": "ListenStream", "seqpacket": "ListenSequentialPacket"}

    def __init__(self):
        super().__init__("accept-cat", "systemd Accept=yes, cat", self.OPTIONS)

    def unit(self, kind):
        return f"benchcat-{kind}.slice"

    def start(self, kind, processors=None):
        name = f"bench-{self.name}-{kind}"
        units.write_unit(f"{name}.socket", f"""[Socket]
{self.OPTIONS[kind]}={self.path(kind)}
Accept=yes
Backlog={BACKLOG}
MaxConnections={FILES_MAX}
TriggerLimitIntervalSec=0
""")
        units.write_unit(f"{name}@.service", f"""[Unit]
CollectMode=inactive-or-failed
StartLimitIntervalSec=0

[Service]
ExecStart=/bin/cat
StandardInput=socket
{affinity(processors)}
Slice={self.unit(kind)}
""")
        units.systemctl("daemon-reload")
        units.systemctl("start", self.unit(kind), f"{name}.socket")
        await_echo(self, kind)

    def stop(self, kind):
        name = f"bench-{self.name}-{kind}"
        units.stop(f"{name}.socket", f"{name}@*.service", self.unit(kind))
        pathlib.Path(self.path(kind)).unlink(missing_ok=True)


def talk(server, kind, messages):
    """Sends MESSAGES, all at once, and returns what comes back, as many messages or bytes as were sent."""
    with socket.socket(socket.AF_UNIX, TYPES[kind]) as client:
        client.settimeout(PATIENCE)
        if kind == "dgram":
            client.bind("")
        client.connect(server.path(kind))
        for message in messages:
            client.send(message)
        if kind != "stream":
            return [client.recv(1 << 16) for _ in messages]
        wanted, reply = sum(map(len, messages)), b""
        while len(reply) < wanted:
            data = client.recv(1 << 16)
            if not data:
                break
            reply += data
        return [reply]


def await_echo(server, kind):
    """Waits until SERVER is there, and insists that it echoes, with the boundaries of messages."""
    sent = [b"Is it you? ", os.urandom(64)]
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            came = talk(server, kind, sent)
            break
        except (FileNotFoundError, ConnectionRefusedError) as error:
            if time.monotonic() > deadline or units.show(server.unit(kind), "ActiveState") == "failed":
                said = units.journal(server.unit(kind))
                raise Failure(f"{server.title} ({kind}) did not start: {error}; it said: {said}") from error
            time.sleep(0.005)
        except OSError as error:
            raise Failure(f"{server.title} ({kind}) does not answer: {error}") from error
    if came != ([b"".join(sent)] if kind == "stream" else sent):
        raise Failure(f"{server.title} ({kind}) answers wrongly: {came[0][:32]!r} is the beginning of what came back")


def program(name):
    return str(PROGRAMS / name)


def go(size):
    networks = {"stream": "unix", "seqpacket": "unixpacket", "dgram": "unixgram"}
    return {kind: [program("echo-go"), str(size), network, "PATH"] for kind, network in networks.items()}


# The first one is what the others are compared with. The last one leaves systemd with work to do, which should
# fall to the client's own turn. socat has stream alone: between a socket and a pipe the
# boundaries of messages are lost.
ALL = [
    UdsEchod(),
    Server("bare", "bare epoll loop", {kind: [program("floor"), kind, "PATH"] for kind in TYPES}),
    Server("go-1k", "Go, 1 KiB buffer", go(1024)),
    Server("go-64k", "Go, 64 KiB buffer", go(65536)),
    Server("node", "Node.js", {"stream": ["/usr/bin/env", "node", program("echo.js"), "PATH"]}),
    Server("asyncio", "Python asyncio", {kind: ["/usr/bin/python3", program("echo_asyncio.py"), kind, "PATH"]
                                         for kind in ("stream", "dgram")}),
    Server("socat", "socat, fork",
           {"stream": ["/bin/sh", "-c", f"exec socat UNIX-LISTEN:$0,fork,backlog={BACKLOG} PIPE", "PATH"]}),
    Server("s6", "s6-ipcserver, cat",
           {"stream": ["/usr/bin/env", "s6-ipcserver", "-b", str(BACKLOG), *S6_LIMITS, "PATH", "cat"]}),
    AcceptCat(),
]
BY_NAME = {server.name: server for server in ALL}


def prepare():
    """What all of them need of the machine: a place for sockets, and as much backlog as they ask for."""
    SOCKETS.mkdir(mode=0o755, exist_ok=True)
    pathlib.Path("/proc/sys/net/core/somaxconn").write_text(f"{BACKLOG}\n", encoding="ascii")
