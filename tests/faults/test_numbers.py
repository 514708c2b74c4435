# SPDX-License-Identifier: MIT
"""Very many connections, very late readers, and one user at every limit at once."""

import pytest
from laboratory import ALICE, BOB, CAROL, MALLORY, SLOWNESS, is_sanitized, scaled
from memory import accounted
from uds import ALL, CONNECTED, DGRAM, counted, eventually

pytestmark = pytest.mark.systemd

# How many connections of a hundred thousand are which.
MIX = {"vanish": 40_000, "half-close": 50_000, "abrupt": 10_000}
# The kernel charges and uncharges memory in batches, for each processor and kind of object.
KERNEL_KIB = 2048
# A byte lost for each connection would be a hundred.
LEFT_KIB = 64


def open_and_close(trial, share):
    """Returns how many."""
    swarms = [trial.swarm(conduct, kind, uid=uid, clients=100, connections=scaled(number * share / 2), sizes="64,3000")
              for conduct, number in MIX.items() for kind, uid in zip(CONNECTED, (ALICE, BOB))]
    return sum(swarm.wait()["connections"] for swarm in swarms)


def test_a_hundred_thousand_connections_leave_nothing_behind(laboratory):
    laboratory.start()
    with accounted(laboratory.units) as used:
        with laboratory.trial("connections opened and closed, a tenth of them abruptly") as trial:
            open_and_close(trial, 0.1)
            before, resident = used(), trial.resident()
            assert open_and_close(trial, 1) >= scaled(100_000)
            if not is_sanitized(trial.pid):
                assert eventually(lambda: trial.resident() <= resident + LEFT_KIB)
                assert before is None or eventually(lambda: used() <= before + KERNEL_KIB)
            if before is not None:
                trial.row.note = f"with the kernel's part {before / 1024:.1f} and {used() / 1024:.1f} MiB"


def test_datagram_clients_that_stop_reading_for_10_s_get_all_within_their_bound_in_order(laboratory):
    seconds = 10 * min(SLOWNESS, 6)  # meanwhile they send all that they have
    laboratory.start("--bytes-max-per-user=16M")
    with laboratory.trial(f"datagram clients that stop reading for {seconds} s") as trial:
        others = [trial.swarm("echo", DGRAM, uid=uid, clients=20, pause=5).ready() for uid in (ALICE, CAROL)]
        within = [(trial.swarm("late", DGRAM, uid=uid, clients=10, messages=1000, sizes="0,16,500", seconds=seconds), 10)
                  for uid in (ALICE, BOB)]
        within.append((trial.swarm("late", DGRAM, uid=CAROL, clients=3, messages=1000, sizes="16,500", seconds=seconds,
                                   connected=True), 3))
        beyond = trial.swarm("late", DGRAM, uid=MALLORY, clients=3, messages=3000, sizes="64", seconds=seconds,
                             patience=seconds)
        beyond.is_fair = False
        for swarm, clients in within:
            facts = swarm.wait()
            assert facts["messages"] == 1000 * clients and facts["lost_messages"] == 0, str(swarm)
        assert all(swarm.stop()["lost_messages"] == 0 for swarm in others)
        facts = beyond.wait()
        assert 3 * 1000 <= facts["messages"] < 3 * 3000
        assert beyond.wrong_bytes() == 0
    # Neither a datagram that is dropped in silence, nor one that is counted and was not.
    assert facts["lost_messages"] == counted(trial.journal(), "Datagrams dropped, the sender does not read its replies")


def test_one_user_at_every_limit_at_once_costs_another_nothing(laboratory):
    seconds = scaled(8)
    laboratory.start("--connections-max-per-user=400", "--bytes-max-per-user=2M")
    with laboratory.trial("one user at every limit at once") as trial:
        for kind in CONNECTED:
            trial.swarm("mute", kind, uid=MALLORY, clients=100, pause=5).ready()
            trial.swarm("storm", kind, uid=MALLORY, clients=400, rate=200).ready()
            trial.swarm("abrupt", kind, uid=MALLORY, clients=20, rate=100).ready()
            trial.swarm("passing", kind, uid=MALLORY, clients=20, rate=100).is_fair = False
        trial.swarm("mute", DGRAM, uid=MALLORY, clients=1000, window=5, pause=100).ready()
        # Within what a user may have unread in datagrams, should all of them be unread.
        honest = [trial.swarm("echo", kind, uid=ALICE, clients=20, seconds=seconds, pause=5) for kind in ALL]
        honest += [trial.swarm("half-close", kind, uid=BOB, clients=20, seconds=seconds, rate=200, sizes="64,3000")
                   for kind in ALL]
        for swarm in honest:
            facts = swarm.wait()
            assert facts["finished"] == facts["connections"] >= 20, str(swarm)
        trial.wait_for_trace("Connections refused, their user has --connections-max-per-user= already")
        trial.wait_for_trace("Datagrams dropped, their user has too many unread")
