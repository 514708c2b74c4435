# SPDX-License-Identifier: MIT
"""Clients, and the three ways to have a service: units, systemd-socket-activate, the daemon by itself."""

import contextlib
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

PATIENCE = 30.0  # seconds for what takes milliseconds

STREAM, SEQPACKET, DGRAM = "stream", "seqpacket", "dgram"
TYPES = {STREAM: socket.SOCK_STREAM, SEQPACKET: socket.SOCK_SEQPACKET, DGRAM: socket.SOCK_DGRAM}
ALL = list(TYPES)
CONNECTED = [STREAM, SEQPACKET]

ECHOD = os.environ.get("UDS_ECHOD", "/usr/libexec/uds-echod")
# More options for the daemon in every test, so that the suite can be run with others than the default ones. The
# installed units have them already (tools/test).
OPTIONS = os.environ.get("UDS_ECHOD_OPTIONS", "").split()
CLIENT = os.environ.get("UDS_ECHO", "/usr/bin/uds-echo")


def under_systemd():
    return Path("/run/systemd/system").is_dir() and "UDS_ECHO_MACHINE" in os.environ


def eventually(condition, patience=PATIENCE):
    """Waits until condition() is true and returns what it said last."""
    end = time.monotonic() + patience
    while True:
        value = condition()
        if value or time.monotonic() > end:
            return value
        time.sleep(0.005)


def open_socket(kind, bind=None):
    client = socket.socket(socket.AF_UNIX, TYPES[kind])
    client.settimeout(PATIENCE)
    if bind is not None:
        client.bind(bind)
    elif kind == DGRAM:
        client.bind("")  # the kernel chooses an abstract address (unix(7), autobind)
    return client


def connect(kind, address):
    client = open_socket(kind)
    # Blocking: a full backlog lets such a client wait, and refuses others (EAGAIN, unix(7)).
    client.settimeout(None)
    client.connect(address)
    client.settimeout(PATIENCE)
    return client


def receive_exactly(client, length):
    """From a stream: length bytes, or fewer if the end comes first."""
    pieces = []
    while length > 0:
        piece = client.recv(min(length, 1 << 20))
        if not piece:
            break
        pieces.append(piece)
        length -= len(piece)
    return b"".join(pieces)


def echoes(client, message=b"hello"):
    """Whether one message comes back."""
    client.sendall(message)
    return receive_exactly(client, len(message)) == message if client.type == socket.SOCK_STREAM \
        else client.recv(len(message) + 1) == message


def more_than_unread(some):
    """How many datagrams one sender has to have unread for this many to be owed to it: the others wait in the kernel."""
    return int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text()) + 1 + some


def pattern(length, start=0):
    """Bytes that tell where they belong, nearly."""
    return (bytes(range(251)) * (length // 251 + 2))[start % 251:][:length]


def fill(client, patience=0.3, enough=1 << 30, piece=4096):
    """Sends of the pattern until nothing more goes, or there is enough, and reads nothing; returns how much went."""
    sent = 0
    client.settimeout(patience)
    with contextlib.suppress(TimeoutError):
        while sent < enough:
            sent += client.send(pattern(piece, sent))
    client.settimeout(PATIENCE)
    return sent


def listening(kind, address=""):
    """A socket as systemd would hand it over."""
    server = socket.socket(socket.AF_UNIX, TYPES[kind])
    server.bind(address)
    if kind != DGRAM:
        server.listen(4096)
    return server


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def threads(pid):
    """The daemon's threads by number, with their names; a sanitizer's own are none of them."""
    names = {int(number): Path(f"/proc/{pid}/task/{number}/comm").read_text().strip()
             for number in os.listdir(f"/proc/{pid}/task")}
    return {number: name for number, name in names.items() if number == pid or name.startswith("worker-")}


def is_stopped(pid):
    """Whether every thread of a process that gets SIGSTOP comes to stand still."""
    return eventually(lambda: all(task.read_text().rsplit(") ", 1)[1][0] == "T"
                                  for task in Path(f"/proc/{pid}/task").glob("*/stat")))


def falls_silent(pid):
    """Whether there comes a time in which no thread wakes up."""
    def switches():
        text = "".join(Path(f"/proc/{pid}/task/{number}/status").read_text() for number in threads(pid))
        return sum(int(number) for number in re.findall(r"^voluntary_ctxt_switches:\s+(\d+)", text, re.M))

    last = [switches(), time.monotonic()]

    def quiet():
        now = switches()
        if now != last[0]:
            last[:] = now, time.monotonic()
        return time.monotonic() - last[1] > 1.5

    return eventually(quiet)


def watched(pid):
    """What is in each epoll set of a process: descriptors, as its own numbers."""
    sets = {}
    for number in os.listdir(f"/proc/{pid}/fd"):
        try:
            if os.readlink(f"/proc/{pid}/fd/{number}") == "anon_inode:[eventpoll]":
                text = Path(f"/proc/{pid}/fdinfo/{number}").read_text()
                sets[int(number)] = [int(fd) for fd in re.findall(r"^tfd:\s+(\d+)", text, re.M)]
        except FileNotFoundError:  # it was closed just now
            pass
    return sets


def status_kib(pid, field):
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"^{field}:\s+(\d+) kB", text, re.M).group(1))


def raise_descriptor_limit():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


# How a process of a service ends that is killed, or by the watchdog, as process_ends() has it.
KILLED, ABORTED = "code=killed, status=9/KILL", "code=killed, status=6/ABRT"


def process_ends(journal):
    """How processes of a service have ended that did not do so by themselves and well, as systemd says it; but whether
    the host keeps a core is no matter."""
    ends = re.findall(r"Main process exited, (code=\w+, status=\S+)", journal)
    return [end.replace("code=dumped", "code=killed") for end in ends if end != "code=exited, status=0/SUCCESS"]


def counted(log, words):
    """How many there were, of one process or several: each line has those that are new, and all of one process so far."""
    return sum(int(new) for new in re.findall(rf"^(?:uds-echod: )?(?:{words}).*: (\d+), \d+ in all\.$", log, re.M))


def findings(log):
    """What a sanitizer, valgrind, an assertion or the filter of system calls has said."""
    return re.findall(r"^.*(?:Sanitizer|runtime error:|Assertion|status=31/SYS).*$|^==\d+==.*$", log, re.M)


def run(*command, timeout=60, **more):
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, **more)


class Units:
    """NAME.socket and NAME.service as installed."""

    def __init__(self, name="uds-echo"):
        self.name = name
        self.socket = f"{name}.socket"
        self.service = f"{name}.service"
        self.directory = Path("/run", name)
        self.begun = time.time()
        self.ends = set()  # what a test does to its processes on purpose: KILLED

    def path(self, kind):
        return str(self.directory / f"{kind}.sock")

    def connect(self, kind):
        return connect(kind, self.path(kind))

    def systemctl(self, *arguments):
        done = run("systemctl", *arguments)
        assert done.returncode == 0, f"systemctl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def show(self, unit, name):
        return self.systemctl("show", "--value", f"--property={name}", unit).strip()

    def start(self):
        self.reset()
        self.systemctl("start", self.socket)

    def stop(self):
        """The service must end well, and none of its processes may have ended badly, but as a test has it."""
        was_active = self.state() == "active"
        run("systemctl", "stop", self.socket, self.service)
        result = self.show(self.service, "Result")
        journal = self.journal(self.begun)
        self.reset()
        assert result == "success" or not was_active, f"{result}:\n{journal}"
        assert not findings(journal), journal
        assert {end for end in process_ends(journal) if "code=killed" in end} <= self.ends, journal

    def reset(self):
        run("systemctl", "stop", self.socket, self.service)
        run("systemctl", "reset-failed", self.socket, self.service)
        shutil.rmtree(f"/run/systemd/system/{self.service}.d", ignore_errors=True)
        shutil.rmtree(f"/run/systemd/system/{self.socket}.d", ignore_errors=True)
        run("systemctl", "daemon-reload")

    def override(self, unit, text):
        directory = Path(f"/run/systemd/system/{unit}.d")
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "test.conf").write_text(text)
        self.systemctl("daemon-reload")

    def state(self, unit=None):
        return self.show(unit or self.service, "ActiveState")

    def pid(self, kind=STREAM):
        return int(self.show(self.service, "MainPID"))

    def status(self):
        return self.show(self.service, "StatusText")

    def journal(self, since):
        """The service's lines since a time.time()."""
        run("journalctl", "--sync")
        return run("journalctl", f"--unit={self.service}", "--output=cat", f"--since=@{since:.6f}").stdout

    def entries(self, since, *matches):
        """The service's journal entries since a time.time(), as dictionaries."""
        run("journalctl", "--sync")
        lines = run("journalctl", f"--unit={self.service}", "--output=json", f"--since=@{since:.6f}", *matches).stdout
        return [json.loads(line) for line in lines.splitlines()]


def is_open(path):
    """Whether there is a socket that listens, if that is for connections: it is bound a moment before (/proc/net/unix)."""
    for line in Path("/proc/net/unix").read_text(errors="replace").splitlines():
        if line.endswith(f" {path}"):
            _, _, _, flags, kind, *_ = line.split()
            return int(kind, 16) == socket.SOCK_DGRAM or int(flags, 16) & 0x10000 != 0  # __SO_ACCEPTCON
    return False


def end_well(process):
    """Whether the daemon that still runs ends well; so does one that has not come to wait for signals yet."""
    process.send_signal(signal.SIGCONT)
    process.terminate()
    try:
        return process.wait(PATIENCE) in (0, -signal.SIGTERM)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return False


class Activated:
    """Each socket type by a systemd-socket-activate of its own."""

    options = {STREAM: [], DGRAM: ["--datagram"], SEQPACKET: ["--seqpacket"]}

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="uds-echo-")
        self.processes = {}
        self.output = tempfile.TemporaryFile()

    def path(self, kind):
        return f"{self.directory}/{kind}.sock"

    def connect(self, kind):
        return connect(kind, self.path(kind))

    def start(self):
        for kind in ALL:
            self.processes[kind] = subprocess.Popen(
                ["systemd-socket-activate", *self.options[kind], f"--listen={self.path(kind)}", ECHOD,
                 *OPTIONS],
                stderr=self.output)
        assert eventually(lambda: all(is_open(self.path(kind)) for kind in ALL))

    def stop(self):
        statuses = [end_well(process) for process in self.processes.values()]
        shutil.rmtree(self.directory)
        log = os.pread(self.output.fileno(), 1 << 24, 0).decode(errors="replace")
        assert all(statuses) and not findings(log), log

    def pid(self, kind=STREAM):
        # systemd-socket-activate becomes the daemon at the first client.
        return self.processes[kind].pid


class Daemon:
    """uds-echod with descriptors passed by hand (sd_listen_fds(3)); its log is in .log() after the end."""

    def __init__(self, sockets, *arguments, names=None, environment=None, limit=None, wrap=(),
                 launcher=()):
        first = 3
        numbers = [getattr(entry, "fileno", lambda entry=entry: entry)() for entry in sockets]

        def place():
            # Out of the way of each other first: the targets may be sources.
            copies = [os.dup2(number, 200 + index, inheritable=False) for index, number in enumerate(numbers)]
            for index, copy in enumerate(copies):
                os.dup2(copy, first + index)
            if limit:
                resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

        variables = {**os.environ, "LISTEN_FDS": str(len(numbers)), **(environment or {})}
        if names:
            variables["LISTEN_FDNAMES"] = ":".join(names)
        self.is_killed = False
        self.output = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            # The variable has to hold the pid of the program that is to read it. A launcher executes it in place.
            [*wrap, "sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh", *launcher, ECHOD, *OPTIONS, *arguments], env=variables,
            preexec_fn=place, close_fds=False, stdin=subprocess.DEVNULL, stdout=self.output,
            stderr=self.output)

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        # Not read(), which would move the offset that the daemon writes at.
        return os.pread(self.output.fileno(), 1 << 24, 0).decode(errors="replace")

    def wait(self, patience=PATIENCE):
        return self.process.wait(patience)

    def terminate(self):
        self.process.terminate()
        return self.wait()

    def kill(self):
        if self.process.poll() is None:
            self.is_killed = True
            self.process.kill()
            self.process.wait()

    def end(self):
        """If it still runs it must end well; and in any case nothing may have gone wrong in it."""
        status = self.process.poll()
        is_well = end_well(self.process) if status is None else status >= 0 or self.is_killed
        log = self.log()
        self.output.close()
        assert is_well and not findings(log), f"status {self.process.returncode}, log: {log}"
