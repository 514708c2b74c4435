# SPDX-License-Identifier: MIT
"""uds-echo and signals while it connects, which takes time where the backlog is full."""

import contextlib
import json
import signal
import socket
import threading
import time

import pytest
from people import OK, WRONG, catches, full, hold, start, status_of  # noqa: F401
from uds import CONNECTED, PATIENCE, STREAM, eventually


@pytest.mark.parametrize("kind", CONNECTED)
def test_ctrl_c_while_connecting_ends_ping_with_its_summary(full, kind):
    _, path = full(kind)
    for arguments in ([], ["--json"]):
        process = start("ping", *arguments, "--timeout=1h", path)
        assert eventually(lambda: catches(process, signal.SIGINT))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
        assert (process.returncode, err) == (OK, "")
        if arguments:
            assert json.loads(out)["sent"] == 0
        else:
            assert "0 sent, 0 checked" in out and out.count("\n") == 1


def test_ctrl_c_while_connecting_ends_bench_with_what_there_is(full):
    _, path = full(STREAM)
    process = start("bench", "--timeout=1h", path)
    assert eventually(lambda: catches(process, signal.SIGINT))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (OK, "")
    assert "Interrupted before anything was measured" in " ".join(out.split())


@pytest.mark.parametrize("command", ["send", "whoami", "check"])
def test_ctrl_c_simply_ends_the_others(full, command):
    _, path = full(STREAM)
    process = start(command, "--timeout=1h", path)
    assert eventually(lambda: status_of(process, "Name") == "uds-echo" and status_of(process, "State") == "S")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGINT


@pytest.mark.parametrize("timeout", ["1h", "infinity"])
@pytest.mark.parametrize("command", ["ping -c 1", "check", "send", "bench --duration=10ms --rounds=1 --connections=1 --sizes=64"])
def test_who_is_stopped_while_connecting_goes_on_with_it(full, command, timeout):
    server, path = full(STREAM)
    process = start(*command.split(), "--type=stream", f"--timeout={timeout}", path)
    hold(process)

    def serve(peer):
        with contextlib.suppress(OSError):
            while data := peer.recv(4096):
                peer.sendall(data)
        peer.close()

    def accept():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    out, err = process.communicate(timeout=PATIENCE)
    server.shutdown(socket.SHUT_RDWR)
    assert (process.returncode, err) == (OK, ""), out


def test_who_is_stopped_while_connecting_has_the_time_that_is_left(full):
    _, path = full(STREAM)
    before = time.monotonic()
    process = start("send", "--timeout=1s", path, "x")
    hold(process)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == WRONG and "no answer in time" in err
    assert time.monotonic() - before >= 1
