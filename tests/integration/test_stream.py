# SPDX-License-Identifier: MIT
"""What design promises of stream sockets: every byte comes back, in order, unchanged."""

import os
import socket
import threading

from uds import PATIENCE, STREAM, descriptors, echoes, eventually, receive_exactly


def test_three_writes_come_back_in_order(service):
    client = service.connect(STREAM)
    for piece in (b"one", b"two", b"three"):
        client.sendall(piece)
    assert receive_exactly(client, 11) == b"onetwothree"


def test_a_short_read_leaves_the_rest_for_the_next(service):
    client = service.connect(STREAM)
    client.sendall(b"0123456789")
    assert receive_exactly(client, 3) == b"012"
    assert receive_exactly(client, 7) == b"3456789"


def test_after_half_close_all_that_was_sent_comes_back_and_then_the_end(service):
    client = service.connect(STREAM)
    data = os.urandom(300_000)
    sender = threading.Thread(target=lambda: (client.sendall(data), client.shutdown(socket.SHUT_WR)))
    sender.start()
    assert receive_exactly(client, len(data)) == data
    assert client.recv(1) == b""
    sender.join(PATIENCE)


def test_half_close_without_data_ends_the_connection(service):
    client = service.connect(STREAM)
    client.shutdown(socket.SHUT_WR)
    assert client.recv(1) == b""


def test_many_megabytes_come_back_unchanged(service):
    client = service.connect(STREAM)
    data = os.urandom(32 << 20)
    sender = threading.Thread(target=client.sendall, args=(data,))
    sender.start()
    assert receive_exactly(client, len(data)) == data
    sender.join(PATIENCE)


def test_a_client_that_reads_late_loses_nothing(service):
    client = service.connect(STREAM)
    client.setblocking(False)
    sent = 0
    data = os.urandom(1 << 24)
    # Until the service does not take more, because the client does not read.
    client.settimeout(0.3)
    try:
        while sent < len(data):
            sent += client.send(data[sent : sent + 50_000])
    except TimeoutError:
        pass
    assert 0 < sent < len(data), "the client was not held back"
    client.settimeout(PATIENCE)
    client.shutdown(socket.SHUT_WR)
    assert receive_exactly(client, sent + 1) == data[:sent]


def test_one_byte_at_a_time_comes_back(service):
    client = service.connect(STREAM)
    for i in range(1000):
        byte = bytes([i % 256])
        client.sendall(byte)
        assert client.recv(2) == byte


def test_an_urgent_byte_comes_back_among_the_others(service):
    client = service.connect(STREAM)
    client.sendall(b"ab")
    client.send(b"!", socket.MSG_OOB)
    client.sendall(b"cd")
    client.shutdown(socket.SHUT_WR)
    assert receive_exactly(client, 6) == b"ab!cd"


def test_a_client_that_vanishes_leaves_the_others_served(service):
    other = service.connect(STREAM)
    for _ in range(200):
        client = service.connect(STREAM)
        client.sendall(b"x" * 10_000)
        client.close()
    other.sendall(b"hello")
    assert receive_exactly(other, 5) == b"hello"


def test_messages_of_all_sizes_in_turn_come_back_unchanged(service):
    """Small ones are copied, large ones are not: each way after the other."""
    client = service.connect(STREAM)
    for size in (1, 70_000, 3, 20_000, 8_192, 8_191, 65_536, 65_537, 1, 200_000, 16_384) * 5:
        data = os.urandom(size)
        sender = threading.Thread(target=client.sendall, args=(data,))
        sender.start()
        assert receive_exactly(client, size) == data
        sender.join(PATIENCE)


def test_clients_that_vanish_with_much_under_way_leave_nothing_behind(service):
    witness = service.connect(STREAM)
    assert echoes(witness)
    before = descriptors(service.pid())
    for _ in range(100):
        client = service.connect(STREAM)
        client.sendall(bytes(60_000))
        assert receive_exactly(client, 60_000) == bytes(60_000)
        client.settimeout(0)
        # Large ones on their way, some of them not taken by the client, when it goes.
        try:
            while True:
                client.send(bytes(60_000))
        except BlockingIOError:
            pass
        client.close()
    assert echoes(witness)
    assert eventually(lambda: descriptors(service.pid()) <= before)
    # What was theirs goes to nobody else.
    data = os.urandom(60_000)
    for _ in range(3):
        witness.sendall(data)
        assert receive_exactly(witness, len(data)) == data


def test_an_urgent_byte_comes_back_among_many_others(service):
    client = service.connect(STREAM)
    assert echoes(client, bytes(60_000))
    client.sendall(b"a" * 30_000)
    client.send(b"!", socket.MSG_OOB)
    client.sendall(b"c" * 30_000)
    client.shutdown(socket.SHUT_WR)
    assert receive_exactly(client, 60_001) == b"a" * 30_000 + b"!" + b"c" * 30_000
    assert client.recv(1) == b""
