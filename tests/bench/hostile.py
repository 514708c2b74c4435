#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What one hostile user at every limit at once costs an honest one.

    tests/bench/hostile.py [--rounds=N] [--duration=SPAN] [--connections=N] [--rate=N] [--apart] [--connect]
                           [--within=PERCENT] SWARM

An honest user's throughput and latency are measured with uds-echo bench on each of the sockets of uds-echo.service, in
turn alone, with a hostile user who does what he can to another service of the same kind on this host, and with that
user at the same service. The hostile user holds as many connections as he may and asks for more, has as many bytes and
datagrams unread as he may, from a thousand addresses, passes descriptors and leaves with unread answers; he tries RATE
times a second, or as often as he can (0). What a client burns of the processors it takes from all, whoever it talks to:
the second measurement shows that, and what the third has less than it is what he costs by being at the same service.
With --apart the hostile user's processes, and the other service, have half of the processors to themselves, and the
honest user and the service share the other half: then what is left is what the service does for him. With --connect
each of his messages goes on a new connection. Printed are medians over the rounds, of each round's ratio, too.

SWARM is the program that is built from tests/faults. As root, for example

    tools/machine --overlay "$PWD/build/test/stage" /usr/src/uds-echo/tests/bench/hostile.py \\
        /usr/src/uds-echo/build/test/tests/faults/swarm

It ends with 1 if the honest user was refused or missed anything, or if, on the median, he was slower than alone by more
than PERCENT (in messages a second, or at the 99th percentile) where a hostile user was at the same service.
"""

import argparse
import contextlib
import grp
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

HONEST, HOSTILE = 60001, 60004
CONNECTED = ("stream", "seqpacket")
KINDS = (*CONNECTED, "dgram")
HERE, ELSEWHERE = "/run/uds-echo", "/run/uds-echo-elsewhere"
ARMS = ("alone", "elsewhere", "beside")
# More than a user may have of them, by itself: a third of those there are descriptors for.
CONNECTIONS = 11_500


class Failure(Exception):
    """The honest user was not served as it should be."""


def run(*words):
    return subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout


def on(processors):
    """To run what follows on these alone."""
    return ["taskset", "--cpu-list", ",".join(map(str, processors))]


def halves():
    """Processors for the honest user and his service, and others for the hostile one."""
    processors = sorted(os.sched_getaffinity(0))
    half = len(processors) // 2
    if half == 0:
        raise Failure("there is one processor alone")
    return processors[:half], processors[half:]


def start_services(ours, theirs):
    """uds-echo.socket, and another one like it."""
    for service, processors in (("uds-echo", ours), ("uds-echo@", theirs)):
        directory = Path(f"/run/systemd/system/{service}.service.d")
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "processors.conf").write_text(f"[Service]\nCPUAffinity={' '.join(map(str, processors))}\n")
    unit = run("systemctl", "cat", "uds-echo.socket").replace(f"={HERE}/", f"={ELSEWHERE}/")
    name = Path(ELSEWHERE).name
    Path(f"/run/systemd/system/{name}.socket").write_text(
        unit.replace("[Socket]\n", f"[Socket]\nService=uds-echo@{name}.service\n"))
    run("systemctl", "daemon-reload")
    run("systemctl", "start", "uds-echo.socket", f"{name}.socket")


def members():
    return grp.getgrnam("uds-echo").gr_gid


def conducts(rate):
    """What the hostile user does on which socket: those that hold something first, then the one that wants more."""
    limit = {"rate": rate} if rate > 0 else {}
    for kind in CONNECTED:
        yield "mute", kind, {"clients": 500, "pause": 1000}
        yield "passing", kind, {"clients": 5, "pause": 20, **limit}
        yield "abrupt", kind, {"clients": 5, **limit}
    yield "mute", "dgram", {"clients": 1000, "window": 20, "pause": 20 * 1000}
    yield "mute", "dgram", {"clients": 100, "sizes": 20000, "window": 20, "pause": 20 * 1000, "connected": True}
    yield "storm", "stream", {"clients": CONNECTIONS, **limit}


def start(arguments, directory, conduct, kind, options):
    words = [f"--{name}" if value is True else f"--{name}={value}" for name, value in options.items()]
    return subprocess.Popen([*on(arguments.theirs), arguments.swarm, conduct, f"{directory}/{kind}.sock",
                             f"--type={kind}", f"--uid={HOSTILE}", f"--gid={members()}", *words],
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


@contextlib.contextmanager
def hostility(arguments, directory):
    """Comes with all that the hostile user can hold at the service in that directory."""
    processes = []
    refused = []
    try:
        for conduct, kind, options in conducts(arguments.rate):
            processes.append(start(arguments, directory, conduct, kind, options))
            if processes[-1].stdout.readline() != "ready\n":
                raise Failure(f"{conduct} on {kind} did not begin")
        yield
    finally:
        for process in processes:
            process.terminate()
        outputs = [process.communicate()[0] for process in processes]
        refused += [json.loads(output)["refused"] for output in outputs if output]
    if not sum(refused):
        raise Failure("the hostile user was not at its limit")


def measure(kind, arguments):
    """Messages a second and the 99th percentile in microseconds, of the honest user."""
    done = subprocess.run(
        [*on(arguments.ours), "setpriv", f"--reuid={HONEST}", f"--regid={members()}", "--clear-groups",
         "uds-echo", "bench", "--json", "--sizes=64", "--rounds=1", f"--connections={arguments.connections}",
         f"--duration={arguments.duration}", *(["--connect"] if arguments.connect else []), f"{HERE}/{kind}.sock"],
        capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failure(f"{kind}: {done.stderr.strip()}")
    result = next(one for one in json.loads(done.stdout)["points"][0]["results"] if not one["bare_loop"])
    return result["rounds"][0]["messages_per_second"], result["rounds"][0]["p99_ns"] / 1000


def measure_round(arguments, number):
    """{kind: {arm: figures}}; who is first changes, so that a drifting machine is fair to all."""
    found = {kind: {} for kind in arguments.kinds}
    for arm in ARMS[number % len(ARMS):] + ARMS[:number % len(ARMS)]:
        directory = {"elsewhere": ELSEWHERE, "beside": HERE}.get(arm)
        with hostility(arguments, directory) if directory else contextlib.nullcontext():
            for kind in arguments.kinds:
                found[kind][arm] = measure(kind, arguments)
    return found


def median(rounds, kind, arm, index):
    return statistics.median(one[kind][arm][index] for one in rounds)


def ratios(rounds, kind, index, arm, other):
    return [one[kind][arm][index] / one[kind][other][index] for one in rounds]


def report(rounds):
    for index, what in ((0, "messages a second"), (1, "99th percentile, µs")):
        print(f"{what:20}" + "".join(f"{arm:>12}" for arm in ARMS) + "   beside : alone       beside : elsewhere")
        for kind in rounds[0]:
            print(f"{kind:20}" + "".join(f"{median(rounds, kind, arm, index):12,.0f}" for arm in ARMS), end="")
            for other in ("alone", "elsewhere"):
                found = ratios(rounds, kind, index, "beside", other)
                print(f"   {statistics.median(found):5.2f} ({min(found):.2f}–{max(found):.2f})", end="")
            print()


def is_within(rounds, percent):
    share = 1 + percent / 100
    return all(statistics.median(ratios(rounds, kind, 0, "beside", "alone")) * share >= 1 and
               statistics.median(ratios(rounds, kind, 1, "beside", "alone")) <= share for kind in rounds[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("swarm", metavar="SWARM")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--duration", default="1s", help="of each measurement")
    parser.add_argument("--connections", type=int, default=16, help="of the honest user")
    parser.add_argument("--rate", type=int, default=50, help="attempts of the hostile user at more, a second; 0: no end")
    parser.add_argument("--apart", action="store_true", help="processors of their own for the hostile user")
    parser.add_argument("--connect", action="store_true", help="a new connection for each message of the honest user")
    parser.add_argument("--within", type=float, metavar="PERCENT", help="fail beyond this")
    arguments = parser.parse_args()
    arguments.kinds = CONNECTED if arguments.connect else KINDS
    rounds = []
    try:
        everywhere = sorted(os.sched_getaffinity(0))
        arguments.ours, arguments.theirs = halves() if arguments.apart else (everywhere, everywhere)
        start_services(arguments.ours, arguments.theirs)
        for number in range(arguments.rounds):
            rounds.append(measure_round(arguments, number))
            print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
    except Failure as failure:
        print(f"hostile.py: {failure}", file=sys.stderr)
        return 1
    report(rounds)
    return 0 if arguments.within is None or is_within(rounds, arguments.within) else 1


if __name__ == "__main__":
    sys.exit(main())
