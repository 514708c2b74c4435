# SPDX-License-Identifier: MIT
"""What happens to the process itself, and to the host that it runs on."""

import os
import signal
from pathlib import Path

import pytest
from journal import full_disk
from laboratory import ALICE, CAROL, MALLORY, PATIENCE, scaled
from uds import ABORTED, ALL, CONNECTED, DGRAM, KILLED, STREAM, Units, connect, eventually, is_stopped

pytestmark = pytest.mark.systemd
VALGRIND = Path("/etc/systemd/system/uds-echo.service.d/valgrind.conf").exists()  # tools/soak
# valgrind has twelve for itself, which it takes from the daemon's where the hard limit leaves no others.
FEW_DESCRIPTORS = "LimitNOFILE=64:76" if VALGRIND else "LimitNOFILE=64"


def wait_for_another_process(units, pid):
    assert eventually(lambda: units.state() == "active" and units.pid() not in (0, pid), PATIENCE)


def test_a_process_that_is_killed_takes_its_connections_along_and_nothing_else(laboratory):
    times = scaled(5)
    laboratory.start()
    with laboratory.trial("SIGKILL; all of its connections are lost", f"{times}") as trial:
        trial.keeps_process = False
        trial.ends = [KILLED] * times
        trial.lost_connections = times * 200
        for _ in range(times):
            swarms = [trial.swarm("echo", kind, uid=ALICE, clients=100, connections=100, pause=5).ready()
                      for kind in CONNECTED]
            pid = laboratory.units.pid()
            os.kill(pid, signal.SIGKILL)
            for swarm in swarms:
                swarm.wait()
            for kind in ALL:
                # Whoever comes next is served, while systemd starts another process.
                swarm = trial.swarm("half-close", kind, uid=CAROL, clients=50, connections=200)
                assert swarm.wait()["finished"] == 200, f"{swarm}\n{trial.journal()}"
            wait_for_another_process(laboratory.units, pid)


def test_a_process_that_hangs_is_ended_by_the_watchdog(laboratory):
    laboratory.start(service="WatchdogSec=6s")
    with laboratory.trial("SIGSTOP, until the watchdog ends it", "1") as trial:
        trial.keeps_process = False
        trial.ends = [ABORTED]
        pid = laboratory.units.pid()
        os.kill(pid, signal.SIGSTOP)
        assert is_stopped(pid)
        # These wait in the kernel, and notice nothing but that.
        waiting = [trial.swarm("half-close", kind, uid=CAROL, clients=50, connections=50) for kind in ALL]
        wait_for_another_process(laboratory.units, pid)
        assert all(swarm.wait()["finished"] == 50 for swarm in waiting)
        trial.expect_trace("Watchdog timeout")


def test_a_full_disk_for_the_journal_holds_nobody_up(laboratory, request):
    auth = Units("uds-auth")
    request.addfinalizer(auth.stop)
    auth.start()
    laboratory.start()
    with laboratory.trial("a full disk for the journal", "1") as trial, full_disk():
        # Faults of which the service has to say something, and decisions, each of which is an entry.
        trial.swarm("mute", DGRAM, uid=MALLORY, clients=200, pause=10).ready()
        trial.swarm("abrupt", STREAM, uid=MALLORY, clients=100, pause=10, rate=200).ready()
        for _ in range(500):
            assert connect(STREAM, auth.path(STREAM)).recv(8) == b"Welcome\n"
        for kind in ALL:
            assert trial.swarm("echo", kind, uid=ALICE, clients=20, seconds=3).wait()["finished"] == 20
        assert auth.state() == "active" and auth.show(auth.service, "NRestarts") == "0"
        trial.expect_trace("Stopped after")  # when there is room again


@pytest.mark.parametrize("kind", CONNECTED)
def test_with_64_descriptors_a_storm_is_refused_and_others_are_served(laboratory, kind):
    # More workers would need more of them for themselves.
    laboratory.start("--workers=1", service=FEW_DESCRIPTORS)
    with laboratory.trial(f"RLIMIT_NOFILE of 64, and a storm of {kind} connections") as trial:
        trial.swarm("storm", kind, uid=MALLORY, clients=500, rate=500).ready()
        assert trial.swarm("echo", kind, uid=CAROL, clients=3, seconds=scaled(2)).wait()["finished"] == 3
        assert trial.swarm("half-close", kind, uid=CAROL, clients=2, connections=scaled(200)).wait()["refused"] == 0
        trial.expect_trace("Connections refused")


@pytest.mark.skipif(VALGRIND, reason="valgrind accepts what is beyond the daemon's limit, and closes it")
def test_with_64_descriptors_and_more_connections_allowed_they_wait_their_turn(laboratory):
    laboratory.start("--workers=1", "--connections-max=1000", "--connections-max-per-user=1000",
                     service="LimitNOFILE=64")
    with laboratory.trial("RLIMIT_NOFILE of 64, and more connections than that") as trial:
        facts = trial.swarm("half-close", STREAM, uid=ALICE, clients=500, connections=scaled(3000, 500)).wait()
        assert facts["finished"] == facts["connections"]
        trial.expect_trace("Pauses in accepting connections")
