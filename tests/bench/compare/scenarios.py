# SPDX-License-Identifier: MIT
"""What is measured: loads for the client, each on each type of socket with all servers that take part."""

import dataclasses

from . import client, life, servers
from .servers import TYPES

EVERYBODY = tuple(server.name for server in servers.ALL)


@dataclasses.dataclass(frozen=True)
class Scenario:
    """NAME is for the command line and JSON. OPTIONS are those of uds-echo bench, but for time and rounds.
    POINTS: what tells the points of one call apart, in their order, where there are several. APART: the client has
    a processor for itself, and the servers the others; else a figure would be that of two processors that wake each
    other, or of two programs that take turns on one, which is several times as fast, as it happens."""

    name: str
    title: str
    options: tuple
    servers: tuple = EVERYBODY
    types: tuple = tuple(TYPES)
    points: tuple = ("",)
    apart: bool = False


LOADS = [
    Scenario("polling", "Round trip: 1 connection, 64 B, a client that polls",
             ("--sizes=64", "--connections=1", "--busy-poll"), apart=True),
    Scenario("blocking", "Round trip: 1 connection, 64 B, a client that sleeps",
             ("--sizes=64", "--connections=1"), apart=True),
    Scenario("many", "64 connections, 64 B",
             ("--sizes=64", "--connections=64")),
    Scenario("large", "16 connections, 64 KiB",
             ("--sizes=64K", "--connections=16"), types=("stream",)),
    Scenario("pipelined", "8 connections with 8 messages of 1 KiB in flight on each",
             ("--sizes=1K", "--connections=8", "--window=8"), servers=("uds-echo", "bare", "go-64k")),
    Scenario("crowd", "9,000 connections, 64 B, and 64 of them for comparison",
             ("--sizes=64", "--connections=64,9000"), servers=("uds-echo", "bare", "go-1k"),
             types=("stream", "seqpacket"), points=("64", "9000")),
    Scenario("connect", "A new connection for each message of 64 B, one after the other",
             ("--sizes=64", "--connections=1", "--connect"), types=("stream", "seqpacket"), apart=True),
]
IDLE = Scenario("idle", f"Idle: wake-ups with {life.IDLE_CONNECTIONS:,} connections that have had an echo", (),
                servers=("uds-echo", "bare", "go-1k"), types=("stream",))
ACTIVATION = Scenario("activation", "First reply of a service that systemd has to start", (),
                      servers=("uds-echo",), types=("stream",))
ALL = [*LOADS, IDLE, ACTIVATION]


@dataclasses.dataclass(frozen=True)
class Effort:
    """How thoroughly things are measured."""

    duration: str  # at each server, in all rounds together
    rounds: int
    idle_seconds: int
    activations: int


FULL = Effort("4500ms", 15, 10, 31)
QUICK = Effort("300ms", 3, 2, 3)


def takes_part(scenario, server, kind):
    """In the crowd, seqpacket is for uds-echod alone."""
    return (server.name in scenario.servers and server.serves(kind)
            and (scenario.name != "crowd" or kind == "stream" or server.name == "uds-echo"))


def measure(scenario, kind, chosen, effort):
    """Measures SCENARIO with the servers of those CHOSEN that take part in it. Returns tables for the report."""
    taking_part = [server for server in chosen if takes_part(scenario, server, kind)]
    if scenario is IDLE:
        points = [life.measure_idle(taking_part, kind, effort.idle_seconds)]
    elif scenario is ACTIVATION:
        points = [life.measure_activation(kind, effort.activations)]
    else:
        arguments = [*scenario.options, f"--duration={effort.duration}", f"--rounds={effort.rounds}"]
        points = client.measure(taking_part, kind, arguments, scenario.apart)
    return [{"scenario": scenario.name, "title": scenario.title, "type": kind, "point": point, "results": records}
            for point, records in zip(scenario.points, points)]
