# SPDX-License-Identifier: MIT
"""systemctl restart, which clients do not notice; and what is no restart."""

import contextlib
import os
import re
import shutil
import socket
import threading
import time

import pytest
from uds import ABORTED, ALL, CONNECTED, DGRAM, KILLED, PATIENCE, SEQPACKET, STREAM, Units, connect, echoes, eventually, fill, \
    more_than_unread, open_socket, pattern, receive_exactly, run

pytestmark = pytest.mark.systemd


OWED_DATAGRAMS = r"Handed over .* and [1-9]\d* datagrams?\."


def receive_all(client, length):
    got = b""
    while len(got) < length:
        piece = client.recv(1 << 20)
        assert piece, f"the end after {len(got)} of {length} bytes"
        got += piece
    return got


def restart(units):
    before = units.pid()
    units.systemctl("restart", units.service)
    assert units.pid() != before


@pytest.mark.parametrize("kind", CONNECTED)
def test_a_connection_outlives_restarts(service, kind):
    client = service.connect(kind)
    for i in range(3):
        assert echoes(client, b"%d" % i)
        restart(service)
    assert echoes(client)


def test_more_connections_than_one_message_takes_outlive_a_restart(service):
    clients = [service.connect(kind) for kind in CONNECTED for _ in range(300)]
    assert all(echoes(client, b"%d" % i) for i, client in enumerate(clients))
    began = time.time()
    restart(service)
    assert all(echoes(client, b"%d" % i) for i, client in enumerate(clients))
    log = service.journal(began)
    assert "Handed over 600 connections and 0 datagrams." in log
    assert "Took over 600 connections." in log


@pytest.mark.parametrize("kind", CONNECTED)
def test_what_a_client_is_owed_comes_after_a_restart(service, kind):
    client = service.connect(kind)
    assert echoes(client)
    sent = fill(client)
    restart(service)
    restart(service)
    assert receive_all(client, sent) == pattern(sent)
    assert echoes(client)


@pytest.mark.parametrize("kind", CONNECTED)
def test_who_has_shut_down_gets_all_and_the_end_after_a_restart(service, kind):
    client = service.connect(kind)
    assert echoes(client)
    sent = fill(client)
    client.shutdown(socket.SHUT_WR)
    restart(service)
    assert receive_all(client, sent) == pattern(sent)
    assert client.recv(1) == b""


def test_empty_messages_are_still_told_from_the_end(service):
    client = service.connect(SEQPACKET)
    client.send(b"")
    assert client.recv(1) == b""
    sent = fill(client)
    restart(service)
    assert receive_all(client, sent) == pattern(sent)
    client.send(b"")
    client.send(b"x")
    assert [client.recv(9), client.recv(9)] == [b"", b"x"]


def test_datagrams_that_are_owed_come_after_a_restart_in_order(service):
    client = open_socket(DGRAM)
    n = more_than_unread(400)
    for i in range(n):
        client.sendto(b"%d" % i, service.path(DGRAM))
    assert eventually(lambda: "to be read" in service.status())
    began = time.time()
    restart(service)
    assert re.search(OWED_DATAGRAMS, service.journal(began))
    assert [client.recv(16) for _ in range(n)] == [b"%d" % i for i in range(n)]


def test_who_has_left_in_the_meantime_is_gone_after_a_restart(service):
    clients = [service.connect(STREAM) for _ in range(10)]
    assert all(echoes(client) for client in clients)
    stay = clients[:5]
    restart_begun = threading.Thread(target=restart, args=(service,))
    restart_begun.start()
    for client in clients[5:]:
        client.close()
    restart_begun.join()
    assert all(echoes(client) for client in stay)
    assert eventually(lambda: "5 connections now" in service.status())


def test_clients_that_talk_all_the_time_notice_nothing(service):
    stop = threading.Event()
    wrong = []

    def talk(kind, i):
        client = service.connect(kind)
        n = 0
        while not stop.is_set():
            message = b"%d-%d-" % (i, n) + b"x" * (n % 3000)
            if not echoes(client, message):
                wrong.append((kind, i, n))
                return
            n += 1

    threads = [threading.Thread(target=talk, args=(kind, i)) for kind in CONNECTED for i in range(8)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        restart(service)
    stop.set()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert not wrong


@pytest.mark.parametrize("kind", ALL)
def test_who_arrives_during_a_restart_is_served(service, kind):
    stop = threading.Event()
    served = []

    def arrive():
        while not stop.is_set():
            with contextlib.closing(service.connect(kind)) as client:
                if kind == DGRAM:
                    client.sendto(b"hello", service.path(kind))
                    served.append(client.recv(9) == b"hello")
                else:
                    served.append(echoes(client))

    thread = threading.Thread(target=arrive)
    thread.start()
    for _ in range(5):
        restart(service)
    stop.set()
    thread.join(PATIENCE)
    assert served and all(served)


def test_a_stop_keeps_nothing_and_sends_out_what_is_owed(service):
    idle, slow = service.connect(STREAM), service.connect(STREAM)
    assert echoes(idle) and echoes(slow)
    sent = fill(slow)
    stopping = threading.Thread(target=service.systemctl, args=("stop", service.socket, service.service))
    stopping.start()
    assert receive_all(slow, sent) == pattern(sent)
    assert slow.recv(1) == b"" and idle.recv(1) == b""
    stopping.join()
    assert service.show(service.service, "NFileDescriptorStore") == "0"


def test_nothing_stays_in_the_store_after_a_restart(service):
    client = service.connect(STREAM)
    assert echoes(client)
    restart(service)
    assert echoes(client)
    assert eventually(lambda: service.show(service.service, "NFileDescriptorStore") == "0")


def test_where_nothing_is_kept_a_restart_ends_connections_as_a_stop_does(service):
    service.override(service.service, "[Service]\nFileDescriptorStoreMax=0\n")
    client = service.connect(STREAM)
    assert echoes(client)
    sent = fill(client)
    began = time.time()
    restarting = threading.Thread(target=restart, args=(service,))
    restarting.start()
    assert receive_all(client, sent) == pattern(sent)
    assert client.recv(1) == b""
    restarting.join()
    assert echoes(service.connect(STREAM))
    assert "FileDescriptorStoreMax= in the unit" in service.journal(began)


def test_a_crash_loses_connections_and_nothing_else(service):
    service.ends.add(KILLED)
    client = service.connect(STREAM)
    assert echoes(client)
    service.systemctl("kill", "--signal=KILL", "--kill-who=main", service.service)
    assert client.recv(1) == b""
    assert echoes(service.connect(STREAM))
    assert service.state(service.socket) == "active"


def test_the_socket_can_be_restarted_with_its_service(service):
    client = service.connect(STREAM)
    assert echoes(client)
    silent = open_socket(DGRAM)
    n = more_than_unread(400)
    for i in range(n):
        silent.sendto(b"%d" % i, service.path(DGRAM))
    assert eventually(lambda: "to be read" in service.status())
    began = time.time()
    service.systemctl("restart", service.socket)
    assert re.search(OWED_DATAGRAMS, service.journal(began))
    assert echoes(service.connect(STREAM))
    assert echoes(client)
    assert [silent.recv(16) for _ in range(n)] == [b"%d" % i for i in range(n)]


def test_who_was_admitted_is_not_judged_again():
    units = Units("uds-auth")
    units.start()
    try:
        client = units.connect(STREAM)
        assert receive_exactly(client, 8) == b"Welcome\n"
        units.override(units.service, "[Service]\nBindReadOnlyPaths=/run/nobody:/etc/uds-echo/policy\n")
        with open("/run/nobody", "w", encoding="ascii") as file:
            file.write("deny user root\n")
        restart(units)
        assert echoes(client)
        assert units.connect(STREAM).recv(99) == b"Access denied\n"
    finally:
        units.stop()


@pytest.fixture
def replaceable(service):
    """The service with a program of its own, that can be replaced: replaceable(). Returns when it has been."""
    program = "/run/uds-echod-of-the-test"
    installed = "/usr/libexec/uds-echod"
    shutil.copy(installed, program)
    options = service.show(service.service, "ExecStart")
    options = options.split("argv[]=")[1].split(" ;")[0].split(" ", 1)[1]
    service.override(service.service, f"[Service]\nExecStart=\nExecStart={program} {options}\n"
                                      f"ExecReload=\nExecReload={program} --version\n"
                                      f"ExecReload=/bin/kill -HUP $MAINPID\n")

    def replace():
        shutil.copy(installed, program + ".new")
        os.rename(program + ".new", program)
        return program

    yield replace
    os.unlink(program)


def test_a_reload_executes_a_program_that_was_replaced_and_keeps_connections(service, replaceable):
    clients = [service.connect(kind) for kind in CONNECTED for _ in range(200)]
    assert all(echoes(client) for client in clients)
    sent = fill(clients[0])
    silent = open_socket(DGRAM)
    n = more_than_unread(400)
    for i in range(n):
        silent.sendto(b"%d" % i, service.path(DGRAM))
    assert eventually(lambda: "to be read" in service.status())
    pid, began = service.pid(), time.time()
    program = replaceable()
    service.systemctl("reload", service.service)
    assert eventually(lambda: os.stat(f"/proc/{pid}/exe").st_ino == os.stat(program).st_ino)
    assert service.pid() == pid
    assert receive_all(clients[0], sent) == pattern(sent)
    assert all(echoes(client) for client in clients)
    assert [silent.recv(16) for _ in range(n)] == [b"%d" % i for i in range(n)]
    assert echoes(service.connect(STREAM))
    log = service.journal(began)
    assert f"Executing {program}, which has changed." in log
    assert re.search(OWED_DATAGRAMS, log)
    restart(service)
    assert all(echoes(client) for client in clients)


def test_a_reload_without_another_program_changes_nothing(service):
    client = service.connect(STREAM)
    assert echoes(client)
    pid, began = service.pid(), time.time()
    service.systemctl("reload", service.service)
    assert echoes(client)
    assert service.pid() == pid
    assert eventually(lambda: "Nothing to reload: the program has not changed." in service.journal(began))


def test_a_program_that_does_not_start_ends_the_reload_and_not_the_service(service, replaceable):
    client = service.connect(STREAM)
    assert echoes(client)
    program = replaceable()
    with open(program + ".new", "w", encoding="ascii") as file:
        file.write("this is no program\n")
    os.chmod(program + ".new", 0o755)
    os.rename(program + ".new", program)
    assert run("systemctl", "reload", service.service).returncode != 0
    assert echoes(client)


def test_a_program_that_fails_is_refused_by_the_service_itself(service, replaceable):
    client = service.connect(STREAM)
    assert echoes(client)
    sent = fill(client)
    began, program = time.time(), replaceable()
    service.override(service.service, f"[Service]\nExecStart=\nExecStart={program}\n"
                                      f"ExecReload=\nExecReload=/bin/kill -HUP $MAINPID\n")
    with open(program + ".new", "w", encoding="ascii") as file:
        file.write("#!/bin/sh\nexit 1\n")
    os.chmod(program + ".new", 0o755)
    os.rename(program + ".new", program)
    service.systemctl("reload", service.service)
    assert eventually(lambda: f"{program} does not start (--version exits with status 1)." in service.journal(began))
    assert receive_all(client, sent) == pattern(sent)
    assert echoes(client)


def test_a_service_that_hangs_is_started_anew(service):
    service.ends |= {ABORTED, KILLED}
    service.override(service.service, "[Service]\nWatchdogSec=6s\nTimeoutAbortSec=1s\n")
    client = service.connect(STREAM)
    assert echoes(client)
    time.sleep(9)
    assert echoes(client), "it is told in time that all is well"
    pid = service.pid()
    service.systemctl("kill", "--signal=STOP", "--kill-who=main", service.service)
    assert client.recv(1) == b""
    assert eventually(lambda: service.pid() not in (0, pid))
    assert echoes(connect(STREAM, service.path(STREAM)))
