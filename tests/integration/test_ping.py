# SPDX-License-Identifier: MIT
"""uds-echo ping."""

import json
import os
import signal
import socket
import subprocess
import time

import pytest
from people import ME, OK, WRONG, bad, client, echo  # noqa: F401
from uds import ALL, CLIENT, CONNECTED, DGRAM, KILLED, PATIENCE, STREAM, listening


@pytest.mark.parametrize("policy", [None, ME])
@pytest.mark.parametrize("kind", ALL)
def test_a_thousand_pings_are_checked(echo, kind, policy):
    path = echo(kind, policy)
    done = client("ping", "-c", "1000", "-i", "0", path)
    assert done.stdout.count("seq=") == 1000
    assert f"{path} ({kind}): 1000 sent, 1000 checked\n" in done.stdout
    assert "p50" in done.stdout and "stddev" in done.stdout
    answer = json.loads(client("ping", "--json", "-c", "10", "-i", "0", "-s", "100K", path).stdout)
    assert (answer["sent"], answer["checked"], answer["lost"], answer["wrong"]) == (10, 10, 0, 0)
    assert answer["time_ns"]["min"] <= answer["time_ns"]["p50"] <= answer["time_ns"]["max"]


def test_ping_speaks_tcp_udp_and_abstract_names(daemon):
    tcp = socket.create_server(("127.0.0.1", 0))
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    abstract = listening("seqpacket", "\0uds-echo-client-test")
    daemon([tcp, udp, abstract])
    for name in (f"tcp:127.0.0.1:{tcp.getsockname()[1]}", f"udp:127.0.0.1:{udp.getsockname()[1]}",
                 f"tcp:localhost:{tcp.getsockname()[1]}", "@uds-echo-client-test"):
        assert "3 sent, 3 checked" in client("ping", "-c", "3", "-i", "0", name).stdout


def test_ctrl_c_ends_ping_with_its_summary(echo):
    path = echo(STREAM)
    with subprocess.Popen([CLIENT, "ping", "-i", "10ms", path], stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if "seq=5" in line:
                break
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait(PATIENCE) == OK
    assert " checked\n" in rest


@pytest.mark.parametrize("kind", CONNECTED)
def test_ping_says_that_the_service_has_gone(echo, kind):
    path = echo(kind)
    with subprocess.Popen([CLIENT, "ping", "-i", "5ms", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as process:
        for line in process.stdout:
            if "seq=5" in line:
                break
        echo.process.kill()
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == WRONG
    assert "1 lost" in out and "closed the connection" in err


@pytest.mark.systemd
@pytest.mark.parametrize("kind", ALL)
def test_ping_goes_on_over_a_crash_of_the_service(units, kind):
    units.ends.add(KILLED)
    units.systemctl("start", "uds-echo.socket")
    with subprocess.Popen([CLIENT, "ping", "-c", "600", "-i", "5ms", "--reconnect", units.path(kind)],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if "seq=20:" in line or "seq=20 " in line:
                break
        os.kill(units.pid(), signal.SIGKILL)
        out, _ = process.communicate(timeout=60)
    if kind == DGRAM:  # may be lost with the process, or wait in the socket for the next one
        assert "600 sent" in out
    else:
        assert process.returncode == WRONG
        assert "600 sent, 599 checked, 1 lost, connected anew 1 time" in out


@pytest.mark.systemd
def test_ping_tells_the_reply_of_a_service_that_had_to_be_started(units):
    units.systemctl("start", "uds-echo.socket")
    done = client("ping", "-c", "5", "-i", "0", units.path(STREAM))
    assert "seq=1 activated in" in done.stdout
    assert done.stdout.count("activated in") == 2 and done.stdout.count("time=") == 4
    done = client("ping", "-c", "5", "-i", "0", units.path(STREAM))
    assert "activated" not in done.stdout and done.stdout.count("time=") == 5
    answer = json.loads(client("ping", "-c", "2", "-i", "0", "--json").stdout)
    assert answer["socket"] == "/run/uds-echo/stream.sock" and answer["activated_ns"] is None


@pytest.mark.systemd
@pytest.mark.parametrize("kind", ALL)
def test_a_thousand_pings_to_the_units(units, kind):
    units.systemctl("start", "uds-echo.socket")
    done = client("ping", "-q", "-c", "1000", "-i", "0", units.path(kind))
    assert "1000 sent, 1000 checked\n" in done.stdout


def test_ping_does_not_wear_out_a_service_that_closes_at_once(bad):
    accepted = []
    path = bad(STREAM, accepted.append)
    before = time.monotonic()
    done = client("ping", "-q", "-i", "0", "-c", "10", "--reconnect", path, status=WRONG)
    # 5, 10, 20, 40, 80, 100, 100, 100, 100, 100 ms
    assert time.monotonic() - before >= 0.655
    assert "10 sent, 0 checked, 10 lost, connected anew 10 times" in done.stdout


@pytest.mark.parametrize("kind", ["seqpacket", DGRAM])
def test_a_message_that_is_too_long_is_said_once_and_not_lost(echo, kind):
    path = echo(kind)
    for arguments in ([], ["--reconnect"], ["-i", "0", "-c", "5"]):
        done = client("ping", "-s", "16M", *arguments, path, status=WRONG)
        assert done.stderr == f"uds-echo: {path}: the message is longer than this socket takes.\n"
        assert ": 0 sent, 0 checked\n" in done.stdout
    assert json.loads(client("ping", "--json", "-s", "16M", path, status=WRONG).stdout)["lost"] == 0
    done = client("send", path, input="x" * 1_000_000, status=WRONG)
    assert done.stderr == f"uds-echo: {path}: the message is longer than this socket takes.\n"
