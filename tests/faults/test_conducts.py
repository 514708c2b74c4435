# SPDX-License-Identifier: MIT
"""Clients that behave badly or oddly, thousands of each at once and from several users: beside them all others get all
that they are owed, and when they are gone the service is as it was."""

import pytest
from laboratory import ALICE, BOB, CAROL, MALLORY, crowd, scaled
from uds import ALL, CONNECTED, DGRAM

pytestmark = pytest.mark.systemd

BROKEN_OFF = "Connections broken off by the client before it had read everything"
GONE = "Datagrams not answered, the sender's socket is gone or out of reach"
DROPPED = "Datagrams dropped, (the sender does not read its replies|their user has too many unread)"

# What is said of them, how many a user has at once and in all, and what the journal has on them, connections or
# datagrams, if they lose anything.
CONDUCTS = {
    "vanish": ("connect and vanish", dict(clients=1000, connections=4000), None, None),
    "abrupt": ("leave with unread answers", dict(clients=1000, connections=3000), BROKEN_OFF, GONE),
    "half-close": ("shut down and read on", dict(clients=1000, connections=2000, sizes="64,600"), None, None),
    "trickle": ("send a byte at a time", dict(clients=1000, connections=1000), None, None),
    "empty": ("send empty messages", dict(clients=1000, connections=2000), None, None),
    "fickle": ("change their mind", dict(clients=1000, connections=3000), BROKEN_OFF, GONE),
    "passing": ("pass descriptors", dict(clients=500, connections=1000), None, None),
}


def beside(trial, kind):
    """An honest user, who must not lose anything."""
    return trial.swarm("echo", kind, uid=CAROL, clients=20, pause=5).ready()


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("conduct", CONDUCTS)
def test_beside_clients_of_any_conduct_others_lose_nothing(laboratory, conduct, kind):
    words, numbers, trace, datagram_trace = CONDUCTS[conduct]

    laboratory.start()
    with laboratory.trial(f"{kind} clients that {words}") as trial:
        beside(trial, kind)
        facts = [swarm.wait() for swarm in [trial.swarm(conduct, kind, uid=uid, **crowd(**numbers))
                                           for uid in (ALICE, BOB, MALLORY)]]
        trial.expect_trace(datagram_trace if kind == DGRAM else trace)
    if conduct == "passing":
        assert all(one["descriptors_refused"] + one["descriptors_passed"] > 0 for one in facts)


@pytest.mark.parametrize("kind", ALL)
def test_the_largest_messages_of_many_come_back(laboratory, kind):
    # What a user has unread in datagrams is bounded, and beyond that they are dropped (UNREAD).
    numbers = dict(clients=4, connections=200) if kind == DGRAM else dict(clients=300, connections=1000)

    laboratory.start()
    with laboratory.trial(f"{kind} clients that send the largest messages") as trial:
        beside(trial, kind)
        for swarm in [trial.swarm("largest", kind, uid=uid, **crowd(**numbers)) for uid in (ALICE, BOB)]:
            swarm.wait()


@pytest.mark.parametrize("kind", CONNECTED)
def test_messages_larger_than_the_usual_come_back(laboratory, kind):
    laboratory.start()
    with laboratory.trial(f"{kind} clients that send messages of 512 KiB") as trial:
        beside(trial, kind)
        trial.swarm("largest", kind, uid=ALICE, **crowd(clients=20, connections=60),
                    send_buffer=256 << 10).wait()


@pytest.mark.parametrize("kind", ALL)
def test_beside_clients_that_never_read_others_lose_nothing(laboratory, kind):
    laboratory.start()
    with laboratory.trial(f"{kind} clients that never read") as trial:
        for uid in (ALICE, BOB):
            trial.swarm("mute", kind, uid=uid, pause=1, **crowd(clients=1000)).ready()
        trial.swarm("echo", kind, uid=CAROL, clients=20, seconds=2).wait()
        if kind == DGRAM:
            trial.wait_for_trace(DROPPED)
        else:
            trial.expect_trace(BROKEN_OFF)


@pytest.mark.parametrize("kind", CONNECTED)
def test_clients_that_read_late_get_all_that_they_have_sent(laboratory, kind):
    laboratory.start()
    with laboratory.trial(f"{kind} clients that write all they can, and read 2 s later") as trial:
        beside(trial, kind)
        for swarm in [trial.swarm("late", kind, uid=uid, seconds=2, **crowd(clients=500)) for uid in (ALICE, BOB)]:
            assert swarm.wait()["bytes"] > 0


@pytest.mark.parametrize("kind", ALL)
def test_processes_that_are_killed_in_the_middle_of_a_message_leave_nothing_behind(laboratory, kind):
    times = scaled(20)
    sizes = "64,600" if kind == DGRAM else "20000,largest"  # as many datagrams as its user may have unread

    laboratory.start()
    with laboratory.trial(f"{kind} clients killed in the middle of a message", f"{times} × 200") as trial:
        beside(trial, kind)
        for _ in range(times):
            trial.swarm("echo", kind, uid=MALLORY, clients=200, sizes=sizes).ready().kill()
        trial.expect_trace(GONE if kind == DGRAM else BROKEN_OFF)


def test_datagrams_from_a_thousand_addresses_that_never_read_leave_others_theirs(laboratory):
    laboratory.start()
    with laboratory.trial("datagrams from a thousand addresses of one user, never read") as trial:
        trial.swarm("mute", DGRAM, uid=MALLORY, clients=1000, sizes="100,5000", window=50, pause=100).ready()
        trial.swarm("mute", DGRAM, uid=MALLORY, clients=1000, sizes="1", window=50, pause=100, connected=True).ready()
        trial.swarm("echo", DGRAM, uid=CAROL, clients=50, seconds=scaled(2)).wait()
        trial.swarm("echo", DGRAM, uid=BOB, clients=50, seconds=scaled(2), connected=True).wait()
        trial.wait_for_trace(DROPPED)


def test_all_of_them_at_once_beside_honest_users(laboratory):
    seconds = scaled(4)

    laboratory.start()
    with laboratory.trial("all of these at once, of three users, on all sockets") as trial:
        honest = [trial.swarm("echo", kind, uid=uid, clients=50, pause=5).ready() for kind in ALL
                  for uid in (ALICE, CAROL)]
        for kind in ALL:
            trial.swarm("mute", kind, uid=MALLORY, clients=100, pause=1).ready()
        crowd = [trial.swarm(conduct, kind, uid=MALLORY, clients=100, seconds=seconds, pause=1)
                 for kind in ALL for conduct in ("vanish", "abrupt", "fickle")]
        crowd += [trial.swarm(conduct, kind, uid=BOB, clients=100, seconds=seconds, pause=1) for kind in CONNECTED
                  for conduct in ("half-close", "trickle", "empty", "passing", "largest", "late")]
        for swarm in crowd:
            swarm.wait()
        assert all(swarm.stop()["messages"] > 0 for swarm in honest)
        trial.wait_for_trace(DROPPED)
        trial.expect_trace(BROKEN_OFF)
        trial.expect_trace(GONE)
