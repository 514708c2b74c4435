# SPDX-License-Identifier: MIT
"""A daemon that serves every role on every type of socket, and two ways to have things fail under it: allocations
(failing_malloc.c) and system calls (strace(1)).
"""

import contextlib
import functools
import mmap
import os
import re
import signal
import socket
import struct
import subprocess
import time
from collections import Counter
from pathlib import Path

from fair_load import WELCOME, Addresses
from uds import ALL, DGRAM, PATIENCE, SEQPACKET, STREAM, Daemon, connect, counted, eventually, listening, \
    receive_exactly, run

UNIT = Path(__file__).parents[2] / "units/uds-echo.service.in"
BUILD = Path(os.environ.get("UDS_ECHO_BUILD", Path(__file__).parents[2] / "build/test"))

# Every rule asks for something else that has to be found out about a client. The last one admits it.
POLICY = f"deny unit nowhere.service\ndeny group 4294967294\ndeny label nothing\nallow user {os.geteuid()}\n"

# Of so many bytes a client that reads late leaves the service no choice but to hold back.
OPTIONS = ("--log-level=debug", "--idle-timeout=1h", "--bytes-max-per-user=384K")

EX_OSERR = 71

# What the log says of losses (src/counters.c).
CONNECTION_TROUBLES = ("Connections ", "Messages not answered")
DATAGRAM_TROUBLES = ("Datagrams ", "Messages not answered")


SOCKETS = [(name, kind) for name in ("echo", "auth") for kind in ALL] + [("whoami", STREAM)]


def open_sockets():
    sockets = [listening(kind) for _, kind in SOCKETS]
    sockets[SOCKETS.index(("auth", DGRAM))].setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)  # PassCredentials=
    return sockets


def addresses_of(sockets):
    found = {name: {} for name, _ in SOCKETS}
    for (name, kind), server in zip(SOCKETS, sockets):
        found[name][kind] = server.getsockname()
    return Addresses(found["echo"], found["auth"], found["whoami"][STREAM])


class Service:
    """The daemon with a socket for every role and type, and what it has logged of troubles in the end."""

    def __init__(self, directory, workers, *arguments, sockets=None, kept=(), **more):
        """It has these sockets to itself, unless they are given; KEPT is what another one has handed over."""
        self.workers = workers
        policy = directory / "policy"
        policy.write_text(POLICY)
        passed = sockets or open_sockets()
        self.at = addresses_of(passed)
        self.daemon = Daemon([*passed, *kept], f"--policy={policy}", f"--workers={workers}", *OPTIONS, *arguments,
                             names=[name for name, _ in SOCKETS] + ["handover"] * len(kept), **more)
        if not sockets:
            for server in passed:
                server.close()

    @property
    def pid(self):
        return self.daemon.pid

    def is_stopped(self):
        return eventually(lambda: "\nState:\tT" in Path(f"/proc/{self.pid}/status").read_text())

    def has_ended(self):
        return self.daemon.process.poll() is not None

    def has_all_threads(self):
        try:
            return len(os.listdir(f"/proc/{self.pid}/task")) == 1 + self.workers
        except FileNotFoundError:
            return False

    def starts(self):
        """Waits until it serves; returns whether it does, or has ended before."""
        assert eventually(lambda: self.has_ended() or self.has_all_threads()), "it does neither"
        return not self.has_ended()

    def serves(self):
        """Waits until it serves without a fault, and learns what whoami tells when there is none."""
        assert self.starts()
        self.at.told = whoami(self.at)

    def rests(self):
        """Whether there comes a time in which it uses no processor to speak of."""
        clock = ~self.pid << 3 | 2  # CPU time of a process: MAKE_PROCESS_CPUCLOCK() in Linux

        def is_quiet():
            before = time.clock_gettime(clock)
            time.sleep(0.02)
            return time.clock_gettime(clock) - before < 0.005

        return eventually(is_quiet)

    def ends(self):
        """Has it stop. Returns its exit status, negative for a signal."""
        return self.daemon.terminate()

    def tell(self):
        """What may explain a failure: its exit status, and its log but for what is usual."""
        usual = re.compile("uds-echod: (Echoing|Telling|Serving|Admitted|Told)|strace:")
        lines = (line for line in self.daemon.log().splitlines() if not usual.match(line))
        return f"status {self.daemon.process.poll()}, log: {' '.join(lines)}"

    def troubles(self, kinds):
        """How many of these it has counted by the end."""
        return counted(self.daemon.log(), "|".join(kinds))


@contextlib.contextmanager
def serving(directory, workers, *arguments, **more):
    service = Service(directory, workers, *arguments, **more)
    try:
        yield service
    except (AssertionError, OSError) as error:
        raise AssertionError(f"{error}; {service.tell()}") from error
    finally:
        service.daemon.kill()


def whoami(at):
    with connect(STREAM, at.whoami) as client:
        told = receive_exactly(client, 1 << 16)
    assert told.endswith(b"VERDICT=allow\n")
    return told


def serves_fresh_clients(at):
    """One of every role and type, one message each."""
    for kind in (STREAM, SEQPACKET, DGRAM):
        for addresses, greeting in ((at.echo, b""), (at.auth, WELCOME if kind != DGRAM else b"")):
            with connect(kind, addresses[kind]) as client:
                client.sendall(b"a fresh one")
                for expected in filter(None, (greeting, b"a fresh one")):
                    heard = receive_exactly(client, len(expected)) if kind == STREAM else client.recv(100)
                    assert heard == expected, f"{heard} on {kind}"
    assert whoami(at) == at.told or not at.told
    return True


class FailingMalloc:
    """What failing_malloc.c is told, and what it tells."""

    calls, first, last, number, failed = range(5)
    SIZE = 5 * 8

    def __init__(self, directory):
        library = BUILD / "tests/faults/failing_malloc.so"
        assert library.exists(), f"{library} is missing (UDS_ECHO_BUILD= is the build folder)"
        path = directory / "failing-malloc"
        path.write_bytes(bytes(self.SIZE))
        self.launcher = ["env", f"FAILING_MALLOC={path}", f"LD_PRELOAD={library}"]
        with open(path, "r+b") as file:
            self.control = mmap.mmap(file.fileno(), self.SIZE)

    def get(self, field):
        return struct.unpack_from("=Q", self.control, 8 * field)[0]

    def set(self, field, value):
        struct.pack_into("=Q", self.control, 8 * field, value)

    def fail(self, number, count=1):
        """Has COUNT allocations fail, from the one on that is the NUMBERth from now. The program counts them from
        the last of these lines on, so that none of its threads is ahead of this."""
        self.stop()
        self.set(self.number, 0)
        self.set(self.last, number + count - 1)
        self.set(self.first, number)

    def stop(self):
        self.set(self.first, 0)


# A launcher that waits to be traced, see Tracer.lets_go(). (Were it strace that launched the daemon, that would have
# the daemon's sockets, too, and hold them open.)
STOPPED = ["sh", "-c", 'kill -STOP $$; exec "$@"', "sh"]


@functools.lru_cache(maxsize=None)
def calls_of(group):
    """The system calls of a group (systemd.exec(5))."""
    lines = run("systemd-analyze", "--no-pager", "syscall-filter", group).stdout.split("\n")[1:]
    names = {line.strip() for line in lines if line.strip() and not line.strip().startswith("#")}
    assert names, f"systemd-analyze knows nothing of {group}"
    return frozenset().union(*(calls_of(name) if name.startswith("@") else {name} for name in names))


@functools.lru_cache(maxsize=None)
def calls_in_the_filter():
    """Those that the service's sandbox allows."""
    allowed = set(calls_of("@default"))
    for line in re.findall("^SystemCallFilter=(.*)$", UNIT.read_text(), re.M):
        named = frozenset().union(*(calls_of(word) if word.startswith("@") else {word} for word in
                                    line.lstrip("~").split()))
        allowed = allowed - named if line.startswith("~") else allowed | named
    return allowed


def count_injected(output):
    return output.read_text(errors="replace").count("(INJECTED)")


def is_traced(task):
    return "TracerPid:\t0\n" not in (task / "status").read_text()


class Tracer:
    """strace on a daemon that runs, with these options, until the end of the block."""

    def __init__(self, service, output, *options, first_thread_alone=False):
        self.output = output
        self.service = service
        self.process = subprocess.Popen(
            ["strace", *([] if first_thread_alone else ["-f"]), "-p", str(service.pid), "-o", str(output), *options],
            stderr=subprocess.PIPE)
        tasks = Path(f"/proc/{service.pid}/task")
        tasks = [tasks / str(service.pid)] if first_thread_alone else list(tasks.iterdir())
        assert eventually(lambda: self.process.poll() is not None or all(map(is_traced, tasks)))
        assert self.process.poll() is None, self.process.stderr.read().decode()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()  # which lets the daemon go on without it
            self.process.communicate(timeout=PATIENCE)
        else:
            assert eventually(self.service.has_ended), f"strace has ended before: {self.process.stderr.read().decode()}"
        # In its sandbox any other would have ended the service, also where it only looks into what has failed.
        made = re.findall(r"^(?:\d+ +)?(\w+)\(", self.output.read_text(errors="replace"), re.M)
        assert set(made) <= calls_in_the_filter()

    def lets_go(self):
        """To be called for who was launched STOPPED."""
        os.kill(self.service.pid, signal.SIGCONT)

    def calls(self):
        """How often each call was made, by the one thread that made it most often."""
        made = Counter(re.findall(r"^(?:(\d+) +)?(\w+)\(", self.output.read_text(errors="replace"), re.M))
        most = Counter()
        for (_, call), count in made.items():
            most[call] = max(most[call], count)
        return most
