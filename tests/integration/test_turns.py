# SPDX-License-Identifier: MIT
"""Whoever has thousands of busy connections does not keep who has one waiting for all of them."""

import contextlib
import os
import select
import signal
import socket

import pytest
from uds import CONNECTED, DGRAM, PATIENCE, connect, echoes, eventually, listening, raise_descriptor_limit
from users import ALICE, BOB, connect_as, user

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="it takes root to be several users")

MANY = 2000


@contextlib.contextmanager
def stopped(process):
    """What is sent in here is all there at once when the service goes on."""
    process.process.send_signal(signal.SIGSTOP)
    assert eventually(lambda: all(state == "T" for state in states(process.pid)))
    try:
        yield
    finally:
        process.process.send_signal(signal.SIGCONT)


def states(pid):
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/stat", encoding="ascii") as file:
            yield file.read().rpartition(")")[2].split()[0]


class Order:
    """In which order sockets become readable: that of the kernel's list of what is ready (epoll(7))."""

    def __init__(self, sockets):
        self.sockets = sockets
        self.epoll = select.epoll()
        for one in sockets:
            self.epoll.register(one, select.EPOLLIN | select.EPOLLET)

    def found(self):
        assert all(select_readable(one) for one in self.sockets)
        return [number for number, _ in self.epoll.poll(0, len(self.sockets))]


def select_readable(one):
    poll = select.poll()
    poll.register(one, select.POLLIN)
    return poll.poll(PATIENCE * 1000)


@pytest.fixture
def crowd(daemon):
    """crowd(kind, *more): the service's listening socket of that kind, it, and Alice's connections to it."""

    def start(kind, *more):
        raise_descriptor_limit()
        server = listening(kind)
        process = daemon([server, *more], "--workers=1", "--busy-poll=off", f"--connections-max-per-user={MANY}")
        alice = [connect_as(ALICE, kind, server) for _ in range(MANY)]
        assert all(echoes(one) for one in alice)
        return server, process, alice

    return start


@pytest.mark.parametrize("kind", CONNECTED)
def test_who_has_one_connection_is_answered_among_the_first(crowd, kind):
    server, process, alice = crowd(kind)
    bob = connect_as(BOB, kind, server)
    assert echoes(bob)
    order = Order([*alice, bob])
    with stopped(process):
        for one in [*alice, bob]:
            one.send(b"now")
    found = order.found()
    assert len(found) == MANY + 1
    assert found.index(bob.fileno()) < MANY / 3
    # Nor has anybody been forgotten, or been served out of order.
    for one in [*alice, bob]:
        assert one.recv(9) == b"now"
        assert echoes(one)


@pytest.mark.parametrize("kind", CONNECTED)
def test_who_comes_is_let_in_and_answered_among_the_first(crowd, kind):
    server, process, alice = crowd(kind)
    with stopped(process):
        for one in alice:
            one.send(b"now")
        bob = connect_as(BOB, kind, server)
        order = Order([*alice, bob])
        bob.send(b"now")
    assert order.found().index(bob.fileno()) < MANY / 3


def test_a_datagram_is_answered_among_the_first(crowd):
    datagrams = listening(DGRAM)
    _, process, alice = crowd(CONNECTED[0], datagrams)
    with user(BOB):
        bob = connect(DGRAM, datagrams.getsockname())
    order = Order([*alice, bob])
    with stopped(process):
        for one in alice:
            one.send(b"now")
        bob.send(b"now")
    assert order.found().index(bob.fileno()) < MANY / 3


@pytest.mark.parametrize("kind", CONNECTED)
def test_what_is_postponed_may_end_meanwhile(crowd, kind):
    """Alice's connections are closed, shut down or go on, while most of their messages are postponed."""
    server, process, alice = crowd(kind)
    bob = connect_as(BOB, kind, server)
    for _ in range(5):
        with stopped(process):
            for one in [*alice, bob]:
                one.send(b"now")
        assert bob.recv(9) == b"now"
        leaving, alice = alice[:200], alice[200:]
        for one in leaving[:100]:
            one.close()
        for one in leaving[100:]:
            one.shutdown(socket.SHUT_WR)
        for one in leaving[100:]:
            assert one.recv(9) == b"now"
            assert one.recv(9) == b""
        assert all(one.recv(9) == b"now" for one in alice)
    assert all(echoes(one) for one in [*alice, bob])
    assert process.terminate() == 0
