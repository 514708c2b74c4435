# SPDX-License-Identifier: MIT
"""Runs of uds-echo bench, and services to measure: one that echoes, and one that does what it is told."""

import json
import os
import socket
import threading

import pytest
from uds import CLIENT, DGRAM, STREAM, listening, run

SHORT = ("--duration=200ms", "--rounds=2", "--sizes=64", "--connections=3")
LONG = ("--duration=30s", "--rounds=1", "--sizes=64", "--connections=1")  # ended by what is tested
LENGTH = 64
UTF8, ASCII = {"LC_ALL": "C.UTF-8"}, {"LC_ALL": "C"}


def bench(*arguments, **environment):
    return run(CLIENT, "bench", *map(str, arguments), env={**os.environ, **UTF8, **environment})


def measure(*arguments):
    """The facts of a run that goes well."""
    done = bench("--json", *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


@pytest.fixture
def echo(daemon, tmp_path):
    """echo(kind): the path of a socket of that type, served by uds-echod."""

    def start(kind):
        path = str(tmp_path / f"{kind}.sock")
        daemon([listening(kind, path)])
        return path

    return start


@pytest.fixture
def liar(tmp_path):
    """liar(kind, answer): the path of a service that replies to message number I, counted from 0, with what
    answer(I, message) lists, and ends the connection at None."""
    servers = []

    def serve_connection(client, kind, answer):
        number = 0
        data = b""
        with client:
            while piece := client.recv(1 << 20):
                data += piece
                while data:
                    # The first one finds out whether the service greets.
                    size = len(data) if kind != STREAM else 8 if number == 0 else LENGTH
                    if len(data) < size:
                        break
                    replies = answer(number, data[:size])
                    if replies is None:
                        return
                    for reply in replies:
                        client.send(reply) if kind != STREAM else client.sendall(reply)
                    number, data = number + 1, data[size:]

    def accept(server, kind, answer):
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=quietly, args=(serve_connection, client, kind, answer), daemon=True).start()

    def serve_datagrams(server, kind, answer):
        numbers = {}
        while True:
            message, sender = server.recvfrom(1 << 20)
            if not sender:
                return
            number = numbers.get(sender, 0)
            numbers[sender] = number + 1
            for reply in answer(number, message):
                server.sendto(reply, sender)

    def quietly(function, *arguments):
        try:
            function(*arguments)
        except OSError:
            pass  # the client has found out and is gone

    def start(kind, answer):
        path = str(tmp_path / f"liar-{kind}.sock")
        server = listening(kind, path)
        servers.append((server, path))
        serve = serve_datagrams if kind == DGRAM else accept
        threading.Thread(target=quietly, args=(serve, server, kind, answer), daemon=True).start()
        return path

    yield start
    for server, path in servers:
        if server.type == socket.SOCK_DGRAM:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
                last.connect(path)
                last.send(b"")  # from nobody: the end
        else:
            server.shutdown(socket.SHUT_RDWR)
        server.close()
