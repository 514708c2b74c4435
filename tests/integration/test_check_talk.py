# SPDX-License-Identifier: MIT
"""uds-echo check: each thing that may be wrong from the connection to the reply."""

import contextlib
import os
import socket
import time

import pytest
from doctor import (REFUSED, UNREACHABLE, WRONG, as_root, check, ground, guarded, open_door, ordinary, serving, steps,
                    visitor, well, wrong)  # noqa: F401
from uds import ALL, CONNECTED, DGRAM, PATIENCE, STREAM, TYPES, listening

# --- The connection. --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ALL)
def test_a_file_that_was_left_behind_is_told_from_a_service(ground, kind):
    open_door(kind, ground / "x.sock").close()
    facts = wrong(UNREACHABLE, "nobody-listening", ground / "x.sock")
    assert f"{ground}/x.sock is a socket" in steps(facts)


@pytest.mark.parametrize("arguments", [[], *([f"--type={kind}"] for kind in ALL)])
def test_an_abstract_name_that_nobody_has_is_said(arguments):
    facts = wrong(UNREACHABLE, "no-name", *arguments, "@uds-echo-nobody-has-this")
    assert "network namespace" in facts["advice"]


@as_root
def test_an_abstract_name_is_not_seen_from_another_network_namespace(daemon):
    server = listening(STREAM)
    daemon([server])
    name = "@" + server.getsockname()[1:].decode()
    well(name)
    wrong(UNREACHABLE, "no-name", name, prefix=["unshare", "--net", *ordinary()])


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("wanted", ALL)
def test_the_wrong_type_is_said_with_the_right_one(ground, kind, wanted):
    path = ground / "x.sock"
    with open_door(kind, path), listening(kind) as abstract:
        for name in (path, "@" + abstract.getsockname()[1:].decode()):
            if wanted == kind:
                wrong(WRONG, "no-answer", f"--type={wanted}", "--timeout=50ms", name)
                continue
            facts = wrong(UNREACHABLE, "wrong-type", f"--type={wanted}", name)
            assert facts["message"] == f"{name} is a {kind} socket, and not a {wanted} socket."
            assert facts["type"] == kind


@pytest.mark.parametrize("kind", CONNECTED)
def test_a_full_backlog_is_told_from_silence(ground, kind):
    with socket.socket(socket.AF_UNIX, TYPES[kind]) as server:
        server.bind(str(ground / "x.sock"))
        server.listen(0)
        os.chmod(ground / "x.sock", 0o666)
        waiting = []
        with pytest.raises(BlockingIOError):
            while True:
                waiting.append(socket.socket(socket.AF_UNIX, TYPES[kind]))
                waiting[-1].setblocking(False)
                waiting[-1].connect(str(ground / "x.sock"))
        begin = time.monotonic()
        facts = wrong(UNREACHABLE, "backlog-full", "--timeout=300ms", ground / "x.sock")
        assert "within 300 ms" in facts["message"]
        assert facts["type"] == kind
        assert 0.3 <= time.monotonic() - begin < PATIENCE
        other = next(name for name in ALL if name != kind)
        facts = wrong(UNREACHABLE, "wrong-type", "--timeout=300ms", f"--type={other}", ground / "x.sock")
        assert facts["type"] == kind


def test_a_socket_that_takes_from_one_peer_alone_is_said(ground):
    with open_door(DGRAM, ground / "x.sock") as server, listening(DGRAM) as other:
        server.connect(other.getsockname())
        facts = wrong(REFUSED, "connect-forbidden", ground / "x.sock")
        assert "connected to another one" in facts["advice"]


def unused_port(kind):
    with socket.socket(socket.AF_INET, kind) as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


@pytest.mark.parametrize("scheme,kind", [("tcp", STREAM), ("udp", DGRAM)])
def test_a_port_that_nobody_listens_at_is_said(scheme, kind):
    facts = wrong(UNREACHABLE, "nobody-listening", f"{scheme}:127.0.0.1:{unused_port(TYPES[kind])}")
    assert f"--{scheme}" in facts["advice"]


@pytest.mark.parametrize("scheme,kind", [("tcp", STREAM), ("udp", DGRAM)])
def test_a_host_whose_name_is_not_found_is_said(scheme, kind):
    facts = wrong(UNREACHABLE, "name-not-found", f"{scheme}:name.invalid:7")
    assert facts["message"].startswith(f"The name of the host in {scheme}:name.invalid:7 is not found: ")
    assert "getent ahosts 'name.invalid'" in facts["advice"].splitlines()
    assert facts["type"] == kind


@as_root
@pytest.mark.parametrize("scheme", ["tcp", "udp"])
def test_a_network_that_there_is_no_way_to_is_said(scheme):
    wrong(UNREACHABLE, "unreachable", f"{scheme}:192.0.2.1:7", prefix=["unshare", "--net", *ordinary()])


def test_an_address_of_no_single_machine_is_said():
    wrong(REFUSED, "connect-forbidden", "udp:127.255.255.255:7")


def test_a_connection_that_nobody_takes_up_is_said():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        with socket.create_connection(server.getsockname()):
            wrong(UNREACHABLE, "connect-timeout", "--timeout=300ms", f"tcp:127.0.0.1:{server.getsockname()[1]}")


def test_a_vsock_that_cannot_be_had_is_said():
    with contextlib.suppress(OSError):
        with socket.socket(socket.AF_VSOCK) as client:
            client.settimeout(0.3)
            client.connect((1, 4711))
            pytest.skip("somebody listens there")
    status, facts = check("--timeout=300ms", "vsock:1:4711")
    # Which one it is depends on the modules that the kernel has loaded.
    assert (status, facts["type"]) == (UNREACHABLE, STREAM)
    assert facts["cause"] in ("nobody-listening", "connect-timeout", "unreachable", "not-supported")


# --- The reply. -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ALL)
def test_a_refusal_by_policy_is_told_from_one_by_permissions(daemon, ground, tmp_path, kind):
    facts = wrong(REFUSED, "refused-by-policy", guarded(daemon, ground, tmp_path, kind, 4294967294))
    assert "uds-echo whoami /run/uds-whoami/stream.sock" in facts["advice"]
    assert f"journalctl UDS_VERDICT=deny UDS_PEER_UID={visitor()[1]}" in facts["advice"]
    assert "The service has admitted you" not in " ".join(steps(facts))


@pytest.mark.parametrize("kind", ALL)
def test_silence_is_said_after_the_timeout(ground, kind):
    with open_door(kind, ground / "x.sock"):
        begin = time.monotonic()
        facts = wrong(WRONG, "no-answer", "--timeout=300ms", ground / "x.sock")
        assert 0.3 <= time.monotonic() - begin < PATIENCE
        assert "within 300 ms" in facts["message"]
        assert facts["type"] == kind


def test_half_an_answer_is_none(ground):
    with serving(open_door(STREAM, ground / "x.sock"), lambda message: message[:5]):
        wrong(WRONG, "closed", ground / "x.sock")


@pytest.mark.parametrize("kind", ALL)
def test_an_answer_that_is_not_the_echo_is_wrong(ground, kind):
    with serving(open_door(kind, ground / "x.sock"), lambda message: message[:-2] + b"!\n"):
        wrong(WRONG, "wrong-answer", ground / "x.sock")


@pytest.mark.parametrize("kind", CONNECTED)
def test_an_end_without_an_answer_is_said(ground, kind):
    with serving(open_door(kind, ground / "x.sock"), lambda message: None):
        wrong(WRONG, "closed", ground / "x.sock")
