# SPDX-License-Identifier: MIT
"""Messages on seqpacket that are many, or large, and what a client has not read of them."""

import fcntl
import socket
import struct
import termios

from uds import PATIENCE

OVERSIZE = 300_000  # more than SO_SNDBUF of a connection that was accepted, and as much as a client may always have


def send_oversize(client, fill):
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, OVERSIZE)
    client.settimeout(PATIENCE)
    client.send(bytes([fill]) * OVERSIZE)


def bytes_unread(client):
    return struct.unpack("i", fcntl.ioctl(client, termios.FIONREAD, b"\0" * 4))[0]


def receive_messages(client, length):
    """Messages of LENGTH bytes in all."""
    pieces = []
    while sum(map(len, pieces)) < length:
        pieces.append(client.recv(1 << 20))
    return b"".join(pieces)
