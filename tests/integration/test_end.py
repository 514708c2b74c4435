# SPDX-License-Identifier: MIT
"""How the service ends: by a signal, or by being idle. Nothing that was sent is lost."""

import signal
import threading
import time

import pytest
from uds import (ALL, CONNECTED, DGRAM, PATIENCE, STREAM, connect, echoes, eventually, fill, listening,
                 open_socket, receive_exactly)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_success(daemon, number):
    server = listening(STREAM)
    process = daemon([server])
    client = connect(STREAM, server.getsockname())
    assert echoes(client)
    process.process.send_signal(number)
    assert process.wait() == 0
    assert client.recv(1) == b""


@pytest.mark.parametrize("kind", CONNECTED)
def test_what_clients_have_sent_before_the_stop_comes_back(daemon, kind):
    server = listening(kind)
    process = daemon([server])
    clients = [connect(kind, server.getsockname()) for _ in range(20)]
    assert all(echoes(client) for client in clients)
    sent = [fill(client, 0.05, 500_000) for client in clients]
    process.process.terminate()
    for client, count in zip(clients, sent):
        assert count > 10_000
        received = 0
        while data := client.recv(1 << 16):
            received += len(data)
        assert received == count
    assert process.wait() == 0
    assert "had not read in time" not in process.log()


def test_a_client_that_does_not_read_does_not_hold_the_stop_for_ever(daemon):
    server = listening(STREAM)
    process = daemon([server])
    client = connect(STREAM, server.getsockname())
    assert echoes(client)
    fill(client)
    assert process.terminate() == 0
    assert "Connections closed at the stop, the client had not read in time: 1" in process.log()


def test_a_new_client_at_the_stop_waits_for_the_next_start(daemon):
    server = listening(STREAM)
    first = daemon([server])
    busy = connect(STREAM, server.getsockname())
    assert echoes(busy)
    fill(busy)
    first.process.terminate()
    assert eventually(lambda: cannot_send(busy))
    late = connect(STREAM, server.getsockname())
    late.sendall(b"hello")
    assert first.wait() == 0
    daemon([server])
    assert receive_exactly(late, 5) == b"hello"


def cannot_send(client):
    client.setblocking(False)
    try:
        client.send(b"x")
    except BrokenPipeError:
        return True
    except BlockingIOError:
        pass
    return False


@pytest.mark.parametrize("kind", CONNECTED)
def test_it_is_not_idle_while_somebody_is_connected(daemon, kind):
    server = listening(kind)
    client = connect(kind, server.getsockname())
    process = daemon([server], "--exit-idle-time=50ms")
    assert echoes(client)
    time.sleep(0.5)
    assert process.process.poll() is None
    assert echoes(client)
    client.close()
    assert process.wait() == 0


def test_it_is_not_idle_while_replies_are_owed(daemon):
    server = listening(DGRAM)
    process = daemon([server], "--exit-idle-time=500ms")
    client = open_socket(DGRAM)
    for i in range(800):
        client.sendto(i.to_bytes(4, "big"), server.getsockname())
    time.sleep(1.5)
    assert process.process.poll() is None
    assert [int.from_bytes(client.recv(10), "big") for _ in range(800)] == list(range(800))
    assert process.wait() == 0


@pytest.mark.parametrize("kind", ALL)
def test_nothing_is_lost_around_the_moment_of_an_idle_exit(daemon, kind):
    server = listening(kind)
    stop = threading.Event()
    starts = []

    def manager():
        """As systemd: whenever the service has ended, the next client starts it again."""
        while not stop.is_set():
            process = daemon([server], "--exit-idle-time=3ms", "--log-level=err")
            starts.append(process)
            assert process.wait() == 0, process.log()

    thread = threading.Thread(target=manager)
    thread.start()
    end = time.monotonic() + 4
    trips = 0
    while time.monotonic() < end or (len(starts) <= 20 and time.monotonic() < end + PATIENCE):
        client = connect(kind, server.getsockname())
        assert echoes(client, b"%d" % trips)
        client.close()
        trips += 1
        # About as long as it takes to be idle, a little more or less each time.
        time.sleep(0.002 + (trips % 20) * 0.0001)
    stop.set()
    thread.join(PATIENCE)
    assert len(starts) > 20, "it hardly ever left"
