# SPDX-License-Identifier: MIT
"""The judge: a service that loses, repeats, changes or swaps bytes is found out, and how much of it."""

import contextlib
import os
import socket
import threading

import pytest
from swarms import Swarm
from uds import CONNECTED, DGRAM, SEQPACKET, STREAM, listening

SIZE = 64
# The first bytes may be right by chance.
NEARLY_ALL = pytest.approx(SIZE, abs=2)


@pytest.fixture
def liar(tmp_path):
    """liar(kind, answer): the path of a service that answers the messages of its clients, numbered from 0 for each, with
    what answer(number, message) lists; None ends the connection."""
    stop = threading.Event()

    def serve_connection(peer, answer):
        with peer, contextlib.suppress(OSError):
            for number in range(1 << 30):
                message = peer.recv(SIZE, socket.MSG_WAITALL) if peer.type == socket.SOCK_STREAM else peer.recv(1 << 16)
                replies = answer(number, message) if message else None
                if replies is None:
                    return
                for reply in replies:
                    peer.send(reply)

    def accept(server, answer):
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                peer, _ = server.accept()
                peer.settimeout(None)
                threading.Thread(target=serve_connection, args=(peer, answer), daemon=True).start()
        server.close()

    def serve_datagrams(server, answer):
        numbers = {}
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                message, sender = server.recvfrom(1 << 16)
                numbers[sender] = numbers.get(sender, -1) + 1
                for reply in answer(numbers[sender], message):
                    server.sendto(reply, sender)
        server.close()

    threads = []

    def start(kind, answer):
        path = str(tmp_path / f"{kind}.sock")
        server = listening(kind, path)
        server.settimeout(0.1)
        threads.append(threading.Thread(target=serve_datagrams if kind == DGRAM else accept, args=(server, answer)))
        threads[-1].start()
        return path

    yield start
    stop.set()
    for thread in threads:
        thread.join()


def judge(path, kind, conduct="echo", **options):
    """Ten messages of one client."""
    numbers = {"clients": 1, "connections": 1, "messages": 10, "window": 1, "sizes": SIZE, "uid": os.geteuid(),
               "gid": os.getegid(), **options}
    return Swarm(conduct, path, kind, **numbers).wait()


def wrong(facts):
    """What is wrong, and how much."""
    names = ("refused", "lost", "lost_bytes", "lost_messages", "repeated_bytes", "swapped_bytes", "changed_bytes")
    return {name: facts[name] for name in names if facts[name]}


KINDS = pytest.mark.parametrize("kind", [STREAM, SEQPACKET, DGRAM])


@KINDS
def test_an_honest_service_is_found_to_be_one(liar, kind):
    facts = judge(liar(kind, lambda number, message: [message]), kind)
    assert (facts["messages"], facts["bytes"], facts["finished"], wrong(facts)) == (10, 10 * SIZE, 1, {})


@pytest.mark.parametrize("kind", CONNECTED)
def test_what_is_missing_is_lost(liar, kind):
    path = liar(kind, lambda number, message: [] if number == 3 else [message])
    assert wrong(judge(path, kind, window=2)) == {"lost_bytes": SIZE}


def test_a_datagram_that_is_missing_is_lost_and_no_other(liar):
    path = liar(DGRAM, lambda number, message: [] if number in (3, 4) else [message])
    facts = judge(path, DGRAM, window=3, seconds=1, patience=1)
    assert facts["lost_bytes"] == 2 * SIZE and facts["lost_messages"] == 2 and facts["messages"] == 8
    assert facts["repeated_bytes"] == facts["swapped_bytes"] == facts["changed_bytes"] == 0


@KINDS
def test_what_comes_twice_is_repeated(liar, kind):
    path = liar(kind, lambda number, message: [message, message] if number == 3 else [message])
    assert wrong(judge(path, kind, window=2)) == {"repeated_bytes": NEARLY_ALL}


@KINDS
def test_a_changed_byte_is_found(liar, kind):
    path = liar(kind, lambda number, message: [message[:-1] + bytes([message[-1] ^ 1])] if number == 3 else [message])
    assert wrong(judge(path, kind)) == {"changed_bytes": 1}


@pytest.mark.parametrize("kind", CONNECTED)
def test_what_another_client_has_sent_is_swapped(liar, kind):
    kept = []

    def answer(number, message):
        kept.append(message)
        return [kept[0]]

    facts = judge(liar(kind, answer), kind, connections=2, messages=1)
    assert wrong(facts) == {"swapped_bytes": NEARLY_ALL}


@pytest.mark.parametrize("kind", CONNECTED)
def test_an_end_before_the_first_answer_is_a_refusal(liar, kind):
    assert wrong(judge(liar(kind, lambda number, message: None), kind)) == {"refused": 1}


@pytest.mark.parametrize("kind", CONNECTED)
def test_an_end_later_is_a_loss_and_so_is_what_was_sent(liar, kind):
    path = liar(kind, lambda number, message: [message] if number < 3 else None)
    assert wrong(judge(path, kind)) == {"lost": 1, "lost_bytes": SIZE, "lost_messages": 1}


def test_silence_is_a_loss_in_the_end(liar):
    path = liar(DGRAM, lambda number, message: [message] if number < 3 else [])
    assert wrong(judge(path, DGRAM, seconds=1, patience=1)) == {"lost": 1, "lost_bytes": SIZE, "lost_messages": 1}


def test_a_message_that_is_cut_off_is_wrong(liar):
    path = liar(SEQPACKET, lambda number, message: [message[:-1]])
    assert wrong(judge(path, SEQPACKET)) == {"changed_bytes": 1}


def test_an_empty_message_too_many_is_found(liar):
    path = liar(DGRAM, lambda number, message: [message, b""])
    assert wrong(judge(path, DGRAM, sizes=0, seconds=1, patience=1))["repeated_bytes"] == 1
