# SPDX-License-Identifier: MIT
"""What the kernel or the allocator refuses costs at most whom it was for, and never the service.

Each fault meets a daemon of its own, which serves some clients meanwhile. It must not end, hang or spin; what clients
got must be right; what they lost must be in its log; and afterwards it serves as ever.
"""

import os

import fair_load
import pytest
import rude_load
from fair_load import DGRAM
from injection import (CONNECTION_TROUBLES, DATAGRAM_TROUBLES, EX_OSERR, FailingMalloc, serves_fresh_clients, serving)

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
        self.count = 0

    def try_out(self, name, trial, *arguments):
        self.count += 1
        try:
            trial(*arguments)
        except (AssertionError, OSError) as error:
            self.failures.append(f"{name}: {error}")

    def conclude(self):
        assert self.count > 0
        assert not self.failures, f"{len(self.failures)} of {self.count}:\n" + "\n".join(self.failures)


def withstood(service, lost=None):
    """Nothing fails any more: the service is as good as new, and says what it has cost."""
    assert not service.has_ended(), f"ended: {service.daemon.log()}"
    assert serves_fresh_clients(service.at)
    assert service.rests(), "it spins"
    status = service.ends()
    log = service.daemon.log()
    assert status == 0, f"status {status}: {log}"
    if lost:
        assert service.troubles(CONNECTION_TROUBLES) >= lost["connections"], f"{lost} is not in {log}"
        assert service.troubles(DATAGRAM_TROUBLES) >= lost[DGRAM], f"{lost} is not in {log}"


def refused_to_start(service):
    """It has ended by itself, and said why in one line."""
    log = service.daemon.log().splitlines()
    assert service.daemon.wait() == EX_OSERR, (service.daemon.wait(), log)
    assert len(log) == 1, log


@pytest.mark.parametrize("workers", [1, 2])
def test_without_a_fault_nothing_is_lost_and_nothing_is_counted(tmp_path, workers):
    with serving(tmp_path, f"--workers={workers}") as service:
        assert service.begins()
        assert not fair_load.run(service.at, tmp_path)
        withstood(service)
        assert service.troubles(["[A-Z][a-z]+ "]) == 0, service.daemon.log()


def start_with_failing_allocations(directory, first, count):
    malloc = FailingMalloc(directory)
    malloc.fail(first, count)
    with serving(directory, "--workers=2", "--log-level=err", launcher=malloc.launcher) as service:
        if service.begins():
            malloc.stop()
            withstood(service)
        else:
            refused_to_start(service)


def count_allocations(directory, workers, load):
    """Of a start, and then of the load."""
    malloc = FailingMalloc(directory)
    malloc.stop()
    with serving(directory, f"--workers={workers}", launcher=malloc.launcher) as service:
        assert service.begins()
        start = malloc.get(malloc.calls)
        load.run(service.at, directory)
        return start, malloc.get(malloc.calls) - start


@pytest.mark.parametrize("count", [1, 1 << 32], ids=["one", "all"])
def test_an_allocation_that_fails_at_the_start_is_survived_or_said(tmp_path, count):
    allocations, _ = count_allocations(tmp_path, 2, fair_load)
    trials = Trials()
    for number in range(1, allocations + 1):
        trials.try_out(f"allocation {number} of {allocations}", start_with_failing_allocations, tmp_path, number, count)
    trials.conclude()


def serve_with_failing_allocations(directory, workers, load, first, count):
    malloc = FailingMalloc(directory)
    malloc.stop()
    with serving(directory, f"--workers={workers}", launcher=malloc.launcher) as service:
        assert service.begins()
        malloc.fail(first, count)
        lost = load.run(service.at, directory)
        malloc.stop()
        withstood(service, lost)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("count", [1, 30], ids=["one", "some"])
@pytest.mark.parametrize("load", [fair_load, rude_load], ids=["fair", "rude"])
def test_an_allocation_that_fails_costs_one_client_at_most_and_is_counted(tmp_path, load, count, workers):
    _, allocations = count_allocations(tmp_path, workers, load)
    trials = Trials()
    for number in spread(allocations, 25):
        trials.try_out(f"allocation {number} of {allocations}", serve_with_failing_allocations, tmp_path, workers, load,
                       number, count)
    trials.conclude()
