# SPDX-License-Identifier: MIT
"""What each user may hold: one at a limit, however it got there, is in nobody's way but its own."""

import contextlib
import os
import signal
import socket
import time
from pathlib import Path

import pytest
from messages import OVERSIZE, bytes_unread, receive_messages, send_oversize
from uds import CONNECTED, DGRAM, SEQPACKET, STREAM, connect, descriptors, echoes, eventually, fill, \
    listening, more_than_unread, open_socket, pattern, receive_exactly, status_kib
from users import ALICE, BOB, connect_as, user

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="it takes root to be several users")


def is_refused(client):
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("kind", CONNECTED)
def test_a_user_at_its_limit_of_connections_is_refused_and_others_are_not(daemon, kind):
    server = listening(kind)
    process = daemon([server], "--connections-max-per-user=3")
    alice = [connect_as(ALICE, kind, server) for _ in range(3)]
    assert all(echoes(client) for client in alice)
    assert is_refused(connect_as(ALICE, kind, server))
    assert echoes(connect_as(BOB, kind, server))
    assert echoes(connect_as(0, kind, server))
    alice.pop().close()
    assert eventually(lambda: not is_gone(connect_as(ALICE, kind, server)))
    assert process.terminate() == 0
    assert "Connections refused, their user has --connections-max-per-user= already" in process.log()


def is_gone(client):
    with contextlib.closing(client):
        try:
            return not echoes(client)
        except (BrokenPipeError, ConnectionResetError):
            return True


def test_root_gets_in_where_all_other_places_are_taken(daemon):
    server = listening(STREAM)
    process = daemon([server], "--connections-max=32", "--connections-max-per-user=20")
    held = [connect_as(uid, STREAM, server) for uid in (ALICE, BOB) for _ in range(15)]
    assert all(echoes(client) for client in held)
    assert is_refused(connect_as(ALICE, STREAM, server))
    roots = [connect_as(0, STREAM, server) for _ in range(2)]
    assert all(echoes(client) for client in roots)
    assert is_refused(connect_as(0, STREAM, server))
    assert process.terminate() == 0
    assert "Connections refused, --connections-max= is reached: 2" in process.log()


@pytest.mark.parametrize("kind", CONNECTED)
def test_who_has_much_unread_is_held_back_and_loses_nothing(daemon, kind):
    server = listening(kind)
    process = daemon([server], "--bytes-max-per-user=100K")
    hogs = [connect_as(ALICE, kind, server) for _ in range(8)]
    assert all(echoes(hog) for hog in hogs)
    sent = [fill(hog, patience=1) for hog in hogs]  # the machine may be busy
    assert all(count > 100_000 for count in sent)
    assert echoes(connect_as(BOB, kind, server), b"x" * 20_000)
    for hog, count in zip(hogs, sent):
        got = receive_exactly(hog, count) if kind == STREAM else receive_messages(hog, count)
        assert got == pattern(count)
        assert echoes(hog)
    assert process.terminate() == 0
    assert "Connections" not in process.log()


@pytest.mark.plain
@pytest.mark.parametrize("kind", CONNECTED)
def test_what_many_of_one_user_have_unread_takes_no_more_memory_than_is_its_user_s(daemon, kind):
    server = listening(kind)
    process = daemon([server], "--bytes-max-per-user=100K", "--workers=1")
    assert echoes(connect_as(BOB, kind, server), b"x" * 20_000)
    before = status_kib(process.pid, "VmRSS")
    hogs = [connect_as(ALICE, kind, server) for _ in range(200)]
    assert sum(fill(hog, 0.05, piece=60_000) for hog in hogs) > len(hogs) * 100_000
    # Without that bound it keeps up to 64 KiB for each, 12.5 MiB.
    assert status_kib(process.pid, "VmRSS") - before < 2048


@pytest.mark.parametrize("kind", CONNECTED)
def test_who_has_much_unread_and_shuts_down_gets_it_all_and_the_end(daemon, kind):
    server = listening(kind)
    daemon([server], "--bytes-max-per-user=1K")
    hogs = [connect_as(ALICE, kind, server) for _ in range(3)]
    assert all(echoes(hog) for hog in hogs)
    sent = [fill(hog) for hog in hogs]
    for hog, count in zip(hogs, sent):
        hog.shutdown(socket.SHUT_WR)
        got = receive_exactly(hog, count) if kind == STREAM else receive_messages(hog, count)
        assert got == pattern(count)
        assert hog.recv(1) == b""


# With one worker: each may send one more, and knows only who waits with it.
def test_messages_beyond_the_send_buffer_are_bounded_for_a_user_and_all_come_back(daemon):
    server = listening(SEQPACKET)
    process = daemon([server], "--bytes-max-per-user=1M", "--workers=1")
    hogs = [connect_as(ALICE, SEQPACKET, server) for _ in range(10)]
    for number, hog in enumerate(hogs):
        send_oversize(hog, number)
    # At half of what the user may have no more are sent: two of these are more than that.
    assert eventually(lambda: sum(bytes_unread(hog) > 0 for hog in hogs) >= 2)
    assert sum(bytes_unread(hog) > 0 for hog in hogs) == 2
    other = connect_as(BOB, SEQPACKET, server)
    send_oversize(other, 99)
    assert other.recv(1 << 20) == bytes([99]) * OVERSIZE
    # Who has waited for longest comes first.
    for number, hog in enumerate(hogs):
        assert hog.recv(1 << 20) == bytes([number]) * OVERSIZE
    for number, hog in enumerate(hogs):
        send_oversize(hog, number + 100)
        assert hog.recv(1 << 20) == bytes([number + 100]) * OVERSIZE
    assert process.terminate() == 0
    assert "Connections" not in process.log()


def test_messages_beyond_the_send_buffer_are_bounded_before_the_greeting_too(daemon, tmp_path):
    policy = tmp_path / "policy"
    policy.write_text(f"allow user {ALICE}\n")
    server = listening(SEQPACKET)
    process = daemon([server], f"--policy={policy}", "--bytes-max-per-user=1M", "--workers=1", names=["auth"])
    assert connect_as(BOB, SEQPACKET, server).recv(99) == b"Access denied\n"
    os.kill(process.pid, signal.SIGSTOP)
    hogs = [connect_as(ALICE, SEQPACKET, server) for _ in range(10)]
    for number, hog in enumerate(hogs):
        send_oversize(hog, number)
    os.kill(process.pid, signal.SIGCONT)
    assert all(eventually(lambda hog=hog: bytes_unread(hog) > 0) for hog in hogs)
    assert [hog.recv(99) for hog in hogs] == [b"Welcome\n"] * 10
    assert eventually(lambda: sum(bytes_unread(hog) > 0 for hog in hogs) >= 2)
    assert sum(bytes_unread(hog) > 0 for hog in hogs) == 2
    for number, hog in enumerate(hogs):
        assert hog.recv(1 << 20) == bytes([number]) * OVERSIZE
    assert process.terminate() == 0
    assert "Connections" not in process.log()


def test_who_hangs_up_while_its_user_has_too_much_unread_is_let_go(daemon):
    server = listening(SEQPACKET)
    process = daemon([server], "--bytes-max-per-user=1M", "--workers=1")
    other = connect_as(BOB, SEQPACKET, server)
    assert echoes(other)
    before = descriptors(process.pid)
    hogs = [connect_as(ALICE, SEQPACKET, server) for _ in range(10)]
    for hog in hogs:
        send_oversize(hog, 1)
    assert eventually(lambda: sum(bytes_unread(hog) > 0 for hog in hogs) == 2)
    waiting = [hog for hog in hogs if not bytes_unread(hog)]
    for hog in waiting[:4]:
        hog.close()
    for hog in waiting[4:]:
        hog.shutdown(socket.SHUT_RDWR)
    assert eventually(lambda: descriptors(process.pid) == before + 2)
    assert echoes(other)


def test_empty_messages_come_back_from_who_has_much_unread(daemon):
    server = listening(SEQPACKET)
    daemon([server], "--bytes-max-per-user=1K")
    hogs = [connect_as(ALICE, SEQPACKET, server) for _ in range(2)]
    assert all(echoes(hog) for hog in hogs)
    sent = [fill(hog) for hog in hogs]
    assert len(receive_messages(hogs[0], sent[0])) == sent[0]
    for message in (b"", b"a", b"", b""):
        hogs[0].send(message)
    assert [hogs[0].recv(10) for _ in range(4)] == [b"", b"a", b"", b""]


def test_descriptors_passed_by_who_has_much_unread_are_not_kept(daemon):
    server = listening(STREAM)
    process = daemon([server], "--bytes-max-per-user=1K")
    hogs = [connect_as(ALICE, STREAM, server) for _ in range(2)]
    assert all(echoes(hog) for hog in hogs)
    sent = [fill(hog) for hog in hogs]
    before = len(os.listdir(f"/proc/{process.pid}/fd"))
    assert len(receive_exactly(hogs[0], sent[0])) == sent[0]
    for _ in range(3):
        try:
            socket.send_fds(hogs[0], [b"abc"], [0, 1, 2])
        except PermissionError:  # Linux 6.16
            hogs[0].send(b"abc")
    assert receive_exactly(hogs[0], 9) == b"abcabcabc"
    assert len(os.listdir(f"/proc/{process.pid}/fd")) == before


def test_datagrams_from_a_thousand_addresses_of_one_user_leave_others_their_bound(daemon):
    server = listening(DGRAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    process = daemon([server])
    with user(ALICE):
        silent = [open_socket(DGRAM) for _ in range(600)]
        for client in silent:
            for _ in range(40):
                client.sendto(b"x" * 100, server.getsockname())
    with user(BOB):
        late = open_socket(DGRAM)
        for i in range(n := more_than_unread(400)):
            late.sendto(b"%d" % i, server.getsockname())
    assert [late.recv(10) for _ in range(n)] == [b"%d" % i for i in range(n)]
    assert process.terminate() == 0
    assert "Datagrams dropped, their user has too many unread" in process.log()


def test_a_user_who_sends_slowly_and_never_reads_does_not_silence_the_others(daemon):
    server = listening(DGRAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    process = daemon([server])
    capacity = 2 * int(Path("/proc/sys/net/core/wmem_max").read_text())  # what the daemon asks for and gets
    size = capacity // 250
    with user(ALICE):
        hog = connect(DGRAM, server.getsockname())
    # So slowly that the daemon does not come to wonder.
    for _ in range(500):
        hog.send(b"x" * size)
        time.sleep(0.006)
    for uid in (BOB, 0):
        with user(uid):
            other = connect(DGRAM, server.getsockname())
        for i in range(50):
            other.send(b"%d" % i)
            assert other.recv(100) == b"%d" % i
    assert process.terminate() == 0
