# SPDX-License-Identifier: MIT
"""What a process is handed over, made by hand: what is wrong with it costs those connections, and nothing else."""

import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys

import pytest
from uds import CONNECTED, DGRAM, PATIENCE, SEQPACKET, STREAM, TYPES, connect, descriptors, echoes, eventually, fill, \
    listening, open_socket, pattern, receive_exactly

VERSION = 1
CONNECTION, FAREWELL, DATAGRAM = 1, 2, 3
OWES = 1


def record(kind=CONNECTION, owed=None, uid=None, kind_of_socket=socket.SOCK_STREAM, idle=0):
    data = owed or b""
    entry = struct.pack("=8I2Q", kind, OWES if owed is not None else 0, os.geteuid() if uid is None else uid, 0,
                        kind_of_socket, 0, 0, 0, idle, len(data))
    return entry + data + bytes(-len(data) % 8)


def address(of):
    """As the kernel tells it (struct sockaddr_un)."""
    return struct.pack("=H", socket.AF_UNIX) + of.getsockname()


def datagram(own, sender, data):
    """A reply that is owed, to be sent from the socket OWN to the socket SENDER."""
    own, sender = address(own), address(sender)
    entry = struct.pack("=8I2Q", DATAGRAM, 0, os.geteuid(), 0, socket.SOCK_DGRAM, len(own), len(sender), 0, 0, len(data))
    data = own + sender + data
    return entry + data + bytes(-len(data) % 8)


def contents(*records, version=VERSION, magic=b"uds-echo"):
    body = b"".join(records)
    return struct.pack("=8s2I2Q", magic, version, 0, len(records), 32 + len(body)) + body


def memory(data, seal=True):
    fd = os.memfd_create("test", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(fd, data)
    if seal:
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS,
                    fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL)
    return fd


def label(is_file=0, first=0, version=VERSION):
    return struct.pack("=2IQ", version, is_file, first)


def left_behind(*messages):
    """The socket that the service manager kept; each message is a label and descriptors."""
    end, kept = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for text, fds in messages:
        socket.send_fds(end, [text], fds)
    end.close()
    return kept


def pair(kind=socket.SOCK_STREAM):
    client, server = socket.socketpair(socket.AF_UNIX, kind)
    client.settimeout(PATIENCE)
    server.setblocking(False)
    return client, server


@pytest.fixture
def begin(daemon):
    """begin(kept, *servers): a daemon with a socket to listen on, that was left this; and its address."""

    def start(kept, *servers, options=()):
        listener = listening(STREAM)
        process = daemon([listener, kept], *options, names=["echo", "handover"])
        for server in servers:
            server.close()
        kept.close()
        assert echoes(connect(STREAM, listener.getsockname()))
        return process, listener.getsockname()

    return start


def test_connections_and_what_they_are_owed_are_taken_up(begin):
    first, first_server = pair()
    second, second_server = pair(socket.SOCK_SEQPACKET)
    file = memory(contents(record(owed=b"owed"), record(kind_of_socket=socket.SOCK_SEQPACKET, owed=b"")))
    process, _ = begin(left_behind((label(is_file=1), [file]),
                                   (label(), [first_server.fileno(), second_server.fileno()])),
                       first_server, second_server)
    assert first.recv(9) == b"owed" and echoes(first)
    assert second.recv(9) == b"" and echoes(second)
    assert process.terminate() == 0
    assert "Took over 2 connections." in process.log()


def test_the_order_of_messages_does_not_matter(begin):
    clients = [pair() for _ in range(3)]
    file = memory(contents(*(record(owed=b"%d" % i) for i in range(3))))
    servers = [server for _, server in clients]
    begin(left_behind((label(first=2), [servers[2].fileno()]), (label(is_file=1), [file]),
                      (label(first=0), [servers[0].fileno(), servers[1].fileno()])), *servers)
    for i, (client, _) in enumerate(clients):
        assert client.recv(9) == b"%d" % i and echoes(client)


def test_a_last_word_is_finished(begin):
    client, server = pair()
    file = memory(contents(record(kind=FAREWELL, owed=b"UID=0\n")))
    begin(left_behind((label(is_file=1), [file]), (label(), [server.fileno()])), server)
    assert client.recv(99) == b"UID=0\n"
    assert client.recv(99) == b""


def begin_with_datagrams(daemon, kept, *options, names=("echo",)):
    """A daemon that has a datagram socket besides, and was left what these sockets hold."""
    server = listening(DGRAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    left = kept(server)
    process = daemon([server, *left], *options, names=[*names, *["handover"] * len(left)])
    for one in left:
        one.close()
    return process


def test_datagrams_that_are_owed_go_out_in_order_from_where_they_were_sent_to(daemon):
    clients = [open_socket(DGRAM) for _ in range(2)]

    def kept(server):
        clients[0].connect(server.getsockname())  # which takes from there alone
        records = [datagram(server, client, data) for data in (b"one", b"", b"three") for client in clients]
        return [left_behind((label(is_file=1), [memory(contents(*records))]))]

    process = begin_with_datagrams(daemon, kept)
    for client in clients:
        assert [client.recv(9) for _ in range(3)] == [b"one", b"", b"three"]
    assert process.terminate() == 0
    assert "Datagrams" not in process.log()


def test_datagrams_for_a_socket_that_is_no_more_are_lost_and_counted(daemon):
    other, client, gone = listening(DGRAM), open_socket(DGRAM), open_socket(DGRAM)

    def kept(server):
        records = [datagram(other, client, b"from elsewhere"), datagram(server, gone, b"to nobody"),
                   datagram(server, client, b"owed")]
        gone.close()
        return [left_behind((label(is_file=1), [memory(contents(*records))]))]

    process = begin_with_datagrams(daemon, kept)
    assert client.recv(99) == b"owed"
    assert process.terminate() == 0
    assert "Datagrams dropped, owed before the restart and no longer possible after it: 1, 1 in all." in process.log()
    assert "Datagrams not answered, the sender's socket is gone or out of reach: 1, 1 in all." in process.log()


def test_datagrams_beyond_what_their_user_may_have_unread_now_go_out_still(daemon):
    client = open_socket(DGRAM)

    def kept(server):
        records = [datagram(server, client, b"%d" % i * 600) for i in range(3)]
        return [left_behind((label(is_file=1), [memory(contents(*records))]))]

    process = begin_with_datagrams(daemon, kept, "--bytes-max-per-user=1K")
    assert [client.recv(999) for _ in range(3)] == [b"%d" % i * 600 for i in range(3)]
    assert process.terminate() == 0
    assert "Datagrams" not in process.log()


def test_datagrams_of_who_was_admitted_are_not_judged_again(daemon, tmp_path):
    policy = tmp_path / "policy"
    policy.write_text("deny user root\n")
    client = open_socket(DGRAM)
    process = begin_with_datagrams(
        daemon, lambda server: [left_behind((label(is_file=1), [memory(contents(datagram(server, client, b"owed")))]))],
        f"--policy={policy}", names=["auth"])
    assert client.recv(99) == b"owed"
    assert process.terminate() == 0
    assert "Datagrams" not in process.log()


def test_two_sockets_may_have_been_kept(daemon):
    (first, first_server), (second, second_server) = pair(), pair()
    late = open_socket(DGRAM)

    def kept(server):
        file = memory(contents(record(owed=b"1"), record(owed=b"2"), datagram(server, late, b"3")))
        return [left_behind((label(first=1), [second_server.fileno()])),
                left_behind((label(is_file=1), [file]), (label(first=0), [first_server.fileno()]))]

    process = begin_with_datagrams(daemon, kept)
    first_server.close()
    second_server.close()
    assert [client.recv(9) for client in (first, second, late)] == [b"1", b"2", b"3"]
    assert echoes(first) and echoes(second)
    assert process.terminate() == 0
    assert "Took over 2 connections." in process.log()


@pytest.mark.parametrize("kind", CONNECTED)
@pytest.mark.parametrize("owed", [None, b"owed"], ids=["owed nothing", "owed something"])
def test_who_has_hung_up_in_the_meantime_is_forgotten(begin, kind, owed):
    (gone, gone_server), (stays, stays_server) = pair(TYPES[kind]), pair(TYPES[kind])
    file = memory(contents(record(owed=owed, kind_of_socket=TYPES[kind]), record(kind_of_socket=TYPES[kind])))
    gone.close()
    process, address_of_it = begin(left_behind((label(is_file=1), [file]),
                                               (label(), [gone_server.fileno(), stays_server.fileno()])),
                                   gone_server, stays_server)
    assert echoes(stays)
    stays.close()
    other, _ = begin(left_behind())
    assert eventually(lambda: descriptors(process.pid) == descriptors(other.pid))
    assert echoes(connect(STREAM, address_of_it))
    assert process.terminate() == 0


def test_who_was_idle_is_so_still(begin):
    fresh, fresh_server = pair()
    old, old_server = pair()
    file = memory(contents(record(idle=0), record(idle=3_600_000_000)))
    begin(left_behind((label(is_file=1), [file]), (label(), [fresh_server.fileno(), old_server.fileno()])),
          fresh_server, old_server, options=["--idle-timeout=4s"])
    assert old.recv(1) == b""
    assert echoes(fresh)


GOOD = contents(record())
WRONG = {
    "another version of the file": ([(label(is_file=1), contents(record(), version=2))], "of another version"),
    "another version of the labels": ([(label(is_file=1, version=7), GOOD)], "of another version"),
    "no file": ([], "not complete"),
    "an empty file": ([(label(is_file=1), b"")], "not understood"),
    "nonsense": ([(label(is_file=1), b"nonsense" * 10)], "not understood"),
    "a file that is cut off": ([(label(is_file=1), GOOD[:-8])], "not understood"),
    "two files": ([(label(is_file=1), GOOD), (label(is_file=1), GOOD)], "not understood"),
    "a label that is too short": ([(label(is_file=1), GOOD), (b"x", GOOD)], "not understood"),
    "a number beyond all bounds": ([(label(is_file=1), GOOD), (label(first=1 << 60), GOOD)], "not understood"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_not_understood_is_closed_and_the_service_runs(begin, what):
    client, server = pair()
    files, words = WRONG[what]
    messages = [(text, [memory(data)]) for text, data in files]
    process, address = begin(left_behind(*messages, (label(), [server.fileno()])), server)
    if what in ("two files", "a label that is too short", "a number beyond all bounds"):
        assert echoes(client), "what is sound in it is used"
    else:
        assert client.recv(1) == b""
    assert echoes(connect(STREAM, address))
    assert process.terminate() == 0
    assert f"What the process before has handed over is {words}" in process.log()


def test_a_file_that_could_still_be_changed_is_not_read(begin):
    client, server = pair()
    process, _ = begin(left_behind((label(is_file=1), [memory(GOOD, seal=False)]), (label(), [server.fileno()])),
                       server)
    assert client.recv(1) == b""
    assert process.terminate() == 0
    assert "not understood: 1 connection is closed without a word" in process.log()


@pytest.mark.parametrize("wrong", [{"uid": 12345}, {"kind_of_socket": socket.SOCK_SEQPACKET}])
def test_a_connection_that_is_not_what_the_record_says_is_closed(begin, wrong):
    client, server = pair()
    process, _ = begin(left_behind((label(is_file=1), [memory(contents(record(**wrong)))]),
                                   (label(), [server.fileno()])), server)
    assert client.recv(1) == b""
    assert process.terminate() == 0
    assert "Connections closed, they did not come through the restart: 1" in process.log()


def test_connections_that_are_missing_or_too_many_are_counted(begin):
    clients = [pair() for _ in range(3)]
    servers = [server for _, server in clients]
    file = memory(contents(record(), record()))
    process, _ = begin(left_behind((label(is_file=1), [file]), (label(first=1), [s.fileno() for s in servers])),
                       *servers)
    assert echoes(clients[0][0])
    assert clients[1][0].recv(1) == b"" and clients[2][0].recv(1) == b""
    assert process.terminate() == 0
    assert "Took over 1 connection." in process.log()
    assert "Connections closed, they did not come through the restart: 3" in process.log()


def test_nothing_that_is_not_used_stays_open(begin):
    client, server = pair()
    null = os.open("/dev/null", os.O_RDONLY)
    process, address = begin(left_behind((label(is_file=1), [memory(b"nonsense" * 8)]),
                                         (label(), [server.fileno()] + [null] * 200)), server)
    os.close(null)
    assert client.recv(1) == b""
    other, _ = begin(left_behind())
    assert eventually(lambda: descriptors(process.pid) == descriptors(other.pid))
    assert echoes(connect(STREAM, address))


def test_a_listening_socket_of_that_name_is_refused(daemon):
    process = daemon([listening(SEQPACKET)], names=["handover"])
    assert process.wait() == 78
    assert "has a name that is for what a restart hands over" in process.log()


IN_FLIGHT = """
import os, socket, sys
uid, n = int(sys.argv[1]), int(sys.argv[2])
os.setuid(uid)
end, kept = socket.socketpair()
for _ in range(n):
    socket.send_fds(end, [b"x"], [0])
print("sent", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root, to be several users")
def test_where_the_kernel_takes_no_more_descriptors_a_restart_is_a_stop(daemon):
    uid, limit = 54321, 200
    listener = listening(STREAM)
    process = daemon([listener], limit=limit, launcher=["setpriv", f"--reuid={uid}", "--clear-groups"])
    clients = [connect(STREAM, listener.getsockname()) for _ in range(5)]
    assert all(echoes(client) for client in clients)
    sent = fill(clients[0])
    # The kernel refuses whatever comes when there are more than the limit, which the first one is then.
    with subprocess.Popen([sys.executable, "-c", IN_FLIGHT, str(uid), str(limit)], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"sent\n"
        process.process.send_signal(signal.SIGUSR1)
        assert receive_exactly(clients[0], sent) == pattern(sent)
        assert [client.recv(1) for client in clients] == [b""] * 5
        assert process.wait() == 0
        other.stdin.close()
    assert "Connections are ended, they could not be packed: Too many references" in process.log()
