# SPDX-License-Identifier: MIT
"""uds-echo as people call it, and services to talk to: one that echoes, and one that does what it is told."""

import os
import socket
import threading

import pytest
from uds import CLIENT, listening, run

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
