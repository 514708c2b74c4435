# SPDX-License-Identifier: MIT
"""Clients that end as soon as they have sent their last message."""

import os

import pytest
from laboratory import scaled
from swarms import Swarm
from uds import CONNECTED, listening


@pytest.mark.parametrize("kind", CONNECTED)
def test_a_last_message_is_answered_however_close_the_end_is_behind_it(daemon, tmp_path, kind):
    path = str(tmp_path / "echo.sock")
    server = listening(kind, path)
    # Who polls may look in the very moment. The kernel looks for a message first, and then whether that was the end.
    process = daemon([server], "--workers=1", "--busy-poll=10000")
    swarm = Swarm("half-close", path, kind, clients=1, connections=scaled(100_000, 20_000), messages=2, window=1,
                  sizes=64, uid=os.geteuid(), gid=os.getegid())
    facts = swarm.wait()
    assert facts["finished"] == facts["connections"], str(swarm)
    assert process.terminate() == 0
