# SPDX-License-Identifier: MIT
"""What design promises of seqpacket sockets: a message comes back as one message, whole, empty ones too."""

import errno
import os
import socket

import pytest
from uds import PATIENCE, SEQPACKET


def test_three_messages_come_back_as_three(service):
    client = service.connect(SEQPACKET)
    for message in (b"one", b"two", b"three"):
        client.send(message)
    assert [client.recv(100) for _ in range(3)] == [b"one", b"two", b"three"]


def test_a_short_buffer_cuts_only_the_message_it_is_for(service):
    client = service.connect(SEQPACKET)
    client.send(b"0123456789")
    client.send(b"next")
    assert client.recv(3) == b"012"
    assert client.recv(100) == b"next"


def test_an_empty_message_comes_back_and_is_not_the_end(service):
    client = service.connect(SEQPACKET)
    client.send(b"")
    client.send(b"after")
    client.send(b"")
    assert [client.recv(10) for _ in range(3)] == [b"", b"after", b""]


def test_empty_messages_before_a_half_close_come_back_before_the_end(service):
    client = service.connect(SEQPACKET)
    # With SO_PASSCRED on, a message carries credentials and the end carries none: so they can be told apart.
    client.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    for message in (b"", b"a", b"", b""):
        client.send(message)
    client.shutdown(socket.SHUT_WR)
    received = []
    while True:
        data, control, _, _ = client.recvmsg(10, 100)
        if not control:
            break
        received.append(data)
    assert received == [b"", b"a", b"", b""]


def largest_message(client):
    """Raises the send buffer as far as the host lets it, and finds the largest message that can be sent."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 30)
    size = client.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
    while True:
        try:
            client.send(b"\0" * size)
            return size
        except OSError as error:
            # EMSGSIZE: larger than the buffer; ENOBUFS: larger than the kernel can allocate in one piece.
            assert error.errno in (errno.EMSGSIZE, errno.ENOBUFS, errno.ENOMEM)
        size -= max(size // 64, 1)


def test_the_largest_message_that_the_host_lets_a_client_send_comes_back_whole(service):
    client = service.connect(SEQPACKET)
    size = largest_message(client)
    assert len(client.recv(size + 1)) == size
    message = os.urandom(size)
    for _ in range(3):
        client.send(message)
        assert client.recv(size + 1) == message


@pytest.mark.parametrize("size", [1, 4096, 65536, 65537, 131072, 200_000])
def test_messages_of_every_size_come_back_whole(service, size):
    client = service.connect(SEQPACKET)
    message = os.urandom(size)
    client.send(message)
    assert client.recv(size + 1) == message


def test_a_client_that_reads_late_loses_nothing(service):
    client = service.connect(SEQPACKET)
    client.settimeout(0.3)
    sent = 0
    try:
        while sent < 100_000:
            client.send(sent.to_bytes(4, "big") + b"x" * 1000)
            sent += 1
    except TimeoutError:
        pass
    assert 0 < sent < 100_000, "the client was not held back"
    client.settimeout(PATIENCE)
    client.shutdown(socket.SHUT_WR)
    for i in range(sent):
        message = client.recv(2000)
        assert len(message) == 1004 and int.from_bytes(message[:4], "big") == i
    assert client.recv(1) == b""
