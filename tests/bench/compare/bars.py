# SPDX-License-Identifier: MIT
"""What uds-echod is to reach beside the others, and whether it does."""

import dataclasses

from . import report, servers

FLOORS = ("bare", "bare-loop")
PEERS = [server.name for server in servers.ALL[1:] if server.name not in FLOORS]
OURS = servers.ALL[0].name


@dataclasses.dataclass(frozen=True)
class Bar:
    """FIGURE of uds-echod by that of OTHER (a server's name; "peers": the best of them; None: the figure itself; a
    point such as "64": uds-echod's own there) is at least, or at most, LIMIT."""

    scenario: str
    figure: str
    other: str
    sign: str  # ≤ or ≥
    limit: float
    point: str = ""


BARS = [
    Bar("polling", "p50", "go-1k", "≤", 0.45),
    Bar("polling", "p50", "bare-loop", "≤", 1.35),
    Bar("polling", "p99", "go-1k", "≤", 0.25),
    Bar("blocking", "per_second", "go-1k", "≥", 1.1),
    Bar("blocking", "p99", "go-1k", "≤", 0.6),
    Bar("many", "per_second", "go-1k", "≥", 1.7),
    Bar("many", "per_second", "bare", "≥", 0.95),
    Bar("many", "cpu_per_message", "go-1k", "≤", 0.6),
    Bar("many", "cpu_per_message", "bare", "≤", 1.08),
    Bar("many", "per_second", "peers", "≥", 1),
    Bar("many", "p99", "peers", "≤", 1),
    Bar("large", "per_second", "peers", "≥", 1),
    Bar("large", "per_second", "go-1k", "≥", 5),
    Bar("large", "cpu_per_message", "bare", "≤", 0.8),
    Bar("pipelined", "per_second", "go-64k", "≥", 1.5),
    Bar("crowd", "per_second", "64", "≥", 0.55, point="9000"),
    Bar("crowd", "peak_resident", None, "≤", 5 * 2**20, point="9000"),
    Bar("connect", "per_second", "go-1k", "≥", 1.8),
    Bar("connect", "per_second", "accept-cat", "≥", 20),
    Bar("idle", "wake_ups", None, "≤", 0),
    Bar("activation", "first_reply", "bare", "≤", 1.3),
]

WORDS = {
    "per_second": ("messages/s", report.count),
    "p50": ("p50", report.microseconds),
    "p99": ("p99", report.microseconds),
    "cpu_per_message": ("CPU/msg", report.microseconds),
    "peak_resident": ("peak resident memory", report.mebibytes),
    "wake_ups": ("wake-ups", str),
    "first_reply": ("first reply", report.microseconds),
}


def value_of(record, figure):
    """The figure, or the median of its rounds; None if there is none."""
    value = record.get(figure) if record else None
    return value["median"] if isinstance(value, dict) else value


def find(tables, scenario, kind, point):
    """The records of a table, by server; none if that was not measured."""
    for table in tables:
        if (table["scenario"], table["type"], table["point"]) == (scenario, kind, point):
            return {record["server"]: record for record in table["results"]}
    return {}


def compared_with(bar, tables, kind, records):
    """The value and the name of what BAR compares with; a value of None if it was not measured."""
    if bar.other == "peers":
        values = [(value_of(records[name], bar.figure), name) for name in PEERS if name in records]
        best = max if bar.sign == "≥" else min
        return best(values) if values else (None, "")
    if bar.other.isdigit():
        own = find(tables, bar.scenario, kind, bar.other).get(OURS)
        return value_of(own, bar.figure), f"{bar.other} connections"
    return value_of(records.get(bar.other), bar.figure), bar.other


def keeps(bar, found):
    return found >= bar.limit if bar.sign == "≥" else found <= bar.limit


def floor_below(bar, records, base):
    """The best of the floors by BASE, if that does not keep BAR either: then no server can here. Else None."""
    ratios = [(value_of(records[name], bar.figure) / base, name) for name in FLOORS
              if value_of(records.get(name), bar.figure)]
    best = (max if bar.sign == "≥" else min)(ratios, default=None)
    return None if best is None or keeps(bar, best[0]) else {"ratio": best[0], "with": best[1]}


def judge_one(bar, tables, kind):
    """A verdict, or None if what it takes was not measured."""
    records = find(tables, bar.scenario, kind, bar.point)
    ours = value_of(records.get(OURS), bar.figure)
    if ours is None:
        return None
    verdict = {"scenario": bar.scenario, "type": kind, "figure": bar.figure, "sign": bar.sign, "limit": bar.limit,
               "value": ours, "other": bar.other}
    found = ours
    if bar.other is not None:
        base, verdict["with"] = compared_with(bar, tables, kind, records)
        if not base:
            return None
        verdict["other_value"] = base
        found = verdict["ratio"] = ours / base
    verdict["holds"] = keeps(bar, found)
    if not verdict["holds"] and bar.other in PEERS:
        verdict["floor"] = floor_below(bar, records, verdict["other_value"])
    return verdict


def judge(tables):
    """Verdicts on all bars for which everything was measured, on each type of socket."""
    verdicts = [judge_one(bar, tables, kind) for bar in BARS for kind in servers.TYPES]
    return [verdict for verdict in verdicts if verdict]


def describe(verdict):
    words, write = WORDS[verdict["figure"]]
    if verdict["scenario"] == "connect":
        words = "connections/s"
    begin = f"{verdict['scenario']}, {verdict['type']}: {words} "
    if "ratio" not in verdict:
        return begin + f"{write(verdict['value'])} ({verdict['sign']} {write(verdict['limit'])})"
    return begin + (f"{report.times(verdict['ratio'], 1)} ({verdict['sign']} {verdict['limit']:g}×): "
                    f"{write(verdict['value'])} against {write(verdict['other_value'])} ({verdict['with']})")


def word(verdict):
    return "holds" if verdict["holds"] else "out of reach" if verdict.get("floor") else "does not hold"


def format_verdicts(verdicts):
    """The lines of the report, in the order of the scenarios."""
    if not verdicts:
        return []
    kept = sum(verdict["holds"] for verdict in verdicts)
    lines = [f"What uds-echod is to reach ({kept} of {len(verdicts)} hold here)"]
    for verdict in verdicts:
        lines.append(f"  {word(verdict):<13}  {describe(verdict)}")
        floor = verdict.get("floor")
        if floor:
            lines.append(f"{'':17}a loop that does nothing else ({floor['with']}): {report.times(floor['ratio'], 1)}")
    return lines
