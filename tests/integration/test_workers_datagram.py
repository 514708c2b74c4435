# SPDX-License-Identifier: MIT
"""A datagram socket among several workers: one has it at a time, and its order stays."""

import os
import signal
import threading

from uds import (DGRAM, PATIENCE, STREAM, connect, echoes, eventually, is_stopped, listening, receive_exactly,
                 watched)


class Numbered:
    """A sender with some datagrams in flight, which notices when they come back in another order."""

    def __init__(self, address, window):
        self.client = connect(DGRAM, address)
        self.client.setblocking(False)
        self.window = window
        self.sent = self.received = 0

    def move(self):
        try:
            while self.sent - self.received < self.window:
                self.client.send(self.sent.to_bytes(4, "big"))
                self.sent += 1
        except BlockingIOError:
            pass
        self.receive()

    def receive(self):
        """Whether all that was sent has come back."""
        try:
            while self.received < self.sent:
                assert int.from_bytes(self.client.recv(10), "big") == self.received
                self.received += 1
        except BlockingIOError:
            pass
        return self.received == self.sent


def test_a_datagram_socket_keeps_the_order_under_load(eight):
    datagrams, streams = listening(DGRAM), listening(STREAM)
    process = eight([datagrams, streams])
    senders = [Numbered(datagrams.getsockname(), window) for window in (1, 4, 16, 64, 256)]
    stop = threading.Event()

    def others():
        clients = [connect(STREAM, streams.getsockname()) for _ in range(8)]
        while not stop.is_set():
            for client in clients:
                client.sendall(b"x" * 8)
            for client in clients:
                assert receive_exactly(client, 8) == b"x" * 8

    thread = threading.Thread(target=others)
    thread.start()
    try:
        for _ in range(2000):
            for sender in senders:
                sender.move()
        assert all(eventually(sender.receive) for sender in senders)
    finally:
        stop.set()
        thread.join(PATIENCE)
    assert min(sender.received for sender in senders) > 0
    assert process.terminate() == 0
    assert "dropped" not in process.log()


class Crowd:
    """Datagrams and messages on connections that all arrive in one turn of who serves them."""

    def __init__(self, process, datagrams, streams):
        self.process = process
        self.senders = [Numbered(datagrams.getsockname(), 16) for _ in range(4)]
        self.clients = [connect(STREAM, streams.getsockname()) for _ in range(16)]
        assert all(echoes(client) for client in self.clients)
        self.hands = set()

    def look(self):
        """How many workers have had the datagram socket, whose descriptor is the first that was passed."""
        os.kill(self.process.pid, signal.SIGSTOP)
        assert is_stopped(self.process.pid)
        for client in self.clients:
            client.sendall(b"x")
        for sender in self.senders:
            sender.move()
        os.kill(self.process.pid, signal.SIGCONT)
        assert all(receive_exactly(client, 1) == b"x" for client in self.clients)
        assert all(eventually(sender.receive) for sender in self.senders)
        self.hands.update(number for number, fds in watched(self.process.pid).items() if 3 in fds)
        return len(self.hands)

    def leave(self):
        for client in self.clients:
            client.close()


def test_a_datagram_socket_goes_from_who_is_busy_to_who_is_not(eight):
    datagrams, streams = listening(DGRAM), listening(STREAM)
    process = eight([datagrams, streams])
    crowd = Crowd(process, datagrams, streams)
    assert eventually(lambda: crowd.look() >= 3, 60), f"{len(crowd.hands)} have had it"
    assert process.terminate() == 0
    assert "dropped" not in process.log()


def test_what_is_owed_goes_along_with_the_socket(eight):
    datagrams, streams = listening(DGRAM), listening(STREAM)
    process = eight([datagrams, streams], "--exit-idle-time=1s")
    late = connect(DGRAM, datagrams.getsockname())
    count = 900
    for i in range(count):
        late.send(i.to_bytes(4, "big"))
    crowd = Crowd(process, datagrams, streams)
    assert eventually(lambda: crowd.look() >= 3, 60), f"{len(crowd.hands)} have had it"
    assert [int.from_bytes(late.recv(10), "big") for _ in range(count)] == list(range(count))
    crowd.leave()
    assert process.wait() == 0
    assert "dropped" not in process.log()
