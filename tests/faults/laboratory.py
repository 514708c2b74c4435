# SPDX-License-Identifier: MIT
"""Where the installed echo service is maltreated: trials, with a look at the daemon before and after each.

$UDS_ECHO_FAULTS_SCALE lengthens all of it, or shortens it; 1 is what tools/test does. $UDS_ECHO_FAULTS_SLOWNESS says how
many times slower than usual the daemon is: whatever comes at a rate comes that much more slowly, and is waited for longer.
"""

import contextlib
import grp
import math
import os
import re
import time
from pathlib import Path

from swarms import Swarm
from table import Row
from uds import ALL, descriptors, echoes, eventually, findings, process_ends, status_kib

SCALE = float(os.environ.get("UDS_ECHO_FAULTS_SCALE", "1"))
SLOWNESS = int(os.environ.get("UDS_ECHO_FAULTS_SLOWNESS", "1"))
# Users of whom the system knows nothing, below those that systemd makes for services (DynamicUser=).
ALICE, BOB, CAROL, DAVE, MALLORY = 60001, 60002, 60003, 60005, 60004

PATIENCE = 60.0 * min(SLOWNESS, 4)  # what hangs is to be seen within minutes
# What each user may have unread in a trial.
UNREAD = 2 << 20
# What a trial may leave behind in the daemon. What users had unread is freed, but the allocator gives back only what has
# nothing in use behind it; so it may keep as much as all users had at once. What is lost for good does not stop there:
# a sanitizer, valgrind, and a hundred thousand connections show that.
MEMORY_KIB = 1024 + 4 * UNREAD // 1024


def scaled(number, least=1):
    return max(least, math.ceil(number * SCALE))


def is_heavy():
    """Whether there is so much load that some of it must be lost by those who behave badly."""
    return SCALE >= 0.1 and SLOWNESS == 1


def crowd(clients, **numbers):
    """Options for a swarm. There is a bound on how many clients there can be at once, so there are more after them."""
    return {"clients": max(4, math.ceil(clients * min(SCALE, 1))),
            **{name: scaled(number, 4) if name == "connections" else number for name, number in numbers.items()}}


def is_sanitized(pid):
    """Sanitizers and valgrind keep what was freed for a while, and their own records of it."""
    return re.search(r"lib[at]san\.so|vgpreload_memcheck", Path(f"/proc/{pid}/maps").read_text()) is not None


class Trial:
    """What is done to the service in one go, and what came of it."""

    def __init__(self, laboratory, row):
        self.laboratory = laboratory
        self.units = laboratory.units
        self.row = row
        self.swarms = []
        self.since = time.time()
        self.pid = self.units.pid()
        self.descriptors = descriptors(self.pid)
        self.row.memory_start = self.resident()
        # What the test says of it.
        self.keeps_process = True
        self.ends = []  # how processes of the service end: KILLED
        self.traces = []
        self.lost_connections = 0  # that cannot but be lost

    def swarm(self, conduct, kind, uid=ALICE, **options):
        if "rate" in options:
            options["rate"] = max(1, options["rate"] // SLOWNESS)
        if "pause" in options:
            options["pause"] *= SLOWNESS
        options.setdefault("patience", int(PATIENCE))
        swarm = Swarm(conduct, self.units.path(kind), kind, uid=uid, gid=grp.getgrnam("uds-echo").gr_gid, **options)
        self.swarms.append(swarm)
        return swarm

    def expect_trace(self, pattern):
        """Something has been lost by whom it is his own fault, or by the service's: the journal has to say so. (Of very
        few clients, or slow ones, it may be none.)"""
        if is_heavy() and pattern:
            self.traces.append(pattern)

    def wait_for_trace(self, pattern):
        """The same where it goes on until then, on a slow machine or a fast one."""
        self.expect_trace(pattern)
        if is_heavy():
            assert eventually(lambda: re.search(pattern, self.journal()), PATIENCE), f"{pattern!r} is not in the journal"

    def stop(self):
        """Ends those that go on without an end, all at once."""
        for swarm in self.swarms:
            if swarm.facts is None:
                swarm.process.terminate()
        for swarm in self.swarms:
            swarm.wait()

    def resident(self):
        """The daemon's memory in KiB."""
        return status_kib(self.units.pid(), "VmRSS")

    def journal(self):
        return self.units.journal(self.since)

    def told(self):
        """Those of which is known what has become of them."""
        return [swarm for swarm in self.swarms if swarm.facts]

    def fair(self):
        return [swarm for swarm in self.told() if swarm.is_fair]

    def tally(self):
        """Fills the row in, whatever the verdict will be."""
        self.row.lost_connections += sum(swarm.lost_connections() for swarm in self.fair())
        self.row.lost_bytes += sum(swarm.lost_bytes() for swarm in self.fair())
        self.row.wrong_bytes += sum(swarm.wrong_bytes() for swarm in self.told())
        if not self.row.times:
            self.row.times = f"{sum(swarm.facts.get('connections', 0) for swarm in self.told()):,}"
        ends = process_ends(self.journal())
        self.units.ends |= set(self.ends)
        self.row.crashes = len(ends) - len([end for end in ends if end in self.ends])
        with contextlib.suppress(OSError, AttributeError):  # there may be no such process
            pid = self.units.pid()
            eventually(lambda: descriptors(pid) <= self.descriptors)
            self.row.leaked_descriptors = max(0, descriptors(pid) - self.descriptors)
            if not is_sanitized(pid):  # of those nothing is asked
                eventually(lambda: self.resident() <= self.row.memory_start + MEMORY_KIB)
            self.row.memory_end = self.resident()

    def judge(self):
        for swarm in self.told():
            assert swarm.wrong_bytes() == 0, str(swarm)
        for swarm in self.fair():
            assert self.lost_connections or swarm.lost_bytes() == swarm.lost_connections() == 0, str(swarm)
        assert self.row.lost_connections == self.lost_connections
        self.judge_process()
        # At its end it says what it has not said yet, and a sanitizer looks for what was not freed.
        self.units.systemctl("stop", self.units.service)
        assert self.units.show(self.units.service, "Result") == "success"
        self.judge_journal()

    def judge_process(self):
        pid = self.units.pid()
        assert self.units.state() == "active" and pid > 0
        assert pid == self.pid or not self.keeps_process, "it is another process"
        assert all(echoes(self.units.connect(kind)) for kind in ALL), "the next clients are served"
        assert self.row.leaked_descriptors == 0
        if not is_sanitized(pid):
            assert self.row.memory_end <= self.row.memory_start + MEMORY_KIB

    def judge_journal(self):
        journal = self.journal()
        assert sorted(process_ends(journal)) == sorted(self.ends), journal
        assert not findings(journal), journal
        for trace in self.traces:
            assert re.search(trace, journal), f"{trace!r} is not in:\n{journal}"


class Laboratory:
    def __init__(self, units, rows):
        self.units = units
        self.rows = rows

    def start(self, *options, service=""):
        """Starts the installed service with more options, and more lines for its [Service]."""
        command = re.search(r"argv\[\]=(.*?) ;", self.units.show(self.units.service, "ExecStart")).group(1)
        # What a client alone brought about is for those who look for it.
        command = " ".join([command, "--log-level=debug", f"--bytes-max-per-user={UNREAD}", *options])
        self.units.override(self.units.service, f"[Service]\nExecStart=\nExecStart={command}\n{service}\n")
        self.units.systemctl("start", self.units.socket)
        assert all(echoes(self.units.connect(kind)) for kind in ALL)
        assert self.units.show(self.units.service, "SystemCallErrorNumber") in ("", "2147483646", "kill"), \
            "a system call that is not in the filter would not be seen"
        self.warm_up()

    def warm_up(self):
        """So that what is allocated once, for the first client that needs it, is there."""
        for kind in ALL:
            for conduct in ("echo", "abrupt"):
                Swarm(conduct, self.units.path(kind), kind, clients=50, connections=100, messages=3).wait()
        assert eventually(lambda: "Echoing: 0 connections now" in self.units.status(), PATIENCE)

    @contextlib.contextmanager
    def trial(self, what, times="", note=""):
        """trial(...) as trial: what is done within is judged at the end, and has a row in the table anyway."""
        row = Row(what, times, note=note)
        self.rows.append(row)
        trial = Trial(self, row)
        try:
            yield trial
            trial.stop()
        finally:
            for swarm in trial.swarms:
                if swarm.facts is None:
                    swarm.kill()
            trial.tally()
        trial.judge()
