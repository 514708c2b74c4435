# SPDX-License-Identifier: MIT
"""What fails while one process hands over to the next costs at most connections, which the log of either tells.

The clients go on meanwhile, each at another point of what it does. What comes back to them stays right.
"""

import os
import signal
import socket
import threading
from collections import Counter

import fair_load
import pytest
from fair_load import DGRAM
from injection import (CONNECTION_TROUBLES, DATAGRAM_TROUBLES, EX_OSERR, STOPPED, FailingMalloc, Service, Tracer,
                       count_injected, open_sockets, serves_fresh_clients)
from test_injection import NO_DESCRIPTOR, SHORTAGE, Trials, calls_of_first_thread, spread
from uds import PATIENCE

pytestmark = pytest.mark.plain

# Lines that tell more than a counter: all that was to be handed over may be lost.
ENDED = "Connections are ended"
NOT_SENT = "What was read could not be sent out"
NOT_BEGUN = "Serving could not begin"
NOT_TAKEN = "What the process before has handed over"
ALL_LOST = (ENDED, NOT_SENT, NOT_BEGUN, NOT_TAKEN)


class Manager:
    """Of a service manager what a restart takes: it keeps descriptors, and lets go on who waits for it."""

    def __init__(self):
        self.kept = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("")
        self.environment = {"NOTIFY_SOCKET": "@" + self.socket.getsockname()[1:].decode()}
        self.thread = threading.Thread(target=self.listen)
        self.thread.start()

    def listen(self):
        while True:
            text, descriptors, _, _ = socket.recv_fds(self.socket, 4096, 64)
            for descriptor in descriptors:
                os.set_inheritable(descriptor, False)
            if b"FDSTORE=1" in text:
                self.kept += descriptors
                continue
            if b"FDSTOREREMOVE=1" in text:
                descriptors += self.kept
                self.kept = []
            for descriptor in descriptors:
                os.close(descriptor)
            if not text:
                return

    def end(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.socket.getsockname())
        self.thread.join(PATIENCE)
        self.socket.close()
        for descriptor in self.kept:
            os.close(descriptor)


class Restart:
    """Two daemons, one after the other, and clients that are served by both."""

    def __init__(self, directory, launcher=()):
        self.directory = directory
        self.manager = Manager()
        self.sockets = open_sockets()
        self.services = []
        self.tracer = None
        self.lost = Counter()
        self.start(launcher)
        self.services[0].serves()
        self.running = fair_load.begin(self.services[0].at, directory)
        fair_load.advance(self.running, self.lost)
        assert self.services[0].rests(), "it spins"

    def start(self, launcher=()):
        self.services.append(Service(self.directory, 2, sockets=self.sockets, kept=self.manager.kept,
                                     environment=self.manager.environment, launcher=launcher))

    def follow(self, launcher, trace):
        """Starts the second when the first has ended, and once more if that does not come to it."""
        self.services[0].daemon.wait(2 * PATIENCE)
        self.start(STOPPED if trace else launcher)
        if trace:
            assert self.services[-1].is_stopped()
            self.tracer = Tracer(self.services[-1], *trace, first_thread_alone=True)
            self.tracer.lets_go()
        if not self.services[-1].starts():
            self.start()

    def happens(self, launcher=(), trace=()):
        """The first has it that it is a restart, and the second begins when that has ended, launched so or traced."""
        first = self.services[0]
        first.daemon.process.send_signal(signal.SIGUSR1)
        follower = threading.Thread(target=self.follow, args=[launcher, trace])
        follower.start()
        while self.running:
            fair_load.advance(self.running, self.lost)
        follower.join(2 * PATIENCE)
        assert len(self.services) > 1, "the first does not end"

    def troubles(self, kinds):
        return sum(service.troubles(kinds) for service in self.services)

    def is_well(self, excuses=()):
        """Nobody is lost in silence; EXCUSES are those of ALL_LOST that this fault may lead to."""
        *others, last = self.services
        assert last.starts()
        assert serves_fresh_clients(last.at)
        assert last.rests() and last.ends() == 0
        assert all(other.daemon.wait() in (0, EX_OSERR) for other in others)
        said = {line for line in ALL_LOST for service in self.services if line in service.daemon.log()}
        assert said <= set(excuses), f"{said} for this?"
        if said:
            return
        assert self.troubles(CONNECTION_TROUBLES) >= self.lost["connections"], f"{self.lost} is not in the logs"
        assert self.troubles(DATAGRAM_TROUBLES) >= self.lost[DGRAM], f"{self.lost} is not in the logs"

    def end(self):
        for service in self.services:
            service.daemon.kill()
        if self.tracer:
            self.tracer.__exit__()
        self.manager.end()
        for server in self.sockets:
            server.close()

    def __enter__(self):
        return self

    def __exit__(self, _, error, __):
        told = "; then ".join(service.tell() for service in self.services)
        self.end()
        if isinstance(error, (AssertionError, OSError)):
            raise AssertionError(f"{error}; {told}") from error


def test_without_a_fault_a_restart_loses_nothing(tmp_path):
    with Restart(tmp_path) as restart:
        restart.happens()
        restart.is_well()
        assert not restart.lost and restart.troubles(["[A-Z][a-z]+ "]) == 0


def leave_with_failing_allocations(directory, number, count):
    malloc = FailingMalloc(directory)
    with Restart(directory, malloc.launcher) as restart:
        malloc.fail(number, count)
        restart.happens()
        restart.is_well({ENDED, NOT_SENT})
    return malloc.get(malloc.failed)


def begin_with_failing_allocations(directory, number):
    with Restart(directory) as restart:
        malloc = FailingMalloc(directory)
        malloc.fail(number)
        restart.happens(malloc.launcher)
        malloc.stop()
        restart.is_well({NOT_BEGUN, NOT_TAKEN})
    return malloc.get(malloc.failed)


def count_allocations(directory):
    """Those of the first one's end, and those of the second one's beginning."""
    (directory / "first").mkdir()
    (directory / "second").mkdir()
    first, second = FailingMalloc(directory / "first"), FailingMalloc(directory / "second")
    with Restart(directory, first.launcher) as restart:
        before = first.get(first.calls)
        restart.happens(second.launcher)
        return first.get(first.calls) - before, second.get(second.calls)


@pytest.fixture(scope="module")
def allocations(tmp_path_factory):
    return count_allocations(tmp_path_factory.mktemp("census"))


@pytest.mark.parametrize("count", [1, 30], ids=["one", "some"])
def test_an_allocation_that_fails_when_it_hands_over_is_survived_and_said(tmp_path, allocations, count):
    trials = Trials()
    for number in spread(allocations[0], 8):
        trials.try_out(f"allocation {number}", leave_with_failing_allocations, tmp_path, number, count,
                       is_sure=number == 1)
    trials.conclude()


def test_an_allocation_that_fails_when_it_takes_over_is_survived_and_said(tmp_path, allocations):
    trials = Trials()
    for number in spread(allocations[1], 10):
        trials.try_out(f"allocation {number}", begin_with_failing_allocations, tmp_path, number, is_sure=number == 1)
    trials.conclude()


# So many of each are tried in any case, which is all where there is one for all connections and not one for each.
FEW = 6
# What the first thread does with the connections, on either side: how that may fail, and what may be lost by it.
HANDING_OVER = {
    "fcntl": (["EMFILE", "ENOMEM"], {ENDED}),
    "memfd_create": (NO_DESCRIPTOR, {ENDED}),
    "poll": (["EINTR", "ENOMEM"], set()),
    "sendmsg": (["EINTR", "EAGAIN", "ETOOMANYREFS", *SHORTAGE], {ENDED}),
    "socketpair": (NO_DESCRIPTOR, {ENDED}),
    "write": (["EINTR", "ENOSPC", "ENOMEM"], {ENDED}),
}
TAKING_OVER = {
    "epoll_ctl": (["ENOMEM", "ENOSPC"], {NOT_BEGUN}),
    "getsockopt": (SHORTAGE, set()),
    "mmap": (["ENOMEM"], {NOT_BEGUN, NOT_TAKEN}),
    "newfstatat": (["ENOMEM"], {NOT_TAKEN}),
    "recvmsg": (["EINTR", *SHORTAGE], {NOT_TAKEN}),
    "sendmsg": (["EINTR", *SHORTAGE], set()),
}


@pytest.fixture(scope="module")
def calls(tmp_path_factory):
    """How often each is made by the one; before the other comes to its sockets; and by then."""
    directory = tmp_path_factory.mktemp("census")
    with Restart(directory) as restart:
        with Tracer(restart.services[0], directory / "first", first_thread_alone=True) as tracer:
            restart.happens(trace=[directory / "second"])
        return tracer.calls(), *calls_of_first_thread(directory / "second")


def leave_with_failing_calls(directory, fault, excuses):
    with Restart(directory) as restart:
        with Tracer(restart.services[0], directory / "trace", f"--inject={fault}",
                    first_thread_alone=True):
            restart.happens()
        restart.is_well(excuses)
    return count_injected(directory / "trace")


@pytest.mark.parametrize("call", HANDING_OVER)
def test_a_call_that_fails_when_it_hands_over_is_survived_and_said(tmp_path, calls, call):
    trials = Trials()
    errors, excuses = HANDING_OVER[call]
    for error in errors:
        for number in spread(calls[0][call], FEW):
            fault = f"{call}:error={error}:when={number}"
            trials.try_out(fault, leave_with_failing_calls, tmp_path, fault, excuses, is_sure=number == 1)
    trials.conclude()


def begin_with_failing_calls(directory, fault, excuses):
    with Restart(directory) as restart:
        restart.happens(trace=[directory / "trace", f"--inject={fault}"])
        restart.is_well(excuses)
    return count_injected(directory / "trace")


@pytest.mark.parametrize("call", TAKING_OVER)
def test_a_call_that_fails_when_it_takes_over_is_survived_and_said(tmp_path, calls, call):
    _, before, all_in_all = calls
    trials = Trials()
    errors, excuses = TAKING_OVER[call]
    for error in errors:
        for number in spread(all_in_all[call] - before[call], FEW):
            fault = f"{call}:error={error}:when={before[call] + number}"
            trials.try_out(fault, begin_with_failing_calls, tmp_path, fault, excuses, is_sure=number == 1)
    trials.conclude()
