# SPDX-License-Identifier: MIT
"""What design promises of datagram sockets: each comes back as one, to the address it came from."""

import os
import shutil
import socket
import tempfile
import time
from pathlib import Path

import pytest
from uds import DGRAM, PATIENCE, connect, eventually, listening, open_socket


def test_three_datagrams_come_back_as_three(service):
    client = service.connect(DGRAM)
    for message in (b"one", b"two", b"three"):
        client.send(message)
    assert [client.recv(100) for _ in range(3)] == [b"one", b"two", b"three"]


def test_a_short_buffer_cuts_only_the_datagram_it_is_for(service):
    client = service.connect(DGRAM)
    client.send(b"0123456789")
    client.send(b"next")
    assert client.recv(3) == b"012"
    assert client.recv(100) == b"next"


def test_an_empty_datagram_comes_back(service):
    client = service.connect(DGRAM)
    client.send(b"")
    client.send(b"after")
    assert client.recv(10) == b""
    assert client.recv(10) == b"after"


@pytest.mark.parametrize("place", ["/tmp", "/var/tmp", "/run", "abstract", "autobound"])
def test_a_sender_is_answered_wherever_its_address_is(service, place, request):
    if place == "abstract":
        client = open_socket(DGRAM, bind=f"\0uds-echo-test-{os.getpid()}")
    elif place == "autobound":
        client = open_socket(DGRAM)
    else:
        if not os.access(place, os.W_OK):
            pytest.skip(f"{place} is not writable for this user")
        path = f"{place}/uds-echo-test-{os.getpid()}.sock"
        client = open_socket(DGRAM, bind=path)
        request.addfinalizer(lambda: os.unlink(path))
        os.chmod(path, 0o777)
    client.sendto(b"hello", service.path(DGRAM))
    reply, address = client.recvfrom(100)
    assert (reply, address) == (b"hello", service.path(DGRAM))


# Each takes the service a call for every directory: more of them than one turn has for a user.
def test_many_senders_deep_in_the_file_system_are_answered_each_in_order(service, request):
    top = tempfile.mkdtemp(prefix="uds", dir="/tmp")
    request.addfinalizer(lambda: shutil.rmtree(top))
    os.chmod(top, 0o755)
    deep = Path(top + "/a" * 40)
    deep.mkdir(parents=True)
    clients = [open_socket(DGRAM, bind=str(deep / str(number))) for number in range(8)]
    for file in deep.iterdir():
        file.chmod(0o777)
    for turn in range(10):  # no more than may be unread
        for client in clients:
            client.sendto(b"%d" % turn, service.path(DGRAM))
    for client in clients:
        assert [client.recv(10) for _ in range(10)] == [b"%d" % turn for turn in range(10)]


def test_the_largest_datagram_that_the_host_lets_a_client_send_comes_back_whole(service):
    from test_seqpacket import largest_message

    client = service.connect(DGRAM)
    size = largest_message(client)
    assert len(client.recv(size + 1)) == size
    message = os.urandom(size)
    client.send(message)
    assert client.recv(size + 1) == message


def test_a_batch_from_many_senders_goes_back_to_each(service):
    clients = [service.connect(DGRAM) for _ in range(50)]
    for turn in range(20):
        for i, client in enumerate(clients):
            client.send(b"%d %d" % (i, turn))
        for i, client in enumerate(clients):
            assert client.recv(100) == b"%d %d" % (i, turn)


def send_all_that_is_taken(client, count, size=100):
    """Sends numbered datagrams without reading a reply; the service has taken them all afterwards."""
    for i in range(count):
        client.send(i.to_bytes(4, "big") + b"x" * (size - 4))


@pytest.mark.parametrize("connected", [True, False], ids=["connected", "unconnected"])
def test_a_sender_that_reads_late_gets_what_is_owed_to_it_in_order(service, connected):
    client = service.connect(DGRAM) if connected else open_socket(DGRAM)
    count = 900
    for i in range(count):
        client.sendto(i.to_bytes(4, "big"), *([] if connected else [service.path(DGRAM)])) \
            if not connected else client.send(i.to_bytes(4, "big"))
    time.sleep(0.2)
    assert [int.from_bytes(client.recv(10), "big") for _ in range(count)] == list(range(count))


@pytest.mark.parametrize("connected", [True, False], ids=["connected", "unconnected"])
@pytest.mark.parametrize("size", [64, 100_000])
def test_a_sender_that_never_reads_keeps_no_other_waiting(service, connected, size):
    hog = service.connect(DGRAM) if connected else open_socket(DGRAM)
    message = b"x" * size
    end = time.monotonic() + 2
    sent = 0
    hog.settimeout(PATIENCE)
    while time.monotonic() < end:
        for _ in range(200):
            hog.sendto(message, service.path(DGRAM)) if not connected else hog.send(message)
        sent += 200
        # A fair client beside it gets every reply.
        fair = service.connect(DGRAM)
        for i in range(20):
            fair.send(b"%d" % i)
            assert fair.recv(10) == b"%d" % i
        fair.close()
    # It gets what was owed to it when it begins to read, in order, and is a client like any other then.
    hog.settimeout(0.5)
    received = 0
    try:
        while True:
            assert hog.recv(size + 1) == message
            received += 1
    except TimeoutError:
        pass
    assert 0 < received <= sent
    hog.settimeout(PATIENCE)
    hog.sendto(b"at last", service.path(DGRAM)) if not connected else hog.send(b"at last")
    assert hog.recv(100) == b"at last"


def test_a_sender_without_an_address_is_counted_and_the_others_are_served(daemon):
    server = listening(DGRAM)
    nameless = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    for _ in range(3):
        nameless.sendto(b"x", server.getsockname())
    client = connect(DGRAM, server.getsockname())
    client.send(b"hello")
    process = daemon([server], "--exit-idle-time=500ms")
    assert client.recv(10) == b"hello"
    assert process.wait() == 0
    assert "the sender has no address: 3" in process.log()


def test_a_sender_that_is_gone_is_counted_and_the_others_are_served(daemon):
    server = listening(DGRAM)
    gone = connect(DGRAM, server.getsockname())
    gone.send(b"x")
    gone.close()
    client = connect(DGRAM, server.getsockname())
    client.send(b"hello")
    process = daemon([server], "--exit-idle-time=500ms")
    assert client.recv(10) == b"hello"
    assert process.wait() == 0
    assert "gone or out of reach: 1" in process.log()


def test_what_is_owed_beyond_the_bound_is_dropped_and_counted(daemon):
    server = listening(DGRAM)
    process = daemon([server])
    hog = open_socket(DGRAM)
    for _ in range(5000):
        hog.sendto(b"x", server.getsockname())
    assert eventually(lambda: "the sender does not read its replies" in process.log())
    assert process.terminate() == 0
    assert "Datagrams dropped at the stop" in process.log()


def lure(server, target, path):
    """Sends a datagram whose return address leads to target by the time that it is answered."""
    client = open_socket(DGRAM, bind=path)
    os.unlink(path)
    os.symlink(target, path)
    try:
        client.sendto(b"READY=1\nSTATUS=forged", server)
        # Answers go in order: when this one has come, the other has been dealt with.
        control = connect(DGRAM, server)
        control.send(b"x")
        assert control.recv(10) == b"x"
    finally:
        os.unlink(path)


def test_a_sender_cannot_have_the_service_answer_itself_for_ever(daemon, tmp_path):
    path = str(tmp_path / "own.sock")
    server = listening(DGRAM, path)
    process = daemon([server], "--exit-idle-time=500ms")
    lure(path, path, str(tmp_path / "lure.sock"))
    assert process.wait() == 0, "it is busy with itself"
    assert "after 0 connections and 2 messages" in process.log()
    assert "not its own: 1" in process.log()


def test_a_sender_cannot_have_the_service_speak_to_its_manager(daemon, tmp_path):
    notify = open_socket(DGRAM, bind=str(tmp_path / "notify.sock"))
    server = listening(DGRAM, str(tmp_path / "own.sock"))
    process = daemon([server], environment={"NOTIFY_SOCKET": notify.getsockname()})
    while b"READY=1" not in notify.recv(1000):
        pass
    lure(server.getsockname(), notify.getsockname(), str(tmp_path / "lure.sock"))
    assert process.terminate() == 0
    notify.settimeout(0.2)
    with pytest.raises(TimeoutError):
        while True:
            assert b"forged" not in notify.recv(1000)


@pytest.mark.systemd
@pytest.mark.parametrize("target", ["/run/systemd/notify", "/run/systemd/journal/socket"])
def test_a_member_cannot_have_the_service_speak_to_systemd(units, target, tmp_path):
    import grp
    from test_units import as_user

    units.systemctl("start", "uds-echo.socket")
    since = time.time()
    tmp_path = f"/tmp/uds-echo-lure-{os.getpid()}"
    os.mkdir(tmp_path)
    os.chmod(tmp_path, 0o777)
    member = grp.getgrnam("uds-echo").gr_gid

    def attempt():
        lure(units.path(DGRAM), target, f"{tmp_path}/lure.sock")
        return 0

    assert as_user(4242, 4242, [member], attempt) == 0
    os.rmdir(tmp_path)
    assert eventually(lambda: "not its own: 1" in units.journal(since))
    assert "forged" not in units.status()


def test_udp_from_the_port_that_is_served_is_not_answered(daemon):
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))
    other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    other.bind(("127.0.0.2", server.getsockname()[1]))
    other.settimeout(0.2)
    other.sendto(b"an echo of an echo", server.getsockname())
    process = daemon([server], "--exit-idle-time=300ms")
    assert process.wait() == 0
    with pytest.raises(TimeoutError):
        other.recv(100)
    assert "another echo service: 1" in process.log()


@pytest.mark.systemd  # it takes the SendBuffer= of the unit
def test_fresh_senders_that_never_read_do_not_fill_the_send_buffer_in_turn(service):
    fair = service.connect(DGRAM)
    hogs = []
    for turn in range(30):
        hog = service.connect(DGRAM)
        hogs.append(hog)
        for _ in range(100):
            hog.send(b"x" * 30_000)
        fair.send(b"%d" % turn)
        assert fair.recv(10) == b"%d" % turn
    for hog in hogs:
        hog.close()


@pytest.mark.systemd
def test_a_sender_whose_socket_is_not_writable_for_the_service_is_counted(units):
    units.systemctl("start", "uds-echo.socket")
    since = time.time()
    path = f"/tmp/uds-echo-test-{os.getpid()}.sock"
    client = open_socket(DGRAM, bind=path)
    try:
        os.chmod(path, 0o755)
        client.sendto(b"x", units.path(DGRAM))
        assert eventually(lambda: "not writable for us or not its own: 1" in units.journal(since))
    finally:
        os.unlink(path)


