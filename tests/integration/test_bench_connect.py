# SPDX-License-Identifier: MIT
"""uds-echo bench --connect: every message on a connection of its own."""

import contextlib
import json
import re
import socket
import threading

import pytest
from uds import CLIENT, CONNECTED, DGRAM, SEQPACKET, STREAM, listening, run

SHORT = ("--connect", "--duration=200ms", "--rounds=2", "--sizes=64")


def bench(*arguments):
    return run(CLIENT, "bench", *arguments)


def measure(*arguments):
    """What was found at the first socket in the only point."""
    done = bench("--json", *arguments)
    assert done.returncode == 0, done.stderr
    point, = json.loads(done.stdout)["points"]
    assert point["connect"]
    return point["results"][0]


class Server(threading.Thread):
    """Serves one connection after the other, the next one when the last one has ended; as ANSWER(number of the
    connection, message) says, or not at all with None."""

    def __init__(self, path, kind, answer=lambda number, message: message, backlog=64):
        super().__init__(daemon=True)
        self.answer = answer
        self.connections = 0
        self.messages = []
        self.listener = socket.socket(socket.AF_UNIX, getattr(socket, f"SOCK_{kind.upper()}"))
        self.listener.bind(path)
        self.listener.listen(backlog)
        self.start()

    def run(self):
        while True:
            client, _ = self.listener.accept()
            self.connections += 1
            self.messages.append(0)
            with client, contextlib.suppress(ConnectionError):
                while message := client.recv(1 << 17):
                    self.messages[-1] += 1
                    answer = self.answer(self.connections, message)
                    if answer is None:
                        break
                    client.sendall(answer)


@pytest.mark.parametrize("options", ([], ["--busy-poll"], ["--connections=5"], ["--connections=5", "--threads=2"]))
@pytest.mark.parametrize("kind", CONNECTED)
def test_every_message_has_a_connection_of_its_own(tmp_path, kind, options):
    server = Server(str(tmp_path / "s.sock"), kind)
    found = measure(*SHORT, "--connections=1", *options, str(tmp_path / "s.sock"))
    # In each of the two rounds, one more looks at what is there.
    assert server.connections == found["echoed"] + 2
    assert set(server.messages) == {1}
    assert found["messages_per_second"]["median"] > 0 and found["latency_ns"]["p50"] > 0


@pytest.mark.parametrize("kind", CONNECTED)
def test_large_messages_come_back_whole(daemon, tmp_path, kind):
    path = str(tmp_path / "echo.sock")
    daemon([listening(kind, path)])
    assert measure(*SHORT, "--sizes=100K", "--connections=3", path)["echoed"] > 0


@pytest.mark.parametrize("options", ([], ["--busy-poll"]))
def test_a_full_queue_of_connections_is_no_failure(tmp_path, options):
    Server(str(tmp_path / "s.sock"), STREAM, backlog=0)
    assert measure(*SHORT, "--connections=16", *options, str(tmp_path / "s.sock"))["echoed"] > 16


def test_tcp_is_connected_to_as_well(daemon):
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    daemon([server])
    for connections in ("1", "4"):
        assert measure(*SHORT, f"--connections={connections}", f"tcp:127.0.0.1:{port}")["echoed"] > 0


@pytest.mark.parametrize("kind", CONNECTED)
def test_a_welcome_on_each_connection_is_no_echo(daemon, tmp_path, kind):
    policy, path = tmp_path / "policy", str(tmp_path / "auth.sock")
    policy.write_text("allow user root\nallow group 0\ndeny user 1\n")
    server = listening(kind, path)
    daemon([server], f"--policy={policy}", names=("auth",))
    for connections in ("1", "4"):
        assert measure(*SHORT, f"--connections={connections}", path)["echoed"] > 0


@pytest.mark.parametrize("connections", ("1", "4"))
def test_a_connection_that_ends_without_an_echo_is_a_failure(tmp_path, connections):
    Server(str(tmp_path / "s.sock"), STREAM, lambda number, message: None if number == 50 else message)
    done = bench(*SHORT, f"--connections={connections}", str(tmp_path / "s.sock"))
    assert done.returncode == 1
    assert re.search(r"connection \d, message \d+: did not come back: the service has closed the connection",
                     done.stderr), done.stderr


@pytest.mark.parametrize("kind", CONNECTED)
def test_a_wrong_byte_is_found(tmp_path, kind):
    Server(str(tmp_path / "s.sock"), kind, lambda number, message: message[:-1] + b"?" if number == 50 else message)
    done = bench(*SHORT, "--connections=1", str(tmp_path / "s.sock"))
    assert done.returncode == 1
    # The first connection was the one that looks at what is there.
    assert "connection 1, message 49: byte 64 is 0x3f" in done.stderr


def test_a_datagram_socket_has_no_connections(daemon, tmp_path):
    path = str(tmp_path / "d.sock")
    daemon([listening(DGRAM, path)])
    done = bench(*SHORT, path)
    assert done.returncode == 64
    assert done.stderr == f"uds-echo: {path}: a datagram socket has no connections (--connect)\n"


@pytest.mark.parametrize("option", ("--window=2", "--window=1,2", "--rate=100"))
def test_what_does_not_go_together_with_it_is_said_in_one_line(option):
    done = bench("--connect", option)
    assert done.returncode == 64
    assert re.fullmatch(r"uds-echo.*\n", done.stderr)


def test_the_table_says_so(daemon, tmp_path):
    path = str(tmp_path / "echo.sock")
    daemon([listening(SEQPACKET, path)])
    done = bench(*SHORT, "--connections=2", path)
    assert done.returncode == 0
    assert done.stdout.startswith("64 B, 2 connections at a time, a new one for each message\n")
