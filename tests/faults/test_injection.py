# SPDX-License-Identifier: MIT
"""What the kernel or the allocator refuses costs at most whom it was for, and never the service.

Each fault meets a daemon of its own, which serves some clients meanwhile. It must not end, hang or spin; what clients
got must be right; what they lost must be in its log; and afterwards it serves as ever.
"""

import os
import re
import signal
from collections import Counter

import fair_load
import pytest
import rude_load
from fair_load import DGRAM
from injection import (CONNECTION_TROUBLES, DATAGRAM_TROUBLES, EX_OSERR, STOPPED, FailingMalloc, Tracer,
                       count_injected, serves_fresh_clients, serving)
from uds import eventually

pytestmark = pytest.mark.plain

# More than 1 tries more of what can fail, and a large number tries all.
SCALE = float(os.environ.get("UDS_ECHO_FAULTS_SCALE", 1))


def spread(count, few):
    """FEW numbers, times the scale, from 1 to COUNT."""
    few = max(1, min(count, round(few * SCALE)))
    return sorted({1 + round(i * (count - 1) / max(1, few - 1)) for i in range(few)}) if count else []


class Trials:
    """Each may fail; all that did are told of in the end."""

    def __init__(self):
        self.failures = []
        self.missed = []  # what never came to it
        self.count = 0

    def try_out(self, name, trial, *arguments, is_sure=False, **more):
        """Trial returns how often something failed as it should. No two runs are the same, so a fault that is meant for
        a late call may find none; IS_SURE is what has to come to it."""
        self.count += 1
        try:
            if trial(*arguments, **more) == 0:
                self.missed.append(name)
                assert not is_sure, "nothing failed"
        except AssertionError as error:
            self.failures.append(f"{name}: {error}")

    def conclude(self):
        if self.missed:
            print("Nothing failed in:", *self.missed, sep="\n")
        assert len(self.missed) < self.count, "nothing failed"
        assert not self.failures, f"{len(self.failures)} of {self.count}:\n" + "\n".join(self.failures)


def withstood(service, lost=None):
    """Nothing fails any more: the service is as good as new, and says what it has cost."""
    assert not service.has_ended(), "it has ended"
    assert serves_fresh_clients(service.at)
    assert service.rests(), "it spins"
    assert service.ends() == 0
    if lost:
        assert service.troubles(CONNECTION_TROUBLES) >= lost["connections"], f"{lost} is not in the log"
        assert service.troubles(DATAGRAM_TROUBLES) >= lost[DGRAM], f"{lost} is not in the log"


def refused_to_start(service):
    """It has ended by itself, and said why in one line."""
    assert service.daemon.wait() == EX_OSERR
    assert len(service.daemon.log().splitlines()) == 1


@pytest.mark.parametrize("workers", [1, 2])
def test_without_a_fault_nothing_is_lost_and_nothing_is_counted(tmp_path, workers):
    with serving(tmp_path, workers) as service:
        service.serves()
        assert not fair_load.run(service.at, tmp_path)
        withstood(service)
        assert service.troubles(["[A-Z][a-z]+ "]) == 0


def start_with_failing_allocations(directory, first, count):
    malloc = FailingMalloc(directory)
    malloc.fail(first, count)
    with serving(directory, 2, "--log-level=err", launcher=malloc.launcher) as service:
        if service.starts():
            malloc.stop()
            withstood(service)
        else:
            refused_to_start(service)
    return malloc.get(malloc.failed)


def count_allocations(directory, workers, load):
    """Of a start, and then of the load."""
    malloc = FailingMalloc(directory)
    with serving(directory, workers, launcher=malloc.launcher) as service:
        service.serves()
        start = malloc.get(malloc.calls)
        load.run(service.at, directory)
        return start, malloc.get(malloc.calls) - start


@pytest.mark.parametrize("count", [1, 1 << 32], ids=["one", "all"])
def test_an_allocation_that_fails_at_the_start_is_survived_or_said(tmp_path, count):
    allocations, _ = count_allocations(tmp_path, 2, fair_load)
    trials = Trials()
    for number in range(1, allocations + 1):
        trials.try_out(f"allocation {number} of {allocations}", start_with_failing_allocations, tmp_path, number, count,
                       is_sure=number == 1)
    trials.conclude()


def serve_with_failing_allocations(directory, workers, load, first, count):
    malloc = FailingMalloc(directory)
    with serving(directory, workers, launcher=malloc.launcher) as service:
        service.serves()
        malloc.fail(first, count)
        lost = load.run(service.at, directory)
        malloc.stop()
        withstood(service, lost)
    return malloc.get(malloc.failed)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("count", [1, 30], ids=["one", "some"])
@pytest.mark.parametrize("load", [fair_load, rude_load], ids=["fair", "rude"])
def test_an_allocation_that_fails_costs_one_client_at_most_and_is_counted(tmp_path, load, count, workers):
    _, allocations = count_allocations(tmp_path, workers, load)
    trials = Trials()
    for number in spread(allocations, 10):
        trials.try_out(f"allocation {number} of {allocations}", serve_with_failing_allocations, tmp_path, workers, load,
                       number, count, is_sure=number == 1)
    trials.conclude()


def reload(service):
    """Waits for one of the two lines that say how it went."""
    before = service.daemon.log().count("Reload")
    service.daemon.process.send_signal(signal.SIGHUP)
    assert eventually(lambda: service.daemon.log().count("Reload") > before), "nothing is said of the reload"


def reload_with_failing_allocations(directory, number):
    malloc = FailingMalloc(directory)
    with serving(directory, 2, launcher=malloc.launcher) as service:
        service.serves()
        malloc.fail(number)
        reload(service)
        malloc.stop()
        withstood(service)
    return malloc.get(malloc.failed)


def test_an_allocation_that_fails_in_a_reload_leaves_a_policy_in_force(tmp_path):
    malloc = FailingMalloc(tmp_path)
    with serving(tmp_path, 2, launcher=malloc.launcher) as service:
        service.serves()
        before = malloc.get(malloc.calls)
        reload(service)
        allocations = malloc.get(malloc.calls) - before
    trials = Trials()
    for number in spread(allocations, 12):
        trials.try_out(f"allocation {number} of {allocations}", reload_with_failing_allocations, tmp_path, number,
                       is_sure=number == 1)
    trials.conclude()


# What the calls that a daemon makes while it serves can fail with, or could, if the kernel were another one.
SHORTAGE = ["ENOMEM", "ENOBUFS"]
WHILE_SERVING = {
    "accept4": ["EINTR", "EAGAIN", "ECONNABORTED", "EMFILE", "ENFILE", *SHORTAGE],
    "epoll_ctl": ["ENOMEM", "ENOSPC"],
    "epoll_pwait2": ["EINTR", "ENOSYS", "EPERM", "ENOMEM"],
    "epoll_wait": ["EINTR", "ENOMEM"],
    "getsockopt": ["EMFILE", *SHORTAGE],
    "ioctl": ["ENOMEM"],
    "madvise": ["EAGAIN", "ENOMEM"],
    "mmap": ["ENOMEM"],
    "newfstatat": ["ENOMEM"],
    "openat": ["EINTR", "EMFILE", "ENFILE", "ENOMEM"],
    "poll": ["EINTR", "ENOMEM"],
    "read": ["EINTR", "EAGAIN", "ENOMEM"],
    "recvfrom": ["EINTR", "EAGAIN", "ECONNRESET", *SHORTAGE],
    "recvmmsg": ["EINTR", "EAGAIN", *SHORTAGE],
    "recvmsg": ["EINTR", "EAGAIN", "ECONNRESET", *SHORTAGE],
    "sendmmsg": ["EINTR", "EAGAIN", "ECONNRESET", "EPIPE", *SHORTAGE],
    "sendto": ["EINTR", "EAGAIN", "ECONNRESET", "EPIPE", *SHORTAGE],
    "setsockopt": SHORTAGE,
    "shutdown": SHORTAGE,
    "splice": ["EINTR", "EAGAIN", "EINVAL", "ECONNRESET", "EPIPE", *SHORTAGE],
    "statfs": ["EINTR", "ENOMEM"],
    "timerfd_settime": ["ENOMEM"],
    "write": ["EINTR"],
}
# What is closed is closed whatever close(2) says. The others fail of programs that are wrong alone, or they are the
# allocator's, whose failures are above.
CANNOT_FAIL = {"brk", "clock_gettime", "close", "futex", "getpid", "mprotect", "munmap", "restart_syscall"}
# And while it starts.
NO_DESCRIPTOR = ["EMFILE", "ENFILE", "ENOMEM"]
AT_THE_START = {
    "clone3": ["EAGAIN", "ENOMEM"],
    "epoll_create1": NO_DESCRIPTOR,
    "epoll_ctl": ["ENOMEM", "ENOSPC"],
    "eventfd2": NO_DESCRIPTOR,
    "fcntl": ["ENOMEM"],
    "getsockname": SHORTAGE,
    "getsockopt": SHORTAGE,
    "madvise": ["ENOMEM"],
    "mmap": ["ENOMEM"],
    "mprotect": ["ENOMEM"],
    "newfstatat": ["ENOMEM"],
    "openat": ["EINTR", *NO_DESCRIPTOR],
    "pipe2": NO_DESCRIPTOR,
    "prlimit64": ["EPERM"],
    "read": ["EINTR", "ENOMEM"],
    "setsockopt": ["EPERM", *SHORTAGE],
    "signalfd4": NO_DESCRIPTOR,
    "socket": [*NO_DESCRIPTOR, "ENOBUFS"],
    "socketpair": [*NO_DESCRIPTOR, "ENOBUFS"],
    "timerfd_create": NO_DESCRIPTOR,
    "timerfd_settime": ["ENOMEM"],
}


def serve_with_failing_calls(directory, load, fault, **more):
    with serving(directory, 2) as service:
        service.serves()
        with Tracer(service, directory / "trace", f"--inject={fault}", **more):
            lost = load.run(service.at, directory)
        withstood(service, lost)
    return count_injected(directory / "trace")


@pytest.fixture(scope="module")
def calls_while_serving(tmp_path_factory):
    """How often each is made, under either load."""
    def census(load):
        directory = tmp_path_factory.mktemp("census")
        with serving(directory, 2) as service:
            service.serves()
            with Tracer(service, directory / "trace") as tracer:
                load.run(service.at, directory)
            return tracer.calls()

    return {load: census(load) for load in (fair_load, rude_load)}


def test_every_call_that_can_fail_is_made_to_fail(calls_while_serving):
    for calls in calls_while_serving.values():
        assert set(calls) <= set(WHILE_SERVING) | CANNOT_FAIL


def test_an_idle_timeout_costs_no_call_for_a_message(calls_while_serving):
    calls = calls_while_serving[fair_load]
    assert calls["recvfrom"] > 100 and calls["timerfd_settime"] <= 10


def try_out_faults(call, errors, count, trial, *arguments, **more):
    """By turns one call alone, and some in a row."""
    assert count, "is it made no more? Then something else is"
    trials = Trials()
    for i, error in enumerate(errors):
        for j, number in enumerate(spread(count, 2)):
            last = f"..{number + 9}" if (i + j) % 2 else ""
            fault = f"{call}:error={error}:when={number}{last}"
            trials.try_out(fault, trial, *arguments, fault, is_sure=number == 1, **more)
    trials.conclude()


@pytest.mark.parametrize("call", WHILE_SERVING)
def test_a_call_that_fails_costs_at_most_whom_it_was_for_and_is_counted(tmp_path, calls_while_serving, call):
    try_out_faults(call, WHILE_SERVING[call], calls_while_serving[fair_load][call], serve_with_failing_calls, tmp_path,
                   fair_load)


@pytest.mark.parametrize("call", ["accept4", "epoll_ctl", "recvfrom", "sendto", "splice"])
def test_a_call_that_fails_among_rude_clients_is_survived(tmp_path, calls_while_serving, call):
    try_out_faults(call, WHILE_SERVING[call], calls_while_serving[rude_load][call], serve_with_failing_calls, tmp_path,
                   rude_load)


def test_a_log_that_cannot_be_written_costs_nobody_anything(tmp_path):
    try_out_faults("write", ["EAGAIN", "EINTR", "EPIPE", "ENOSPC", "ENOMEM"], 20, serve_with_failing_calls, tmp_path,
                   fair_load, first_thread_alone=True)


def calls_of_first_thread(trace):
    """How often each was made before the dynamic linker and the options were through, and in all."""
    calls = re.findall(r"^(\w+)\((\w*)", trace.read_text(errors="replace"), re.M)
    first = calls.index(("fcntl", "3"))
    return Counter(name for name, _ in calls[:first]), Counter(name for name, _ in calls)


@pytest.fixture(scope="module")
def calls_at_the_start(tmp_path_factory):
    directory = tmp_path_factory.mktemp("census")
    with serving(directory, 2, launcher=STOPPED) as service:
        assert service.is_stopped()
        with Tracer(service, directory / "trace", first_thread_alone=True) as tracer:
            tracer.lets_go()
            assert service.starts()
        return calls_of_first_thread(directory / "trace")


def start_with_failing_calls(directory, fault):
    with serving(directory, 2, "--log-level=err", launcher=STOPPED) as service:
        assert service.is_stopped()
        with Tracer(service, directory / "trace", f"--inject={fault}",
                    first_thread_alone=True) as tracer:
            tracer.lets_go()
            starts = service.starts()
        if starts:
            withstood(service)
        else:
            refused_to_start(service)
    return count_injected(directory / "trace")


@pytest.mark.parametrize("call", AT_THE_START)
def test_a_call_that_fails_at_the_start_is_survived_or_said(tmp_path, calls_at_the_start, call):
    before, all_in_all = calls_at_the_start
    assert all_in_all[call] > before[call], "is it made no more? Then something else is"
    trials = Trials()
    for error in AT_THE_START[call]:
        for number in spread(all_in_all[call] - before[call], 4):
            fault = f"{call}:error={error}:when={before[call] + number}"
            trials.try_out(fault, start_with_failing_calls, tmp_path, fault, is_sure=number == 1)
    trials.conclude()


def test_a_manager_that_cannot_be_told_is_said(tmp_path):
    with serving(tmp_path, 2, "--log-level=err", environment={"NOTIFY_SOCKET": "@uds-echo-nobody"}) as service:
        assert not service.starts()
        refused_to_start(service)
