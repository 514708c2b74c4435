# SPDX-License-Identifier: MIT
"""The command line of the comparison, inside the machine; tools/bench is what people call."""

import argparse
import dataclasses
import json
import os
import resource
import sys
import time

from . import bars, machine, picture, report, scenarios, servers
from .units import Failure

USAGE = 64
KNOWN = {
    "scenarios": {scenario.name: scenario for scenario in scenarios.ALL},
    "types": {kind: kind for kind in servers.TYPES},
    "servers": servers.BY_NAME,
}


def say(text):
    print(text, file=sys.stderr, flush=True)


class Parser(argparse.ArgumentParser):
    def error(self, message):
        say(f"tools/bench: {message}; see tools/bench --help")
        sys.exit(USAGE)


def positive(text):
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def words(text):
    chosen = [word for word in text.split(",") if word]
    for word in chosen:
        if not any(word in names for names in KNOWN.values()):
            raise argparse.ArgumentTypeError(f"there is no {word!r} (--list says what there is)")
    return chosen


def parse(arguments):
    parser = Parser(prog="tools/bench", allow_abbrev=False, add_help=False)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", type=words, default=[])
    parser.add_argument("--rounds", type=positive)
    parser.add_argument("--duration")
    parser.add_argument("--json-to", type=int, help="a descriptor")
    parser.add_argument("--svg-to", type=int, help="a descriptor")
    parser.add_argument("--check", action="store_true", help="read the command line and no more")
    parser.add_argument("--list", action="store_true")
    return parser.parse_args(arguments)


def show_list():
    for kind, names in KNOWN.items():
        print(f"{kind}:")
        for name, entry in names.items():
            print(f"  {name}" if entry is name else f"  {name:<11} {entry.title}")


def choose(only):
    """Scenarios, types and servers that --only= leaves; none of a kind means all of it."""
    chosen = {kind: [entry for name, entry in names.items() if name in only] or list(names.values())
              for kind, names in KNOWN.items()}
    # It is what the others are compared with.
    ours = servers.ALL[0]
    chosen["servers"] = [ours] + [server for server in chosen["servers"] if server is not ours]
    return chosen


def choose_effort(options):
    effort = scenarios.QUICK if options.quick else scenarios.FULL
    if options.rounds:
        effort = dataclasses.replace(effort, rounds=options.rounds, activations=options.rounds)
    if options.duration:
        effort = dataclasses.replace(effort, duration=options.duration)
    return effort


def measure(options):
    """Everything that was asked for, each table as soon as it is there. Returns the tables."""
    chosen, effort, tables = choose(options.only), choose_effort(options), []
    todo = [(scenario, kind) for scenario in chosen["scenarios"] for kind in scenario.types if kind in chosen["types"]]
    start = time.monotonic()
    for i, (scenario, kind) in enumerate(todo):
        say(f"[{i + 1}/{len(todo)}, {time.monotonic() - start:.0f} s] {scenario.title}, {kind}")
        for table in scenarios.measure(scenario, kind, chosen["servers"], effort):
            print("\n".join(report.format_table(table)) + "\n", flush=True)
            tables.append(table)
    return tables


def write_to(descriptor, text):
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        if os.path.isfile(f"/proc/self/fd/{descriptor}"):
            os.ftruncate(descriptor, 0)
        file.write(text)


def run(options):
    servers.prepare()
    tables = measure(options)
    verdicts = bars.judge(tables)
    print("\n".join(report.explain(tables) + bars.format_verdicts(verdicts)), flush=True)
    facts = {"machine": machine.describe(), "tables": tables, "bars": verdicts}
    if options.json_to is not None:
        write_to(options.json_to, json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
    if options.svg_to is not None:
        write_to(options.svg_to, picture.draw(facts))


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
    if options.list:
        show_list()
    if options.list or options.check:
        return
    raise_limit()
    try:
        run(options)
    except Failure as failure:
        say(f"tools/bench: {failure}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


main()
