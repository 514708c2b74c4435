# SPDX-License-Identifier: MIT
"""The command line of the comparison, inside the machine; tools/bench is what people call."""

import argparse
import json
import os
import resource
import sys

from . import report, scenarios, servers
from .units import Failure


def say(text):
    print(text, file=sys.stderr, flush=True)


def parse(arguments):
    parser = argparse.ArgumentParser(prog="tools/bench", allow_abbrev=False, add_help=False)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--duration")
    parser.add_argument("--json-to", type=int)
    return parser.parse_args(arguments)


def choose(words):
    """Scenarios, types and servers that --only= leaves; none of a kind means all of it."""
    known = {
        "scenario": {scenario.name: scenario for scenario in scenarios.LOADS},
        "type": {kind: kind for kind in servers.TYPES},
        "server": servers.BY_NAME,
    }
    chosen = {kind: [] for kind in known}
    for word in words:
        kinds = [kind for kind, names in known.items() if word in names]
        if not kinds:
            everything = "; ".join(f"{kind}s: {', '.join(names)}" for kind, names in known.items())
            say(f"tools/bench: --only={word}: there is no such thing. There are {everything}")
            sys.exit(64)
        chosen[kinds[0]].append(known[kinds[0]][word])
    chosen = {kind: found or list(known[kind].values()) for kind, found in chosen.items()}
    # It is what the others are compared with.
    ours = servers.ALL[0]
    chosen["server"] = [ours] + [server for server in chosen["server"] if server is not ours]
    return chosen


def write_to(descriptor, text):
    os.ftruncate(descriptor, 0)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def run(options):
    chosen = choose([word for word in options.only.split(",") if word])
    rounds = options.rounds or (3 if options.quick else 9)
    duration = options.duration or ("300ms" if options.quick else "4500ms")
    servers.prepare()
    tables = []
    for scenario in chosen["scenario"]:
        for kind in scenario.types:
            if kind not in chosen["type"]:
                continue
            say(f"{scenario.title}, {kind}")
            found = scenarios.measure(scenario, kind, chosen["server"], duration, rounds)
            for table in found:
                print("\n" + "\n".join(report.format_table(table)), flush=True)
            tables += found
    if options.json_to is not None:
        write_to(options.json_to, json.dumps({"tables": tables}, indent=1) + "\n")


def raise_limit():
    """As many descriptors for the client as the servers have, or as many as may be."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    for limit in (max(hard, servers.FILES_MAX), hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
            return
        except ValueError:
            pass  # a container, whose root may not


def main():
    options = parse(sys.argv[1:])
    raise_limit()
    try:
        run(options)
    except Failure as failure:
        say(f"tools/bench: {failure}")
        sys.exit(1)


main()
