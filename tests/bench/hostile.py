#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What one hostile user at every limit at once costs an honest one.

    tests/bench/hostile.py [--rounds=N] [--duration=SPAN] [--connections=N] SWARM

An honest user's throughput and latency are measured with uds-echo bench on each of the sockets of uds-echo.service, in
turn without and with a hostile user beside it. That one holds as many connections as it may and asks for more, has as
many bytes and datagrams unread as it may, from a thousand addresses, passes descriptors and leaves with unread answers:
at a modest rate, because on a host with few processors a client that burns one of them slows all others, whatever the
service does. Printed are medians over the rounds, of each round's ratio.

SWARM is the program that is built from tests/faults. As root, with uds-echo.socket started, for example

    tools/machine --overlay build/test/stage sh -c 'systemctl start uds-echo.socket &&
        /usr/src/uds-echo/tests/bench/hostile.py /usr/src/uds-echo/build/test/tests/faults/swarm'

It ends with 1 if the honest user was refused or missed anything.
"""

import argparse
import contextlib
import grp
import json
import statistics
import subprocess
import sys

HONEST, HOSTILE = 60001, 60004
KINDS = ("stream", "seqpacket", "dgram")
# More than a user may have of them, by itself: a third of those there are descriptors for.
CONNECTIONS = 11_500
RATE = 50  # attempts at more, a second


class Failure(Exception):
    """The honest user was not served as it should be."""


def path(kind):
    return f"/run/uds-echo/{kind}.sock"


def members():
    return grp.getgrnam("uds-echo").gr_gid


def conducts():
    """What the hostile user does on which socket: those that hold something first, then the one that wants more."""
    for kind in ("stream", "seqpacket"):
        yield "mute", kind, {"clients": 500, "pause": 1000}
        yield "passing", kind, {"clients": 5, "pause": 1000 // RATE}
        yield "abrupt", kind, {"clients": 5, "rate": RATE}
    yield "mute", "dgram", {"clients": 1000, "window": 20, "pause": 20 * 1000}
    yield "mute", "dgram", {"clients": 100, "sizes": 20000, "window": 20, "pause": 20 * 1000, "connected": True}
    yield "storm", "stream", {"clients": CONNECTIONS, "rate": RATE}


def start(swarm, conduct, kind, options):
    words = [f"--{name}" if value is True else f"--{name}={value}" for name, value in options.items()]
    return subprocess.Popen([swarm, conduct, path(kind), f"--type={kind}", f"--uid={HOSTILE}", f"--gid={members()}",
                             *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


@contextlib.contextmanager
def hostility(swarm):
    """Comes with all that the hostile user can hold; yields a list, in which its refusals are in the end."""
    processes = []
    refused = []
    try:
        for conduct, kind, options in conducts():
            processes.append(start(swarm, conduct, kind, options))
            if processes[-1].stdout.readline() != "ready\n":
                raise Failure(f"{conduct} on {kind} did not begin")
        yield refused
    finally:
        for process in processes:
            process.terminate()
        outputs = [process.communicate()[0] for process in processes]
        refused += [json.loads(output)["refused"] for output in outputs if output]


def measure(kind, arguments):
    """Messages a second and the 99th percentile in microseconds, of the honest user."""
    done = subprocess.run(
        ["setpriv", f"--reuid={HONEST}", f"--regid={members()}", "--clear-groups", "uds-echo", "bench", "--json",
         "--sizes=64", "--rounds=1", f"--connections={arguments.connections}", f"--duration={arguments.duration}",
         path(kind)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failure(f"{kind}: {done.stderr.strip()}")
    result = next(one for one in json.loads(done.stdout)["points"][0]["results"] if not one["bare_loop"])
    return result["rounds"][0]["messages_per_second"], result["rounds"][0]["p99_ns"] / 1000


def measure_round(swarm, arguments, backwards):
    """{kind: (alone, beside)}; who is first changes, so that a drifting machine is fair to both."""
    found = {kind: {} for kind in KINDS}

    def alone():
        for kind in KINDS:
            found[kind]["alone"] = measure(kind, arguments)

    def beside():
        with hostility(swarm) as refused:
            for kind in KINDS:
                found[kind]["beside"] = measure(kind, arguments)
        if not sum(refused):
            raise Failure("the hostile user was not at its limit")

    for part in (beside, alone) if backwards else (alone, beside):
        part()
    return found


def median(rounds, kind, which, index):
    return statistics.median(one[kind][which][index] for one in rounds)


def ratio(rounds, kind, index):
    ratios = [one[kind]["beside"][index] / one[kind]["alone"][index] for one in rounds]
    return f"{statistics.median(ratios):6.2f}  ({min(ratios):.2f}–{max(ratios):.2f})"


def report(rounds):
    print(f"{'':10}{'messages/s':>12}{'beside':>12}  ratio              {'p99 µs':>8}{'beside':>8}  ratio")
    for kind in KINDS:
        print(f"{kind:10}{median(rounds, kind, 'alone', 0):>12,.0f}{median(rounds, kind, 'beside', 0):>12,.0f}"
              f"{ratio(rounds, kind, 0):<21}"
              f"{median(rounds, kind, 'alone', 1):>8.1f}{median(rounds, kind, 'beside', 1):>8.1f}{ratio(rounds, kind, 1)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("swarm", metavar="SWARM")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--duration", default="1s", help="of each measurement")
    parser.add_argument("--connections", type=int, default=16, help="of the honest user")
    arguments = parser.parse_args()
    rounds = []
    try:
        for number in range(arguments.rounds):
            rounds.append(measure_round(arguments.swarm, arguments, number % 2 == 1))
            print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
    except Failure as failure:
        print(f"hostile.py: {failure}", file=sys.stderr)
        return 1
    report(rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
