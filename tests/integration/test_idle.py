# SPDX-License-Identifier: MIT
"""--idle-timeout=: connections on which nothing moves are closed, and no others."""

import time

import pytest
from uds import CONNECTED, STREAM, connect, descriptors, echoes, falls_silent, listening

TIMEOUT = 3.0  # seconds: longer than a busy machine keeps anybody waiting


def is_closed(client):
    return client.recv(1) == b""


@pytest.mark.parametrize("kind", CONNECTED)
def test_a_connection_on_which_nothing_moves_is_closed_and_others_are_not(daemon, kind):
    server = listening(kind)
    process = daemon([server], f"--idle-timeout={TIMEOUT}s")
    silent, busy = connect(kind, server.getsockname()), connect(kind, server.getsockname())
    assert echoes(silent)
    end = time.monotonic() + 2 * TIMEOUT
    while time.monotonic() < end:
        assert echoes(busy)
        time.sleep(TIMEOUT / 20)
    assert is_closed(silent)
    assert echoes(busy)
    assert is_closed(busy)
    assert process.terminate() == 0
    assert "Connections closed, idle for --idle-timeout=: 1" in process.log()


@pytest.mark.parametrize("kind", CONNECTED)
def test_it_is_not_closed_early(daemon, kind):
    server = listening(kind)
    daemon([server], f"--idle-timeout={TIMEOUT}s")
    client = connect(kind, server.getsockname())
    begun = time.monotonic()
    assert echoes(client)
    assert is_closed(client)
    assert time.monotonic() - begun > TIMEOUT * 0.95


def test_who_reads_slowly_is_not_idle(daemon):
    server = listening(STREAM)
    process = daemon([server], f"--idle-timeout={TIMEOUT}s")
    client = connect(STREAM, server.getsockname())
    client.settimeout(0.2)
    sent = 0
    try:
        while True:
            sent += client.send(b"x" * 65536)
    except TimeoutError:
        pass
    pieces = 15
    got = 0
    for _ in range(pieces):
        time.sleep(2 * TIMEOUT / pieces)
        got += len(client.recv(sent // pieces))
    while got < sent:
        got += len(client.recv(1 << 20))
    assert got == sent
    assert process.terminate() == 0
    assert "Connections closed" not in process.log()


def test_who_does_not_read_what_is_owed_is_idle(daemon):
    server = listening(STREAM)
    process = daemon([server], "--idle-timeout=300ms")
    client = connect(STREAM, server.getsockname())
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        while True:
            client.send(b"x" * 65536)
    assert process.terminate() == 0
    assert "Connections closed, idle" in process.log()


def test_without_connections_nothing_wakes_up(daemon):
    server = listening(STREAM)
    process = daemon([server], "--idle-timeout=400ms", "--busy-poll=off")
    client = connect(STREAM, server.getsockname())
    assert echoes(client)
    open_now = descriptors(process.pid)
    assert is_closed(client)
    assert descriptors(process.pid) == open_now - 1
    assert falls_silent(process.pid)


def test_the_service_leaves_when_those_who_were_idle_are_gone(daemon):
    server = listening(STREAM)
    client = connect(STREAM, server.getsockname())
    process = daemon([server], "--idle-timeout=400ms", "--exit-idle-time=300ms")
    assert echoes(client)
    assert process.wait() == 0
    assert is_closed(client)
