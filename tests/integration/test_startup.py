# SPDX-License-Identifier: MIT
"""How the daemon is started, with what, and what it says if that is wrong."""

import os
import socket

import pytest
from uds import (ALL, CONNECTED, DGRAM, ECHOD, SEQPACKET, STREAM, connect, echoes, eventually, falls_silent,
                 listening, receive_exactly, run)

EX_USAGE, EX_CONFIG = 64, 78


def said(text):
    """One line, whole."""
    assert text.count("\n") == 1 and text.endswith(".\n"), text
    return text


def test_started_by_hand_it_says_how_it_is_meant_to_be_started():
    done = run(ECHOD)
    assert done.returncode == EX_USAGE
    assert "systemctl start uds-echo.socket" in said(done.stderr)


@pytest.mark.parametrize("arguments", [
    ["--unknown"], ["--exit-idle-time=5x"], ["--connections-max=0"], ["--log-level=loud"], ["--exit-idle-time"],
    ["--workers=0"], ["--workers=257"], ["--workers=many"], ["/run/uds-echo/stream.sock"],
])
def test_a_wrong_command_line_is_one_line_that_names_it(arguments):
    done = run(ECHOD, *arguments)
    assert done.returncode == EX_USAGE
    assert arguments[0].split("=")[0] in said(done.stderr)


def test_help_and_version_go_to_standard_output():
    for option, expected in (("--help", "--exit-idle-time="), ("--version", "uds-echod ")):
        done = run(ECHOD, option)
        assert (done.returncode, done.stderr) == (0, "")
        assert expected in done.stdout


def refused(daemon, sockets, *words, **more):
    process = daemon(sockets, **more)
    assert process.wait() == EX_CONFIG
    line = said(process.log())
    for word in words:
        assert word in line
    return line


def test_a_descriptor_that_is_no_socket_is_named(daemon):
    with open("/dev/null", "rb") as null:
        refused(daemon, [listening(STREAM), null], "Descriptor 4", "is not a socket")


def test_a_descriptor_that_is_not_open_is_named(daemon):
    refused(daemon, [listening(STREAM)], "Descriptor 4", "is not open", environment={"LISTEN_FDS": "2"})


def test_a_socket_of_a_kind_that_is_not_served_is_named(daemon):
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    refused(daemon, [netlink], "Descriptor 3", "a kind that is not served")


def test_a_socket_that_neither_listens_nor_is_connected_is_named(daemon):
    stream = socket.socket(socket.AF_UNIX)
    stream.bind("")
    refused(daemon, [stream], "Descriptor 3", "neither listens nor is connected")


@pytest.mark.parametrize("name", ["metrics", "mail", "Auth"])
def test_a_name_that_is_no_role_is_an_error_and_no_open_door(daemon, name):
    refused(daemon, [listening(STREAM), listening(SEQPACKET)], "Descriptor 4", f'"{name}"', "no role",
            names=["echo", name])


@pytest.mark.parametrize("name", ["echo", "mine.socket", "connection", "unknown"])
def test_names_that_systemd_gives_by_itself_mean_echo(daemon, name):
    server = listening(STREAM)
    daemon([server], names=[name])
    assert echoes(connect(STREAM, server.getsockname()))


def test_the_environment_must_be_understood(daemon):
    refused(daemon, [listening(STREAM)], "environment", environment={"LISTEN_FDS": "many"})


@pytest.mark.parametrize("kind", CONNECTED)
def test_a_connection_that_is_passed_is_served_and_then_the_daemon_exits(daemon, kind):
    ours, theirs = socket.socketpair(socket.AF_UNIX, {STREAM: socket.SOCK_STREAM,
                                                      SEQPACKET: socket.SOCK_SEQPACKET}[kind])
    process = daemon([theirs], names=["connection"])
    theirs.close()
    assert echoes(ours)
    assert echoes(ours)
    ours.close()
    assert process.wait() == 0


def test_all_socket_types_are_served_by_one_daemon(daemon):
    servers = {kind: listening(kind) for kind in ALL}
    daemon(list(servers.values()))
    for kind, server in servers.items():
        assert echoes(connect(kind, server.getsockname()))


def test_tcp_and_udp_are_served_by_the_same_code(daemon):
    tcp = socket.create_server(("127.0.0.1", 0))
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    process = daemon([tcp, udp])
    client = socket.create_connection(tcp.getsockname(), timeout=10)
    client.sendall(b"hello")
    assert client.recv(10) == b"hello"
    client.shutdown(socket.SHUT_WR)
    assert client.recv(10) == b""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.settimeout(10)
        datagrams.connect(udp.getsockname())
        for message in (b"hello", b"", b"x" * 60_000):
            datagrams.send(message)
            assert datagrams.recv(65_536) == message
    assert process.terminate() == 0


def test_a_tcp_client_that_has_left_before_the_start_is_no_error(daemon):
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        passed, _ = server.accept()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()  # resets the connection
        process = daemon([passed], names=["connection"])
        assert process.wait() == 0, process.log()


def test_the_log_level_is_obeyed(daemon):
    server = listening(DGRAM)
    quiet = daemon([server], "--log-level=err", "--exit-idle-time=1ms")
    assert quiet.wait() == 0
    assert quiet.log() == ""
    talkative = daemon([server], "--log-level=info", "--exit-idle-time=1ms")
    assert talkative.wait() == 0
    assert "uds-echod: Echoing on @" in talkative.log()
    assert "being idle" in talkative.log()


def test_readiness_and_status_are_notified(daemon):
    server = listening(STREAM)
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind("")
    notify.settimeout(10)
    process = daemon([server], environment={"NOTIFY_SOCKET": "@" + notify.getsockname()[1:].decode()})
    received = []

    def heard(text):
        while not any(text in message for message in received):
            received.append(notify.recv(4096).decode())
        return True

    assert heard("READY=1")
    client = connect(STREAM, server.getsockname())
    assert echoes(client)
    assert heard("STATUS=Echoing: 1 connection now, 1 message so far.")
    client.close()
    assert heard("STATUS=Echoing: 0 connections now, 1 message so far.")
    process.process.terminate()
    assert heard("STOPPING=1")
    assert process.wait() == 0


def test_an_idle_daemon_wakes_up_for_nothing(daemon):
    server = listening(STREAM)
    process = daemon([server], "--exit-idle-time=1h")
    client = connect(STREAM, server.getsockname())
    assert echoes(client)

    assert falls_silent(process.pid), "it wakes up again and again"


@pytest.mark.parametrize("role", ["auth", "whoami"])
def test_a_role_that_takes_a_policy_is_refused_without_one(daemon, role):
    refused(daemon, [listening(STREAM), listening(SEQPACKET)], "Descriptor 4", f'"{role}"', "--policy=FILE",
            names=["echo", role])


def test_tcp_and_udp_are_refused_where_clients_are_authenticated(daemon, tmp_path):
    policy = tmp_path / "policy"
    policy.write_text("allow user root\n")
    tcp = socket.create_server(("127.0.0.1", 0))
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    for server, name in ((tcp, "auth"), (udp, "auth"), (tcp, "whoami"), (udp, "my.socket")):
        process = daemon([server], f"--policy={policy}", names=[name])
        assert process.wait() == EX_CONFIG
        assert "only on a Unix socket does the kernel say who a client is" in said(process.log())


def test_with_a_policy_a_socket_without_a_role_is_guarded(daemon, tmp_path):
    policy = tmp_path / "policy"
    policy.write_text("# nobody\n")
    server = listening(STREAM)
    daemon([server], f"--policy={policy}", names=["mine.socket"])
    assert receive_exactly(connect(STREAM, server.getsockname()), 14) == b"Access denied\n"


def test_all_mistakes_of_a_policy_are_told_in_one_go(daemon, tmp_path):
    policy = tmp_path / "policy"
    policy.write_text("allow user root\nallow user no-such-user\n\npermit all\nallow unit backup\n")
    process = daemon([listening(STREAM)], f"--policy={policy}")
    assert process.wait() == EX_CONFIG
    lines = process.log().splitlines()
    assert [line.split(" ")[1] for line in lines] == [f"{policy}:2:", f"{policy}:4:", f"{policy}:5:"]
    for word, line in zip(('"no-such-user"', '"permit"', '"backup"'), lines):
        assert word in line


@pytest.mark.parametrize("text, status", [("allow user root\n", 0), ("allow user root\nallow\n", EX_CONFIG)])
def test_a_policy_is_checked_without_serving(tmp_path, text, status):
    policy = tmp_path / "policy"
    policy.write_text(text)
    for arguments in (["--check-policy", str(policy)], [f"--check-policy={policy}"]):
        done = run(ECHOD, *arguments)
        assert done.returncode == status
        assert (done.stdout == "1: allow user root (0)\neveryone else is refused\n") == (status == 0)
        assert (f'{policy}:2: "allow"' in done.stderr) == (status != 0)


def test_a_policy_that_others_may_write_or_that_is_no_file_is_refused(tmp_path):
    policy = tmp_path / "policy"
    policy.write_text("allow user root\n")
    for mode in (0o664, 0o646):
        policy.chmod(mode)
        done = run(ECHOD, f"--check-policy={policy}")
        assert done.returncode == EX_CONFIG
        assert "may be written by others than root" in said(done.stderr)
    os.mkfifo(tmp_path / "fifo")
    for path, reason in ((tmp_path / "fifo", "is not a regular file"), (tmp_path, "is not a regular file"),
                         (tmp_path / "none", "No such file")):
        done = run(ECHOD, f"--check-policy={path}")
        assert done.returncode == EX_CONFIG
        assert reason in said(done.stderr)
