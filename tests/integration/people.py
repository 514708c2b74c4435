# SPDX-License-Identifier: MIT
"""uds-echo as people call it, and services to talk to: one that echoes, and one that does what it is told."""

import os
import signal
import socket
import subprocess
import threading

import pytest
from uds import CLIENT, TYPES, eventually, listening, run

OK, WRONG, REFUSED, UNREACHABLE, USAGE = 0, 1, 2, 3, 64


@pytest.fixture
def echo(daemon, tmp_path):
    """echo(kind): the path of an echo socket; with a policy, of an authenticating one."""

    def start(kind, policy=None, name="auth", **more):
        path = str(tmp_path / f"{kind}-{len(os.listdir(tmp_path))}.sock")
        server = listening(kind, path)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        arguments = []
        if policy is not None:
            file = tmp_path / "policy"
            file.write_text(policy)
            arguments = [f"--policy={file}"]
        start.process = daemon([server], *arguments, names=[name if arguments else "echo"], **more)
        return path

    return start


ME = f"allow user {os.geteuid()}\n"


def client(*arguments, status=OK, **more):
    done = run(CLIENT, *arguments, **more)
    assert done.returncode == status, (done.stdout, done.stderr)
    return done


@pytest.fixture
def bad(tmp_path):
    """bad(kind, conduct): the path of a socket whose server does conduct(peer) with each client."""

    def start(kind, conduct):
        path = str(tmp_path / f"bad-{len(os.listdir(tmp_path))}.sock")
        server = listening(kind, path)

        def serve():
            while True:
                peer, _ = server.accept()
                try:
                    conduct(peer)
                except OSError:
                    pass
                peer.close()

        threading.Thread(target=serve, daemon=True).start()
        return path

    return start


def flood(peer):
    while True:
        peer.sendall(b"x" * 65536)


@pytest.fixture
def full(tmp_path):
    """full(kind): a socket that listens, takes nobody up, and has no room in its backlog; and its path."""
    waiting = []

    def start(kind):
        path = str(tmp_path / f"full-{kind}.sock")
        server = socket.socket(socket.AF_UNIX, TYPES[kind])
        server.bind(path)
        server.listen(0)
        waiting.append(server)
        with pytest.raises(BlockingIOError):
            while True:
                waiting.append(socket.socket(socket.AF_UNIX, TYPES[kind]))
                waiting[-1].setblocking(False)
                waiting[-1].connect(path)
        return server, path

    yield start
    for one in waiting:
        one.close()


def start(*arguments):
    """A client that runs, as from a shell with job control: in the background of one without it, SIGINT is ignored."""
    return subprocess.Popen([CLIENT, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True,
                            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))


def status_of(process, field):
    for line in open(f"/proc/{process.pid}/status", encoding="ascii", errors="replace"):
        if line.startswith(f"{field}:"):
            return line.split()[1]


def catches(process, number):
    """Whether the process has a handler for the signal."""
    return int(status_of(process, "SigCgt"), 16) >> (number - 1) & 1 == 1


def hold(process):
    """Waits until the process sleeps, stops it, and lets it go on."""
    assert eventually(lambda: status_of(process, "Name") == "uds-echo" and status_of(process, "State") == "S")
    process.send_signal(signal.SIGSTOP)
    assert eventually(lambda: status_of(process, "State") == "T")
    process.send_signal(signal.SIGCONT)
    assert eventually(lambda: status_of(process, "State") == "S")
