# SPDX-License-Identifier: MIT
"""Looking for the next message instead of sleeping: nobody is forgotten meanwhile, and it ends."""

import re
import socket
import threading
import time
from pathlib import Path

import pytest
from uds import (ALL, CONNECTED, DGRAM, SEQPACKET, STREAM, connect, echoes, eventually, listening,
                 receive_exactly)

# Long enough that a test would notice who is forgotten for the time, and for ever.
OPTIONS = ["--busy-poll=auto", "--busy-poll=off", "--busy-poll=1000000"]


def switches(pid):
    """How often the threads of a process have been put to sleep, or been interrupted, so far."""
    texts = [task.joinpath("status").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    return sum(int(n) for text in texts for n in re.findall(r"voluntary_ctxt_switches:\s+(\d+)", text))


def is_quiet(pid):
    before = switches(pid)
    time.sleep(1.5)
    return switches(pid) == before


@pytest.mark.plain  # ThreadSanitizer has a thread of its own, which wakes up
@pytest.mark.parametrize("kind", ALL)
def test_idle_clients_wake_nobody(service, kind):
    clients = [service.connect(kind) for _ in range(1000 if kind != DGRAM else 50)]
    for _ in range(20):  # so that it is worth looking
        assert echoes(clients[0])
    for client in clients:
        assert echoes(client)
    pid = service.pid(kind)
    # Until busy-polling has ended, and STATUS= says what happened last.
    assert eventually(lambda: is_quiet(pid), 15)
    before = switches(pid)
    time.sleep(5)
    assert switches(pid) == before
    assert echoes(clients[-1])


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("kind", ALL)
def test_who_comes_while_another_is_busy_is_served(daemon, kind, option):
    with listening(kind) as server:
        address = server.getsockname()
        process = daemon([server], option)
        busy, other = connect(kind, address), connect(kind, address)
        stop = threading.Event()
        turns = []

        def keep_busy():
            while not stop.is_set():
                turns.append(echoes(busy))

        thread = threading.Thread(target=keep_busy)
        thread.start()
        for _ in range(200):
            assert echoes(other)
            late = connect(kind, address)
            assert echoes(late)
            late.close()
        stop.set()
        thread.join()
        assert turns and all(turns)
        assert process.terminate() == 0


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("kind", CONNECTED)
def test_a_busy_client_that_shuts_down_gets_everything_and_the_end(daemon, kind, option):
    with listening(kind) as server:
        daemon([server], option)
        for _ in range(50):
            client = connect(kind, server.getsockname())
            for _ in range(10):
                assert echoes(client)
            client.sendall(b"last")
            client.shutdown(socket.SHUT_WR)
            assert receive_exactly(client, 4) == b"last"
            assert client.recv(10) == b""


@pytest.mark.parametrize("option", OPTIONS)
def test_empty_messages_of_a_busy_client_are_not_its_end(daemon, option):
    with listening(SEQPACKET) as server:
        daemon([server], option)
        client = connect(SEQPACKET, server.getsockname())
        for i in range(200):
            assert echoes(client, b"x" * (i % 3))
        client.send(b"")
        client.shutdown(socket.SHUT_WR)
        assert client.recv(10) == b""  # the message
        assert client.recv(10) == b""  # the end
        client.settimeout(0.1)
        assert client.recv(10) == b""


@pytest.mark.parametrize("option", OPTIONS)
def test_it_stops_while_a_client_is_busy(daemon, option):
    with listening(STREAM) as server:
        process = daemon([server], option)
        client = connect(STREAM, server.getsockname())
        for _ in range(20):
            assert echoes(client)
        assert process.terminate() == 0
        assert client.recv(1) == b""
