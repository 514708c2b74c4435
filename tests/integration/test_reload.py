# SPDX-License-Identifier: MIT
"""A reload that replaces the program, outside a unit: one that is no good changes nothing."""

import os
import shutil
import signal

import pytest
import uds
from messages import OVERSIZE, bytes_unread, receive_messages, send_oversize
from uds import CONNECTED, DGRAM, SEQPACKET, STREAM, connect, descriptors, echoes, eventually, fill, \
    listening, more_than_unread, open_socket, pattern, receive_exactly


class Replaceable:
    """A daemon whose program can be replaced."""

    def __init__(self, daemon, directory, monkeypatch, listeners, *options, name="echo"):
        self.program = directory / "uds-echod"
        shutil.copy(uds.ECHOD, self.program)
        monkeypatch.setattr(uds, "ECHOD", str(self.program))
        self.manager = open_socket(DGRAM)
        self.listeners = listeners
        self.process = daemon(self.listeners, *options, names=[name] * len(listeners),
                              environment={"NOTIFY_SOCKET": "@" + self.manager.getsockname()[1:].decode()})

    def replace(self, contents, mode=0o755):
        new = self.program.with_suffix(".new")
        new.write_bytes(contents)
        new.chmod(mode)
        new.rename(self.program)

    def hears(self, words):
        while words not in self.manager.recv(4096):
            pass

    def reload(self):
        self.hears(b"READY=1")
        self.process.process.send_signal(signal.SIGHUP)
        self.hears(b"RELOADING=1")
        self.hears(b"READY=1")

    def reload_another(self):
        """Has it replaced by one that is the same."""
        self.replace(self.program.read_bytes())
        self.reload()
        assert os.stat(f"/proc/{self.process.pid}/exe").st_ino == self.program.stat().st_ino


class Reloading(Replaceable):
    """The same with clients."""

    def __init__(self, daemon, directory, monkeypatch):
        super().__init__(daemon, directory, monkeypatch, [listening(kind) for kind in (*CONNECTED, DGRAM)])
        self.clients = [connect(kind, listener.getsockname()) for kind, listener in
                        zip((*CONNECTED, DGRAM, STREAM), self.listeners + self.listeners[:1])]
        assert self.serves()
        self.owed = fill(self.clients[-1])

    def serves(self):
        return all(echoes(client) for client in self.clients[:3]) and \
            all(echoes(connect(kind, listener.getsockname())) for kind, listener in zip(CONNECTED, self.listeners))

    def has_lost_nothing(self):
        return self.serves() and receive_exactly(self.clients[-1], self.owed) == pattern(self.owed)


@pytest.fixture
def reloading(daemon, tmp_path, monkeypatch):
    return Reloading(daemon, tmp_path, monkeypatch)


NO_PROGRAM = {
    "no program": (b"this is no program", "could not be executed (Exec format error)."),
    "a damaged one": (b"\x7fELF" + bytes(60), "could not be executed ("),
    "one that fails": (b"#!/bin/sh\nexit 1\n", "does not start (--version exits with status 1)."),
    "one that crashes": (b"#!/bin/sh\nkill -SEGV $$\n", "is ended by signal 11 as soon as it starts (--version)."),
    "one that hangs": (b"#!/bin/sh\nexec sleep 1000\n", "does not say its version (--version) within 5 seconds."),
    # It goes well once, and is not there any more when it is to be executed.
    "one that is gone": (b'#!/bin/sh\nrm -- "$0"\n', "could not be executed (No such file or directory)."),
}


@pytest.mark.parametrize("what", NO_PROGRAM)
def test_a_reload_with_a_program_that_does_not_start_changes_nothing_and_says_why(reloading, what):
    contents, words = NO_PROGRAM[what]
    before = descriptors(reloading.process.pid)
    reloading.replace(contents)
    reloading.reload()
    assert eventually(lambda: descriptors(reloading.process.pid) == before)
    assert reloading.has_lost_nothing()
    assert reloading.process.terminate() == 0
    log = reloading.process.log()
    assert f"Reload failed, and the program goes on that was running: {reloading.program} {words}" in log


def test_a_program_that_may_not_be_executed_is_none(reloading):
    reloading.replace(reloading.program.read_bytes(), mode=0o644)
    reloading.reload()
    assert reloading.has_lost_nothing()
    assert reloading.process.terminate() == 0
    assert "could not be executed (Permission denied)." in reloading.process.log()


def test_after_a_reload_that_has_failed_another_one_goes_well(reloading):
    good = reloading.program.read_bytes()
    reloading.replace(NO_PROGRAM["one that is gone"][0])
    reloading.reload()
    reloading.replace(good)
    reloading.process.process.send_signal(signal.SIGHUP)
    reloading.hears(b"RELOADING=1")
    reloading.hears(b"READY=1")
    assert os.stat(f"/proc/{reloading.process.pid}/exe").st_ino == reloading.program.stat().st_ino
    assert reloading.has_lost_nothing()
    assert reloading.process.terminate() == 0
    assert "Took over 3 connections." in reloading.process.log()


def test_a_program_that_hangs_does_not_delay_the_end(reloading):
    reloading.replace(NO_PROGRAM["one that hangs"][0])
    reloading.hears(b"READY=1")
    reloading.process.process.send_signal(signal.SIGHUP)
    reloading.hears(b"RELOADING=1")
    reloading.process.process.terminate()
    assert receive_exactly(reloading.clients[-1], reloading.owed) == pattern(reloading.owed)
    assert reloading.process.wait(5) == 0


def test_a_reload_during_a_reload_is_done_after_it(reloading):
    reloading.replace(b"#!/bin/sh\nsleep 1\nexit 1\n")
    reloading.hears(b"READY=1")
    for _ in range(2):
        reloading.process.process.send_signal(signal.SIGHUP)
        reloading.hears(b"RELOADING=1")
    reloading.hears(b"READY=1")
    assert reloading.has_lost_nothing()
    assert reloading.process.terminate() == 0
    assert reloading.process.log().count("Reload failed") == 2


def test_datagrams_that_are_owed_come_however_much_connections_of_that_user_have_unread(daemon, tmp_path, monkeypatch):
    service = Replaceable(daemon, tmp_path, monkeypatch, [listening(SEQPACKET), listening(DGRAM)],
                          "--bytes-max-per-user=1M")
    packets, datagrams = (listener.getsockname() for listener in service.listeners)
    late = open_socket(DGRAM)
    # The kernel keeps some, which are small, for how many it keeps depends on the host; and the others are owed.
    replies = [bytes([number % 256]) * size
               for number, size in enumerate([100] * more_than_unread(0) + [9000] * 60)]
    for reply in replies:
        late.sendto(reply, datagrams)
    # They are more than half of the bound: nothing else is kept, and messages stay where they are.
    assert eventually(lambda: echoes(connect(DGRAM, datagrams)))
    connections = [connect(SEQPACKET, packets) for _ in range(8)]
    sent = [fill(one, piece=1000) for one in connections]
    service.reload_another()
    assert [late.recv(1 << 16) for _ in replies] == replies
    for one, count in zip(connections, sent):
        assert receive_messages(one, count) == pattern(count)
    assert service.process.terminate() == 0
    assert "Datagrams" not in service.process.log()


def test_a_message_beyond_the_send_buffer_is_still_counted(daemon, tmp_path, monkeypatch):
    service = Replaceable(daemon, tmp_path, monkeypatch, [listening(SEQPACKET)], "--bytes-max-per-user=1M",
                          "--workers=1")
    clients = [connect(SEQPACKET, service.listeners[0].getsockname()) for _ in range(6)]
    for number, client in enumerate(clients[:3]):
        send_oversize(client, number)
    assert eventually(lambda: sum(bytes_unread(client) > 0 for client in clients) == 2)
    service.reload_another()
    for number, client in enumerate(clients[3:], 3):
        send_oversize(client, number)
    assert echoes(connect(SEQPACKET, service.listeners[0].getsockname()))
    assert sum(bytes_unread(client) > 0 for client in clients) == 2
    for number, client in enumerate(clients):
        assert client.recv(1 << 20) == bytes([number]) * OVERSIZE
    assert service.process.terminate() == 0
    assert "Connections" not in service.process.log()


@pytest.mark.parametrize("kind", CONNECTED)
def test_who_is_refused_hears_so_although_it_has_sent_something(daemon, tmp_path, monkeypatch, kind):
    policy = tmp_path / "policy"
    policy.write_text("deny user root\n")
    service = Replaceable(daemon, tmp_path, monkeypatch, [listening(kind)], f"--policy={policy}", name="auth")
    clients = [connect(kind, service.listeners[0].getsockname()) for _ in range(5)]
    assert all(eventually(lambda client=client: bytes_unread(client) > 0) for client in clients)
    for client in clients:
        client.send(b"something")
    service.reload_another()
    for client in clients:
        assert client.recv(99) == b"Access denied\n"
        assert client.recv(99) == b""
    assert service.process.terminate() == 0
