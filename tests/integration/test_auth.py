# SPDX-License-Identifier: MIT
"""Authentication, by the daemon alone: what a client hears, and what its refusal costs."""

import os
import signal
import socket
import time

import pytest
from uds import (ALL, CONNECTED, DGRAM, PATIENCE, SEQPACKET, STREAM, TYPES, connect, descriptors, echoes, eventually,
                 listening, receive_exactly)

WELCOME, DENIED = b"Welcome\n", b"Access denied\n"
ME, NOT_ME = f"allow user {os.geteuid()}\n", "allow user 4294967294\n"


@pytest.fixture
def guarded(daemon, tmp_path):
    """guarded(kind, policy, …): the address of a socket with the role auth, and the daemon behind it."""

    def start(kind, policy, *arguments, names=("auth",), **more):
        path = tmp_path / "policy"
        path.write_text(policy)
        server = listening(kind)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)  # as PassCredentials=yes does
        process = daemon([server], f"--policy={path}", *arguments, names=names, **more)
        return server.getsockname(), process

    return start


def hear(client, expected):
    """Whether the greeting is the expected one."""
    return receive_exactly(client, len(expected)) == expected if client.type == socket.SOCK_STREAM \
        else client.recv(100) == expected


@pytest.mark.parametrize("kind", CONNECTED)
def test_who_is_admitted_hears_so_and_is_echoed_to(guarded, kind):
    address, _ = guarded(kind, ME)
    client = connect(kind, address)
    assert hear(client, WELCOME)
    for message in (b"hello", b"x" * 100_000):
        assert echoes(client, message)
    client.shutdown(socket.SHUT_WR)
    assert client.recv(1) == b""


@pytest.mark.parametrize("kind", CONNECTED)
def test_who_is_refused_hears_so_and_then_the_end(guarded, kind):
    address, process = guarded(kind, NOT_ME)
    client = connect(kind, address)
    assert hear(client, DENIED)
    assert client.recv(1) == b""
    client.close()
    assert process.terminate() == 0


def test_each_datagram_is_judged(guarded):
    address, _ = guarded(DGRAM, ME)
    assert echoes(connect(DGRAM, address))
    address, _ = guarded(DGRAM, NOT_ME)
    client = connect(DGRAM, address)
    for message in (b"hello", b"", b"x" * 100_000):
        client.send(message)
        assert client.recv(1000) == DENIED


@pytest.mark.parametrize("kind", CONNECTED)
def test_a_refusal_reaches_who_writes_before_looking(guarded, kind):
    # A client that is just about to write gets no EPIPE, so it goes on to read.
    address, _ = guarded(kind, NOT_ME)
    for _ in range(200):
        client = connect(kind, address)
        client.send(b"hello")
        client.send(b"and more")
        client.shutdown(socket.SHUT_WR)
        assert hear(client, DENIED)
        assert client.recv(1) == b""
        client.close()


@pytest.mark.parametrize("kind", CONNECTED)
def test_a_refusal_reaches_who_is_still_sending(guarded, kind):
    address, process = guarded(kind, NOT_ME)
    client = connect(kind, address)
    sent = 0
    with pytest.raises(BrokenPipeError):  # nobody reads it: in the end it is cut off
        for i in range(1_000_000):
            sent += client.send(b"" if kind == SEQPACKET and i % 3 == 0 else b"x" * 1000)
    assert sent > 0
    assert hear(client, DENIED), "what was not read does not make the answer an error"
    assert client.recv(1) == b""
    assert process.terminate() == 0


@pytest.mark.parametrize("kind", CONNECTED)
def test_refused_clients_that_never_leave_cost_a_bounded_amount(guarded, kind):
    address, process = guarded(kind, NOT_ME)
    first = connect(kind, address)
    assert hear(first, DENIED)
    before = descriptors(process.pid)
    crowd = [connect(kind, address) for _ in range(500)]
    for client in crowd:
        assert hear(client, DENIED)
    assert descriptors(process.pid) <= before + 64 + 16, "and those of one turn, which are ended after it"
    assert eventually(lambda: descriptors(process.pid) < before), "nor for long"
    assert hear(connect(kind, address), DENIED)


@pytest.mark.parametrize("kind", CONNECTED)
def test_refused_clients_take_no_place_from_others(guarded, kind, tmp_path):
    address, process = guarded(kind, NOT_ME, "--connections-max=1")
    for _ in range(100):
        assert hear(connect(kind, address), DENIED)
    (tmp_path / "policy").write_text(ME)
    crowd = [connect(kind, address) for _ in range(50)]
    assert all(hear(client, DENIED) for client in crowd)
    process.process.send_signal(1)
    assert eventually(lambda: connect(kind, address).recv(8) == WELCOME), "although 50 have not left yet"
    del crowd


def test_a_refused_sender_that_does_not_read_leaves_others_served(guarded):
    uid = os.geteuid()
    address, _ = guarded(DGRAM, f"deny group {os.getegid()}\nallow user {uid}\n")
    deaf = [connect(DGRAM, address) for _ in range(30)]
    for client in deaf:
        client.setblocking(False)
    flood = os.fork()
    while flood == 0:
        for client in deaf:
            try:
                client.send(b"x" * 1000)
            except BlockingIOError:
                pass
    try:
        # All are refused; what is looked at is that everybody is answered.
        for _ in range(300):
            client = connect(DGRAM, address)
            client.send(b"hello")
            assert client.recv(100) == DENIED
            client.close()
    finally:
        os.kill(flood, signal.SIGKILL)
        os.waitpid(flood, 0)


def test_a_datagram_without_credentials_is_refused(daemon, tmp_path):
    policy = tmp_path / "policy"
    policy.write_text(ME)
    server = listening(DGRAM)
    client = connect(DGRAM, server.getsockname())
    client.send(b"too early")
    process = daemon([server], f"--policy={policy}", names=["auth"])
    assert client.recv(100) == DENIED
    assert echoes(client)
    assert eventually(lambda: "PassCredentials=yes is missing" in process.log())


@pytest.mark.parametrize("number", [1, 60, 250])
def test_descriptors_that_come_with_datagrams_are_closed_and_evade_no_rule(daemon, tmp_path, number):
    # Sent before the service had a say, so that no kernel refuses them; received with room for a pidfd, which
    # they take.
    policy = tmp_path / "policy"
    policy.write_text(f"deny group {os.getegid()}\n{ME}" if number > 1 else f"allow group 4294967294\n{ME}")
    server = listening(DGRAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    client = connect(DGRAM, server.getsockname())
    with open("/dev/null", "rb") as null:
        for _ in range(8):
            socket.send_fds(client, [b"hello"], [null.fileno()] * number)
    process = daemon([server], f"--policy={policy}", names=["auth"], limit=300)
    client.send(b"last")
    for _ in range(8):
        assert client.recv(100) == DENIED
    assert client.recv(100) == (DENIED if number > 1 else b"last"), "the next one is judged as ever"
    assert descriptors(process.pid) < 40


@pytest.mark.parametrize("kind", ALL)
def test_whoami_says_who_a_client_is_whatever_the_type(guarded, kind):
    address, _ = guarded(kind, ME, names=["whoami"])
    client = connect(kind, address)
    if kind == DGRAM:
        client.send(b"")
    text = receive_exactly(client, 1 << 20) if kind == STREAM else client.recv(1 << 20)
    lines = dict(line.split("=", 1) for line in text.decode().splitlines())
    assert list(lines) == [key for key in ("UID", "GID", "GROUPS", "PID", "UNIT", "LABEL", "VERDICT") if key in lines]
    assert lines["UID"] == str(os.geteuid())
    assert lines["GID"] == str(os.getegid())
    assert lines.get("PID", str(os.getpid())) == str(os.getpid())
    assert lines["VERDICT"] == "allow"
    if kind in CONNECTED or "PID" in lines:
        assert sorted(lines["GROUPS"].split(",")) == sorted(str(group) for group in os.getgroups()) or \
            (lines["GROUPS"] == "" and not os.getgroups())


def test_whoami_tells_what_it_would_refuse(guarded):
    address, process = guarded(STREAM, NOT_ME, names=["whoami"])
    client = connect(STREAM, address)
    client.sendall(b"who am I?")
    assert receive_exactly(client, 1 << 20).endswith(b"\nVERDICT=deny\n")
    assert eventually(lambda: "that it would be refused: no line of the policy admits it." in process.log())


@pytest.mark.skipif(os.geteuid() != 0, reason="a process with more groups takes root")
@pytest.mark.parametrize("late", [False, True])
def test_whoami_has_room_for_all_groups_that_a_process_can_have(guarded, late):
    address, process = guarded(STREAM, ME, names=["whoami"])
    groups = list(range(4_000_000_000, 4_000_065_536))
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setgroups(groups)
            client = connect(STREAM, address)
            if late:  # it has been told a part, and the service stops
                assert client.recv(1, socket.MSG_PEEK)
                process.process.terminate()
                time.sleep(1.5)
            text = receive_exactly(client, 1 << 21)
            wanted = b"GROUPS=" + b",".join(b"%d" % group for group in groups) + b"\n"
            status = 0 if wanted in text and text.endswith(b"VERDICT=allow\n") else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_connection_that_is_passed_is_judged_too(daemon, tmp_path):
    policy = tmp_path / "policy"
    for rules, greeting in ((ME, WELCOME), (NOT_ME, DENIED)):
        policy.write_text(rules)
        ours, theirs = socket.socketpair(socket.AF_UNIX, TYPES[SEQPACKET])
        process = daemon([theirs], f"--policy={policy}", names=["connection"])
        theirs.close()
        ours.settimeout(PATIENCE)
        assert ours.recv(100) == greeting
        ours.close()
        assert process.wait() == 0


def test_who_connected_before_a_reload_stays_and_who_comes_after_is_judged_anew(guarded, tmp_path):
    address, process = guarded(STREAM, ME)
    early = connect(STREAM, address)
    assert hear(early, WELCOME)
    (tmp_path / "policy").write_text(NOT_ME)
    process.process.send_signal(1)
    assert eventually(lambda: "Reloading: 1 rule in " in process.log())
    assert eventually(lambda: connect(STREAM, address).recv(99) == DENIED)
    assert echoes(early)


def test_a_bad_policy_is_not_taken_at_a_reload(guarded, tmp_path):
    address, process = guarded(STREAM, ME)
    assert hear(connect(STREAM, address), WELCOME)
    path = tmp_path / "policy"
    for text, mode, words in (("allow user 1\nalow user 2\n", 0o644, f'{path}:2: "alow" is neither allow nor deny.'),
                              (ME, 0o666, "may be written by others"), (None, None, "No such file")):
        if text is None:
            path.unlink()
        else:
            path.write_text(text)
            path.chmod(mode)
        process.process.send_signal(1)
        assert eventually(lambda words=words: words in process.log())
        assert hear(connect(STREAM, address), WELCOME)
    assert eventually(lambda: process.log().count("Reload failed: the policy that was in force stays in force.") == 3)


def test_many_reloads_at_once_end_with_the_last_policy(guarded, tmp_path):
    address, process = guarded(STREAM, ME)
    assert hear(connect(STREAM, address), WELCOME)
    path = tmp_path / "policy"
    for turn in range(300):
        fresh = tmp_path / "fresh"
        fresh.write_text(NOT_ME if turn % 2 else ME)
        fresh.rename(path)
        process.process.send_signal(1)
        assert connect(STREAM, address).recv(8) in (WELCOME, DENIED[:8])
    assert eventually(lambda: connect(STREAM, address).recv(8) == DENIED[:8])
    assert process.terminate() == 0


def test_the_service_manager_hears_of_the_beginning_and_the_end_of_a_reload(guarded):
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind("")
    notify.settimeout(PATIENCE)
    _, process = guarded(STREAM, ME, environment={"NOTIFY_SOCKET": "@" + notify.getsockname()[1:].decode()})

    def heard(text):
        while text not in (message := notify.recv(4096).decode()):
            pass
        return message

    assert heard("READY=1")
    process.process.send_signal(1)
    assert "MONOTONIC_USEC=" in heard("RELOADING=1")
    assert heard("READY=1")


def test_decisions_are_lines_where_there_is_no_journal(guarded):
    address, process = guarded(STREAM, ME)
    assert hear(connect(STREAM, address), WELCOME)
    line = f"uds-echod: Admitted uid {os.geteuid()} (gid {os.getegid()}, pid {os.getpid()}"
    assert eventually(lambda: line in process.log())
    assert "line 1 of the policy says so." in process.log()


def test_a_flood_of_decisions_is_cut_and_counted(guarded):
    address, process = guarded(STREAM, NOT_ME)
    for _ in range(350):
        assert hear(connect(STREAM, address), DENIED)
    assert process.terminate() == 0
    assert process.log().count("Refused uid") == 100
    assert f"Left out of the journal: 250 more refusals of uid {os.geteuid()}." in process.log()
