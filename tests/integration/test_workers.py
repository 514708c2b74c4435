# SPDX-License-Identifier: MIT
"""Several workers: who serves whom, what holds for all of them together, and how they end."""

import contextlib
import ctypes
import os
import resource
import socket
import threading
import time
from pathlib import Path

import pytest
import test_auth
import test_descriptors
import test_end
from uds import (ALL, CONNECTED, DGRAM, PATIENCE, SEQPACKET, STREAM, connect, descriptors, echoes, eventually,
                 falls_silent, listening, threads, watched)

guarded = test_auth.guarded  # the fixture


def count_workers(process):
    return len(threads(process.pid)) - 1


def begun(process):
    return eventually(lambda: "Serving with" in process.log())


@pytest.mark.parametrize("number", [1, 2, 8, 256])
def test_there_are_as_many_threads_as_were_asked_for(daemon, number):
    server = listening(STREAM)
    process = daemon([server], "--log-level=debug", f"--workers={number}")
    assert echoes(connect(STREAM, server.getsockname()))
    assert eventually(lambda: f"Serving with {number} worker{'s' * (number > 1)}." in process.log())
    wanted = {f"worker-{i}" for i in range(number)}
    assert eventually(lambda: wanted < set(threads(process.pid).values())), "each gives itself a name"
    assert count_workers(process) == number
    assert process.terminate() == 0


@pytest.mark.parametrize("cores", ["one", "all"])
def test_without_a_number_there_are_as_many_as_fit_the_cores_that_it_may_use(daemon, cores):
    usable = sorted(os.sched_getaffinity(0))
    wrap = ["taskset", "--cpu-list", str(usable[0])] if cores == "one" else []
    expected = 1 if cores == "one" else max(1, min(32, len(usable) // 2))
    server = listening(STREAM)
    process = daemon([server], "--workers=auto", wrap=wrap)
    assert echoes(connect(STREAM, server.getsockname()))
    assert eventually(lambda: count_workers(process) == expected)


def test_there_are_no_more_than_there_is_something_to_do_for(daemon):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    process = daemon([theirs], "--workers=8", names=["connection"])
    theirs.close()
    assert echoes(ours)
    assert eventually(lambda: count_workers(process) == 1)
    ours.close()
    assert process.wait() == 0

    servers = [listening(DGRAM) for _ in range(2)]
    process = daemon(servers, "--workers=8")
    assert all(echoes(connect(DGRAM, server.getsockname())) for server in servers)
    assert eventually(lambda: count_workers(process) == 2)


@pytest.mark.parametrize("kind", CONNECTED)
@pytest.mark.parametrize("pace", ["at once", "one after the other"])
def test_connections_are_spread_evenly(daemon, kind, pace):
    server = listening(kind)
    process = daemon([server], "--workers=4")
    first = connect(kind, server.getsockname())
    assert echoes(first) and begun(process)
    before = {number: len(fds) for number, fds in watched(process.pid).items()}
    clients = []
    for _ in range(64):
        clients.append(connect(kind, server.getsockname()))
        assert pace == "at once" or echoes(clients[-1])
    assert all(echoes(client) for client in clients)
    spread = sorted((len(fds) - before[number] for number, fds in watched(process.pid).items()), reverse=True)
    assert sum(spread) == 64
    # A quarter each, and what it may be beyond that before somebody else gets them.
    assert 16 <= spread[0] <= 16 + 16 // 8 + 2 and spread[3] >= 8, spread


@pytest.mark.parametrize("kind", CONNECTED)
def test_connections_max_is_exact(eight, kind):
    server = listening(kind)
    process = eight([server], "--connections-max=50", "--connections-max-per-user=50")
    assert begun(process)
    for _ in range(5):
        clients, served = [], []
        lock = threading.Lock()

        def crowd():
            for _ in range(40):
                client = connect(kind, server.getsockname())
                with lock:
                    clients.append(client)

        crowds = [threading.Thread(target=crowd) for _ in range(4)]
        for thread in crowds:
            thread.start()
        for thread in crowds:
            thread.join()
        for client in clients:
            try:
                if echoes(client):
                    served.append(client)
            except (BrokenPipeError, ConnectionResetError):
                pass
        assert len(served) == 50
        assert all(echoes(client) for client in served)
        for client in clients:
            client.close()
        # All have left when 50 can come again.
        assert eventually(lambda: len(descriptors_of_clients(process)) == 0)
    assert process.terminate() == 0


def descriptors_of_clients(process):
    """Sockets that are neither standard descriptors nor passed."""
    found = []
    for number in os.listdir(f"/proc/{process.pid}/fd"):
        try:
            if int(number) > 3 and os.readlink(f"/proc/{process.pid}/fd/{number}").startswith("socket:"):
                found.append(number)
        except FileNotFoundError:
            pass
    return found


def test_nobody_leaves_while_another_serves(eight):
    server = listening(STREAM)
    lasting = connect(STREAM, server.getsockname())
    process = eight([server], "--exit-idle-time=50ms")
    assert echoes(lasting)
    time.sleep(0.5)
    assert falls_silent(process.pid), "each is idle once, and waits"
    assert count_workers(process) == 8
    clients = [connect(STREAM, server.getsockname()) for _ in range(32)]
    assert all(echoes(client) for client in clients)
    busy = [fds for fds in watched(process.pid).values() if 3 in fds and len(fds) > 2]
    assert len(busy) == 8, "connections find all of them still"
    for client in [*clients, lasting]:
        client.close()
    assert process.wait() == 0
    assert "being idle, after 33 connections and 33 messages" in process.log()


@pytest.mark.parametrize("kind", ALL)
def test_nothing_is_lost_around_the_moment_of_an_idle_exit(eight, kind):
    test_end.test_nothing_is_lost_around_the_moment_of_an_idle_exit(eight, kind)


@pytest.mark.parametrize("kind", CONNECTED)
def test_what_clients_of_all_have_sent_before_the_stop_comes_back(eight, kind):
    test_end.test_what_clients_have_sent_before_the_stop_comes_back(eight, kind)


def test_the_stop_waits_for_what_one_of_them_owes(eight):
    server = listening(DGRAM), listening(STREAM)
    process = eight(server)
    client = connect(DGRAM, server[0].getsockname())
    for i in range(800):
        client.send(i.to_bytes(4, "big"))
    # All of them have been received when this one is answered.
    assert echoes(connect(DGRAM, server[0].getsockname()))
    process.process.terminate()
    assert [int.from_bytes(client.recv(10), "big") for _ in range(800)] == list(range(800))
    assert process.wait() == 0


def test_running_out_of_descriptors_pauses_and_resumes_all(eight):
    test_descriptors.test_running_out_of_descriptors_pauses_accepting_without_spinning(eight)


def test_a_descriptor_that_one_frees_is_used_by_another(eight):
    server = listening(STREAM)
    process = eight([server])
    clients = [connect(STREAM, server.getsockname()) for _ in range(8)]
    assert all(echoes(client) for client in clients) and begun(process)
    used = descriptors(process.pid)
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (used, used))
    waiting = [connect(STREAM, server.getsockname()) for _ in range(100)]
    assert eventually(lambda: "Pauses in accepting connections" in process.log())
    test_descriptors.all_are_served_in_turn(clients + waiting)
    assert process.terminate() == 0


@pytest.fixture
def guarded_by_eight(eight, tmp_path):
    """The address of a socket with the role auth, the daemon, and what it says to its manager."""

    def start(kind, policy):
        path = tmp_path / "policy"
        path.write_text(policy)
        server = listening(kind)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify.bind("")
        notify.settimeout(PATIENCE)
        process = eight([server], f"--policy={path}", names=["auth"],
                        environment={"NOTIFY_SOCKET": "@" + notify.getsockname()[1:].decode()})
        while b"READY=1" not in notify.recv(4096):
            pass
        return server.getsockname(), process, notify

    return start


@pytest.mark.parametrize("kind", [STREAM, SEQPACKET, DGRAM])
def test_after_a_reload_all_judge_by_the_new_policy(guarded_by_eight, tmp_path, kind):
    address, process, notify = guarded_by_eight(kind, test_auth.ME)
    # The rules on a group have the kernel say more with each datagram.
    refusing = f"deny group {os.getegid()}\n{test_auth.NOT_ME}"
    for turn in range(10):
        (tmp_path / "policy").write_text(test_auth.ME if turn % 2 else refusing)
        process.process.send_signal(1)
        while b"READY=1" not in notify.recv(4096):
            pass
        clients = [connect(kind, address) for _ in range(32)]
        for client in clients:
            if kind == DGRAM:
                client.send(b"Welcome\n")
            greeting = client.recv(8)
            assert greeting == (b"Welcome\n" if turn % 2 else b"Access d")
    assert process.terminate() == 0


def test_a_flood_of_decisions_is_cut_and_counted_for_all_together(guarded_by_eight):
    address, process, _ = guarded_by_eight(STREAM, test_auth.NOT_ME)
    for _ in range(1000):
        assert connect(STREAM, address).recv(8) == b"Access d"
    assert process.terminate() == 0
    assert process.log().count("Refused uid") == 100
    assert f"Left out of the journal: 900 more refusals of uid {os.geteuid()}." in process.log()


PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
WALL = 0x40000000  # __WALL of waitpid(2): threads, too


@contextlib.contextmanager
def held(thread):
    """One thread alone stands still in here, whatever it was doing (ptrace(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long

    def ptrace(request):
        assert libc.ptrace(request, thread, None, None) == 0, os.strerror(ctypes.get_errno())

    ptrace(PTRACE_SEIZE)
    ptrace(PTRACE_INTERRUPT)
    assert os.WIFSTOPPED(os.waitpid(thread, WALL)[1])
    try:
        yield
    finally:
        ptrace(PTRACE_DETACH)


class Manager:
    """Of a service manager what a watchdog takes: it hears what it is told."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("")
        self.environment = {"NOTIFY_SOCKET": "@" + self.socket.getsockname()[1:].decode()}

    def hears(self, word, seconds=PATIENCE):
        """Whether it does, before there is silence for so long."""
        self.socket.settimeout(seconds)
        with contextlib.suppress(TimeoutError):
            while word not in self.socket.recv(4096):
                pass
            return True
        return False

    def forget(self):
        """What has come and was not heard yet."""
        self.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                self.socket.recv(4096)


@pytest.mark.parametrize("name", ["worker-0", "worker-1"])
def test_the_manager_is_told_that_all_is_well_only_if_each_has_gone_round(daemon, name):
    manager = Manager()
    interval = 0.1
    process = daemon([listening(STREAM)], "--workers=2", environment={
        **manager.environment, "WATCHDOG_USEC": str(int(3 * interval * 1_000_000))})
    assert manager.hears(b"READY=1") and manager.hears(b"WATCHDOG=1") and manager.hears(b"WATCHDOG=1")
    assert eventually(lambda: name in threads(process.pid).values())
    (worker,) = (number for number, its_name in threads(process.pid).items() if its_name == name)
    with held(worker):
        manager.forget()
        # Once more, if it had just gone round.
        assert not (manager.hears(b"WATCHDOG=1", 20 * interval) and manager.hears(b"WATCHDOG=1", 20 * interval))
    assert manager.hears(b"WATCHDOG=1") and manager.hears(b"WATCHDOG=1")
    assert process.terminate() == 0


@pytest.mark.plain
def test_a_worker_costs_little_memory(daemon):
    server = listening(STREAM)

    def resident(number):
        process = daemon([server], f"--workers={number}", "--log-level=debug")
        assert begun(process)
        text = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
        private = sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Private_"))
        assert process.terminate() == 0
        return private

    assert resident(65) - resident(1) < 64 * 64
