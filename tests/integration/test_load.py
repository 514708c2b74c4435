# SPDX-License-Identifier: MIT
"""Many clients at once, and bad ones beside good ones. Nothing here is timed: that is for the benchmark."""

import os
import socket
import threading
import time

import pytest
from uds import (ALL, CONNECTED, DGRAM, PATIENCE, SEQPACKET, STREAM, echoes, eventually, raise_descriptor_limit,
                 receive_exactly, status_kib)


def test_five_thousand_connections_at_once_each_echo(service):
    raise_descriptor_limit()
    clients = [service.connect(STREAM) for _ in range(5000)]
    for turn in range(2):
        for i, client in enumerate(clients):
            client.sendall(b"%06d" % (i + turn))
        for i, client in enumerate(clients):
            assert receive_exactly(client, 6) == b"%06d" % (i + turn)
    for client in clients:
        client.close()


@pytest.mark.plain
@pytest.mark.parametrize("kind", CONNECTED)
def test_five_thousand_idle_connections_take_less_than_six_mebibytes(service, kind):
    raise_descriptor_limit()
    clients = [service.connect(kind) for _ in range(5000)]
    for client in clients:
        client.sendall(b"x" * 3000)
    for client in clients:
        assert receive_exactly(client, 3000) if kind == STREAM else client.recv(4000)
    resident = status_kib(service.pid(kind), "VmRSS")
    assert resident < 6 * 1024
    for client in clients:
        client.close()


@pytest.mark.plain
@pytest.mark.parametrize("kind", CONNECTED)
def test_a_client_that_never_reads_costs_a_bounded_amount_of_memory(service, kind):
    fair = service.connect(kind)
    assert echoes(fair)
    before = status_kib(service.pid(kind), "VmRSS")
    hogs = [service.connect(kind) for _ in range(20)]
    for hog in hogs:
        hog.settimeout(0.2)
        with pytest.raises(TimeoutError):
            while True:
                hog.send(b"x" * 50_000)
        assert echoes(fair)
    # What a stream receive brings at most, or one message, for each.
    assert status_kib(service.pid(kind), "VmRSS") - before < 20 * 64 + 2048
    for hog in hogs:
        hog.close()


@pytest.mark.plain
@pytest.mark.parametrize("kind", [SEQPACKET, DGRAM])
def test_memory_of_large_messages_is_given_back(service, kind):
    from test_seqpacket import largest_message

    client = service.connect(kind)
    assert echoes(client)
    before = status_kib(service.pid(kind), "VmRSS")
    size = largest_message(client)
    assert len(client.recv(size + 1)) == size
    assert eventually(lambda: status_kib(service.pid(kind), "VmRSS") < before + 1024)


@pytest.mark.parametrize("kind", ALL)
def test_beside_one_that_never_reads_others_get_every_reply(service, kind):
    stop = threading.Event()
    hog = service.connect(kind)

    def flood():
        hog.settimeout(0.1)
        while not stop.is_set():
            try:
                hog.send(b"x" * 1000)
            except TimeoutError:
                pass

    thread = threading.Thread(target=flood)
    thread.start()
    clients = [service.connect(kind) for _ in range(10)]
    end = time.monotonic() + 2
    turn = 0
    while time.monotonic() < end:
        for i, client in enumerate(clients):
            client.send(b"%03d%06d" % (i, turn))
        for i, client in enumerate(clients):
            reply = receive_exactly(client, 9) if kind == STREAM else client.recv(100)
            assert reply == b"%03d%06d" % (i, turn)
        turn += 1
    stop.set()
    thread.join(PATIENCE)


def test_a_storm_of_short_connections_is_served(service):
    errors = []

    def storm():
        try:
            for i in range(300):
                client = service.connect(STREAM)
                client.sendall(b"%d" % i)
                client.shutdown(socket.SHUT_WR)
                assert receive_exactly(client, 10) == b"%d" % i
                client.close()
        except Exception as error:  # pylint: disable=broad-except
            errors.append(error)

    threads = [threading.Thread(target=storm) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not errors
    assert len(os.listdir(f"/proc/{service.pid(STREAM)}/fd")) < 50
