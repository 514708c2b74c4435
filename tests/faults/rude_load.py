# SPDX-License-Identifier: MIT
"""A small load of clients that nobody can do right: who leave in the middle, never read, or change their mind.

What becomes of them is no matter, but for the others, and for the service.
"""

import array
import contextlib
import os
import select
import socket
import struct

from fair_load import SETTLED, visit, wait_for
from uds import DGRAM, SEQPACKET, STREAM, connect, more_than_unread, open_socket

MUCH = 60_000  # bytes in a message; some of these are more than the kernel holds


def push(client, times=12, size=MUCH):
    with contextlib.suppress(BlockingIOError, ConnectionError):
        while times > 0 and wait_for(client, select.POLLOUT, SETTLED):
            client.send(b"x" * size, socket.MSG_NOSIGNAL)
            times -= 1


def vanish(kind, address):
    connect(kind, address).close()
    yield


def leave_unread(kind, address):
    client = visit(kind, address)
    push(client, 1, 100)
    yield
    client.close()


def leave_owing(kind, address):
    """Something waits to be sent to it when it leaves."""
    client = visit(kind, address)
    push(client)
    yield
    push(client)
    yield
    client.close()


def mute(kind, address):
    """Never reads, and stays."""
    client = visit(kind, address)
    for _ in range(3):
        push(client)
        yield


def go_deaf(kind, address):
    client = visit(kind, address)
    push(client)
    yield
    client.shutdown(socket.SHUT_RD)
    push(client)
    yield


def hang_up_in_halves(kind, address):
    client = visit(kind, address)
    push(client)
    client.shutdown(socket.SHUT_WR)
    yield
    client.shutdown(socket.SHUT_RD)
    yield


def pass_descriptors(kind, address):
    client = connect(kind, address)
    passed = array.array("i", [0, 1, 2])
    with contextlib.suppress(OSError):  # Linux 6.16 has it refused
        client.sendmsg([b"with descriptors"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)])
    yield


def datagrams_unread(address):
    client = open_socket(DGRAM)
    client.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        for _ in range(more_than_unread(50)):
            client.sendto(b"x" * 1000, address)
    yield


def datagrams_without_address(address):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client, contextlib.suppress(BlockingIOError):
        client.setblocking(False)
        client.sendto(b"", address)
        client.sendto(struct.pack("Q", 1), address)
    yield


def datagram_from_where_nothing_is(address, path):
    client = open_socket(DGRAM, bind=path)
    os.unlink(path)
    client.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        client.sendto(b"x", address)
    yield


def clients(at, directory):
    for kind in (STREAM, SEQPACKET):
        for address in (at.echo[kind], at.auth[kind]):
            for conduct in (vanish, leave_unread, leave_owing, mute, go_deaf, hang_up_in_halves, pass_descriptors):
                yield conduct(kind, address)
    yield vanish(STREAM, at.whoami)
    yield mute(STREAM, at.whoami)
    for address in (at.echo[DGRAM], at.auth[DGRAM]):
        yield datagrams_unread(address)
        yield datagrams_without_address(address)
        yield datagram_from_where_nothing_is(address, str(directory / "gone.sock"))


def run(at, directory):
    running = list(clients(at, directory))
    while running:
        for client in list(running):
            try:
                next(client)
            except StopIteration:
                running.remove(client)
