# SPDX-License-Identifier: MIT
"""A small load of all that clients do who are fair but slow, half deaf, or in a hurry.

Each client knows what has to come back, byte by byte. What does come must be right, in order, and once; what does
not is a loss, and has to be the end of a connection or one datagram. Without a fault there is none. No client
decides by the time that has passed: an end is seen, and a datagram is lost when a later one is answered.
"""

import functools
import random
import select
import socket
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from uds import DGRAM, PATIENCE, SEQPACKET, STREAM, connect, more_than_unread, open_socket

WELCOME = b"Welcome\n"
SETTLED = 0.005  # seconds in which a client that does not read notices that it can send no more
BULK = 400_000  # bytes: more than the kernel holds in both directions and the service owes besides


class Lost(Exception):
    """A connection has ended before everything had come back; or so many datagrams."""

    def __init__(self, count=1):
        super().__init__(count)
        self.count = count


@functools.lru_cache(maxsize=None)
def pattern(length, seed):
    return random.Random(seed).randbytes(length)


def wait_for(client, events, seconds=PATIENCE):
    poll = select.poll()
    poll.register(client, events)
    return poll.poll(seconds * 1000)


def send_some(client, data):
    """How many bytes, or whether the message, went; a client never waits for it."""
    try:
        return client.send(data, socket.MSG_NOSIGNAL)
    except BlockingIOError:
        return None
    except (BrokenPipeError, ConnectionResetError) as error:
        raise Lost from error


def receive_some(client, size=1 << 20):
    assert wait_for(client, select.POLLIN), "nothing has come for long"
    try:
        return client.recv(size)
    except ConnectionResetError as error:
        raise Lost from error


def visit(kind, address):
    client = connect(kind, address)
    client.setblocking(False)
    return client


def greeted(kind, address, greeting):
    """A new connection, and what is said to it at first."""
    client = visit(kind, address)
    heard = b""
    while len(heard) < len(greeting):
        piece = receive_some(client, len(greeting) - len(heard) if kind == STREAM else 100)
        if not piece:
            raise Lost
        heard += piece
        assert greeting.startswith(heard), f"{heard} instead of {greeting}"
    return client


class StreamTalk:
    """What was sent on a stream, and what has come back of it."""

    def __init__(self, client, data):
        self.client = client
        self.data = data
        self.sent = self.received = 0

    def send(self):
        sent = send_some(self.client, self.data[self.sent:self.sent + 65536])
        self.sent += sent or 0
        return sent is not None

    def receive(self):
        piece = receive_some(self.client)
        expected = self.data[self.received:self.received + len(piece)]
        assert self.received + len(piece) <= self.sent and piece == expected, \
            f"{len(piece)} wrong bytes after {self.received} of {self.sent}"
        self.received += len(piece)
        return piece

    def all_sent(self):
        return self.sent == len(self.data)

    def all_received(self):
        return self.received == len(self.data)


class PacketTalk:
    """The same for messages, of which none is empty but where another one follows."""

    def __init__(self, client, messages):
        self.client = client
        self.messages = messages
        self.sent = self.received = 0

    def send(self):
        sent = send_some(self.client, self.messages[self.sent])
        self.sent += sent is not None
        return sent is not None

    def receive(self):
        message = receive_some(self.client)
        expected = self.messages[self.received] if self.received < self.sent else None
        if message == b"" and expected != b"":
            return message
        assert message == expected, f"a wrong message of {len(message)} bytes after {self.received} of {self.sent}"
        self.received += 1
        return message or b"an empty one"

    def all_sent(self):
        return self.sent == len(self.messages)

    def all_received(self):
        return self.received == len(self.messages)


def fill(talk):
    """Sends until nothing goes any more, and reads nothing."""
    while not talk.all_sent() and (talk.send() or wait_for(talk.client, select.POLLOUT, SETTLED)):
        pass


def finish(talk):
    """Sends the rest, and reads until everything is back."""
    while not talk.all_received():
        events = select.POLLIN | (0 if talk.all_sent() else select.POLLOUT)
        ready = wait_for(talk.client, events)
        assert ready, f"nothing has come for long after {talk.received} of {talk.sent}"
        if ready[0][1] & ~select.POLLOUT and not talk.receive():
            raise Lost
        if ready[0][1] & select.POLLOUT:
            talk.send()


# The clients. Each does a part of what it does and lets the others go on.


def chat(kind, address, greeting=b""):
    client = greeted(kind, address, greeting)
    sizes = (1, 2, 3000, 17, 9000, 40_000)
    for i, size in enumerate(sizes):
        talk = StreamTalk(client, pattern(size, i)) if kind == STREAM else PacketTalk(client, [pattern(size, i)])
        finish(talk)
        yield
    if kind == SEQPACKET:
        finish(PacketTalk(client, [b"", b"after the empty one"]))


def bulk(kind, address, greeting=b""):
    client = greeted(kind, address, greeting)
    finish(StreamTalk(client, pattern(2 * BULK, 1)) if kind == STREAM
           else PacketTalk(client, [pattern(70_000 + i, i) for i in range(12)]))
    yield


def slow(kind, address, greeting=b""):
    """Reads when the others have had their turn: meanwhile something is owed to it, and more waits behind that."""
    client = greeted(kind, address, greeting)
    talk = StreamTalk(client, pattern(2 * BULK, 2)) if kind == STREAM \
        else PacketTalk(client, [pattern(8000 + i, i) for i in range(2 * BULK // 8000)])
    fill(talk)
    yield
    fill(talk)
    yield
    finish(talk)


def half_close(kind, address, greeting=b""):
    client = greeted(kind, address, greeting)
    talk = StreamTalk(client, pattern(30_000, 3)) if kind == STREAM \
        else PacketTalk(client, [pattern(700 + i, i) for i in range(10)])
    fill(talk)
    yield
    if not talk.all_sent():
        raise Lost  # there is room for as much, but where nobody reads
    client.shutdown(socket.SHUT_WR)
    yield
    finish(talk)
    assert receive_some(client) == b"", "more than was sent"


def whoami(at):
    client = visit(STREAM, at.whoami)
    yield
    heard = b""
    while piece := receive_some(client):
        heard += piece
    assert at.told.startswith(heard), f"{heard} instead of {at.told}"
    if heard != at.told:
        raise Lost


def send_numbered(client, address, number, size):
    client.sendto(number.to_bytes(4, "big") + pattern(size, number), address)


def receive_numbered(client, after, size):
    """The number of the next answer, which must be whole, and come after that one."""
    answer = client.recv(1 << 20)
    number = int.from_bytes(answer[:4], "big")
    assert number > after, f"{number} after {after}"
    assert answer[4:] == pattern(len(answer) - 4, number) and len(answer) in (4 + size, 4), f"{number} is changed"
    return number


def datagrams(address, count, size, bind=None):
    """Numbered ones, which are read late. What is after those tells which of them are lost."""
    if bind:
        Path(bind).unlink(missing_ok=True)
    client = open_socket(DGRAM, bind=bind)
    for number in range(1, count + 1):
        send_numbered(client, address, number, size)
    yield
    answered, last, sent = 0, 0, count
    end = time.monotonic() + PATIENCE
    # To the very last, or who answers it would find nobody, and say so.
    while last < sent:
        if wait_for(client, select.POLLIN, 10 * SETTLED):
            last = receive_numbered(client, last, size)
            answered += last <= count
            continue
        assert time.monotonic() < end, f"nothing has come for long after {last} of {sent}"
        sent += 1
        send_numbered(client, address, sent, 0)
    client.close()
    if answered < count:
        raise Lost(count - answered)


@dataclass
class Addresses:
    """Where the service is, by role and type, and what whoami tells these clients."""

    echo: dict
    auth: dict
    whoami: str
    told: bytes = b""


def clients(at, directory):
    for kind in (STREAM, SEQPACKET):
        yield slow(kind, at.echo[kind])
        yield slow(kind, at.echo[kind])
        yield slow(kind, at.auth[kind], WELCOME)
        yield half_close(kind, at.echo[kind])
        yield half_close(kind, at.auth[kind], WELCOME)
    yield datagrams(at.echo[DGRAM], more_than_unread(30), 100)
    yield datagrams(at.auth[DGRAM], more_than_unread(30), 100)
    yield datagrams(at.echo[DGRAM], 5, 100, str(directory / "client.sock"))
    yield datagrams(at.echo[DGRAM], 3, 60_000)
    for kind in (STREAM, SEQPACKET):
        yield chat(kind, at.echo[kind])
        yield chat(kind, at.auth[kind], WELCOME)
        yield bulk(kind, at.echo[kind])
        yield bulk(kind, at.auth[kind], WELCOME)
    yield whoami(at)


def begin(at, directory):
    return list(clients(at, directory))


def advance(running, lost):
    """Lets each do its next part, in turn. Who has come to an end, good or bad, is no longer among them."""
    for client in list(running):
        try:
            next(client)
        except StopIteration:
            running.remove(client)
        except Lost as loss:
            lost[DGRAM if client.gi_code is datagrams.__code__ else "connections"] += loss.count
            running.remove(client)


def run(at, directory):
    """Lets all of them do what they do. Returns what was lost: of connections, of datagrams."""
    lost = Counter()
    running = begin(at, directory)
    while running:
        advance(running, lost)
    return lost
