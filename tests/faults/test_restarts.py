# SPDX-License-Identifier: MIT
"""Restarts, one after the other, that nobody notices but by a delay."""

import time

import pytest
from laboratory import ALICE, BOB, CAROL, DAVE, MALLORY, scaled
from uds import ALL, CONNECTED, DGRAM, STREAM, echoes, more_than_unread

pytestmark = pytest.mark.systemd

INTERVAL = 0.2  # seconds


def annoy(trial):
    """Some who behave badly, at a modest rate."""
    for kind in ALL:
        trial.swarm("vanish", kind, uid=MALLORY, clients=10, rate=50).ready()
        trial.swarm("abrupt", kind, uid=MALLORY, clients=10, rate=50).ready()
        trial.swarm("fickle", kind, uid=MALLORY, clients=10, rate=50).ready()
        trial.swarm("mute", kind, uid=MALLORY, clients=20, pause=20).ready()


def test_restarts_under_load_lose_nothing(laboratory):
    restarts = scaled(300)
    laboratory.start()
    with laboratory.trial("restarts under load, one every 200 ms", f"{restarts:,}") as trial:
        trial.keeps_process = False
        for kind in CONNECTED:
            trial.swarm("echo", kind, uid=ALICE, clients=200, pause=20).ready()
            # These are owed something all the time.
            trial.swarm("late", kind, uid=BOB, clients=50).ready()
            # These come and go all the time, also while there is no process.
            trial.swarm("half-close", kind, uid=CAROL, clients=20, rate=200).ready()
        trial.swarm("echo", DGRAM, uid=ALICE, clients=50, pause=20).ready()
        # So are these, within what a user may have unread, which is theirs alone.
        trial.swarm("late", DGRAM, uid=DAVE, clients=10, messages=more_than_unread(100), sizes="0,100,3000").ready()
        annoy(trial)
        begun = time.monotonic()
        for number in range(restarts):
            due = time.monotonic() + INTERVAL
            if number % 10 == 0:
                crashing = [trial.swarm("echo", kind, uid=MALLORY, clients=10) for kind in ALL]
            laboratory.units.systemctl("restart", laboratory.units.service)
            if number % 10 == 0:
                for swarm in crashing:
                    swarm.kill()
            time.sleep(max(0, due - time.monotonic()))
        seconds = time.monotonic() - begun
        trial.expect_trace(r"Handed over .* and [1-9]\d* datagrams?\.")
        trial.stop()
        connections = sum(swarm.clients for swarm in trial.fair() if swarm.kind != DGRAM)
        longest = max(swarm.facts["longest_wait_usec"] for swarm in trial.fair() if swarm.conduct != "late")
        trial.row.note = \
            f"{connections} honest connections; {seconds:.0f} s, the longest wait was {longest / 1000:.0f} ms"


def test_a_stop_under_load_answers_what_was_sent(laboratory):
    times = scaled(10)
    laboratory.start()
    with laboratory.trial("stops and starts under load", f"{times}") as trial:
        trial.keeps_process = False
        for _ in range(times):
            # Each client goes on to the end of what it has sent, which has to come back; then it is cut off.
            swarms = [trial.swarm("echo", kind, uid=ALICE, clients=100, connections=100).ready() for kind in CONNECTED]
            laboratory.units.systemctl("stop", laboratory.units.service)
            for swarm in swarms:
                facts = swarm.wait()
                assert facts["lost"] == 100, "nobody is kept"
                assert facts["lost_bytes"] == 0
                swarm.is_fair = False
        assert echoes(laboratory.units.connect(STREAM)), "the next client starts it again"
