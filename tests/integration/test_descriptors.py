# SPDX-License-Identifier: MIT
"""Descriptors: those that clients pass, and those that the daemon runs out of."""

import os
import resource
import socket
import time

import pytest
from uds import (ALL, CONNECTED, PATIENCE, STREAM, connect, descriptors, echoes, eventually, listening,
                 receive_exactly)

SO_PASSRIGHTS = 83  # Linux 6.16


@pytest.mark.parametrize("kind", ALL)
def test_descriptors_that_a_client_passes_are_never_kept(service, kind):
    assert echoes(service.connect(kind))
    pid = service.pid(kind)
    client = service.connect(kind)
    assert echoes(client)
    before = descriptors(pid)
    refused = 0
    with open("/dev/null", "rb") as null:
        for i in range(3000):
            message = b"%04d" % i
            try:
                socket.send_fds(client, [message], [null.fileno()] * 4)
            except PermissionError:  # the kernel refuses, because the service does not take them
                refused += 1
                continue
            received = receive_exactly(client, 4) if kind == STREAM else client.recv(10)
            assert received == message
    assert eventually(lambda: descriptors(pid) <= before)
    assert echoes(client), "the client itself is served on"
    probe = socket.socket(socket.AF_UNIX)
    try:
        probe.getsockopt(socket.SOL_SOCKET, SO_PASSRIGHTS)
        assert refused == 3000, "this kernel can refuse at the client, and did not"
    except OSError:
        assert refused == 0


@pytest.mark.parametrize("kind", CONNECTED)
def test_descriptors_passed_to_a_kernel_that_cannot_refuse_are_closed_at_once(daemon, kind):
    server = listening(kind)
    # Connected before the service had a say, as with an older kernel: nothing is refused at the client.
    client = connect(kind, server.getsockname())
    process = daemon([server])
    assert echoes(client)
    assert eventually(lambda: "Echoing on" in process.log()), "it has opened all that it needs by then"
    before = descriptors(process.pid)
    with open("/dev/null", "rb") as null:
        for i in range(3000):
            socket.send_fds(client, [b"%04d" % i], [null.fileno()] * 4)
            received = receive_exactly(client, 4) if kind == STREAM else client.recv(10)
            assert received == b"%04d" % i
        assert descriptors(process.pid) == before
        # Also where it looks for the end of a seqpacket connection with room for control data.
        socket.send_fds(client, [b"last"], [null.fileno()] * 4)
        client.shutdown(socket.SHUT_WR)
        assert client.recv(10) == b"last"
        assert client.recv(10) == b""
    assert eventually(lambda: descriptors(process.pid) == before - 1)


def cpu_ticks(pid):
    fields = open(f"/proc/{pid}/stat", encoding="ascii").read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def without_spinning(process):
    before = cpu_ticks(process.pid)
    time.sleep(1)
    return cpu_ticks(process.pid) - before < os.sysconf("SC_CLK_TCK") / 5


def all_are_served_in_turn(clients):
    """Those that wait are served as soon as others leave; nobody is refused."""
    for client in clients:
        assert echoes(client)
        client.close()


def test_more_connections_than_descriptors_wait_to_be_accepted(daemon):
    server = listening(STREAM)
    process = daemon([server], "--connections-max=1000", "--connections-max-per-user=1000", limit=64)
    clients = [connect(STREAM, server.getsockname()) for _ in range(100)]
    assert echoes(clients[0])
    assert eventually(lambda: "--connections-max=1000 is more than there are descriptors for" in process.log())
    assert eventually(lambda: "Pauses in accepting connections" in process.log())
    assert without_spinning(process)
    assert descriptors(process.pid) < 64, "it keeps some for itself"
    all_are_served_in_turn(clients)
    assert process.terminate() == 0


def test_running_out_of_descriptors_pauses_accepting_without_spinning(daemon):
    server = listening(STREAM)
    process = daemon([server])
    first = connect(STREAM, server.getsockname())
    assert echoes(first)
    assert eventually(lambda: "Echoing on" in process.log())
    # As if something else had taken them: accept(2) fails with EMFILE from here on.
    used = descriptors(process.pid)
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (used + 5, used + 5))
    clients = [first] + [connect(STREAM, server.getsockname()) for _ in range(50)]
    assert eventually(lambda: "Pauses in accepting connections" in process.log())
    assert without_spinning(process)
    all_are_served_in_turn(clients)
    assert process.terminate() == 0


@pytest.mark.parametrize("kind", CONNECTED)
def test_a_connection_beyond_connections_max_is_refused_and_counted(daemon, kind):
    server = listening(kind)
    process = daemon([server], "--connections-max=3")
    clients = [connect(kind, server.getsockname()) for _ in range(3)]
    assert all(echoes(client) for client in clients)
    refused = connect(kind, server.getsockname())
    assert refused.recv(1) == b""
    assert all(echoes(client) for client in clients)
    clients.pop().close()
    assert eventually(lambda: can_be_served(kind, server.getsockname()))
    assert process.terminate() == 0
    assert "Connections refused, --connections-max= is reached" in process.log()


def can_be_served(kind, address):
    client = connect(kind, address)
    client.settimeout(PATIENCE)
    try:
        return echoes(client)
    except (BrokenPipeError, ConnectionResetError):
        return False
