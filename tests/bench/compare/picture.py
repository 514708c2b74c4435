# SPDX-License-Identifier: MIT
"""A picture (SVG) for a README: for each of a few figures, a bar for each server on a stream socket, with
what it is and how many times uds-echod's. It refers to no other file."""

import dataclasses
from xml.sax.saxutils import escape

from . import bars, report

WIDTH, MARGIN, GAP = 1080, 32, 40
PANEL = (WIDTH - 2 * MARGIN - GAP) / 2
NAME, VALUE = 168, 124  # room for the names on the left, and for figures on the right
BAR, STEP = 13, 21
HEAD, PANEL_HEAD, PANEL_GAP, FOOT = 92, 44, 30, 40


@dataclasses.dataclass(frozen=True)
class Panel:
    title: str
    note: str  # which way is better
    scenario: str
    figure: str
    write: callable
    point: str = ""


def gigabytes(per_second):
    return f"{report.digits(per_second * 65536 / 1e9)} GB/s"


PANELS = [
    Panel("Round trip, median", "one connection, 64 B, polling client; shorter is better", "polling", "p50",
          report.microseconds),
    Panel("Round trip, 99th percentile", "the same; shorter is better", "polling", "p99", report.microseconds),
    Panel("Messages a second", "64 connections, 64 B; longer is better", "many", "per_second", report.count),
    Panel("CPU time a message", "the same; shorter is better", "many", "cpu_per_message", report.microseconds),
    Panel("Throughput", "16 connections, 64 KiB; longer is better", "large", "per_second", gigabytes),
    Panel("New connections a second", "one after the other, with one message each; longer is better", "connect",
          "per_second", report.count),
    Panel("Resident memory", "9,000 connections; shorter is better", "crowd", "peak_resident", report.mebibytes,
          point="9000"),
    Panel("First reply", "of a service that systemd has to start; shorter is better", "activation", "first_reply",
          report.microseconds),
]

STYLE = """<style>
.b text{font:12px system-ui,"Segoe UI","DejaVu Sans",Helvetica,Arial,sans-serif;fill:#333}
.b .title{font-size:20px;font-weight:600;fill:#111}
.b .head{font-size:14px;font-weight:600;fill:#111}
.b .small{font-size:11px;fill:#555}
.b .end{text-anchor:end}
.b .own{font-weight:600;fill:#111}
.b .paper{fill:#fff}
.b .ours{fill:#0072b2}.b .peer{fill:#c9ced6}.b .floor{fill:#fff;stroke:#8b929c;stroke-dasharray:3 2}
.b .range{stroke:#333;stroke-width:1.2;opacity:.6}
@media (prefers-color-scheme:dark){
.b text{fill:#ccc}.b .title,.b .head,.b .own{fill:#f2f2f2}.b .small{fill:#aaa}.b .paper{fill:#16181c}
.b .ours{fill:#56b4e9}.b .peer{fill:#4a515b}.b .floor{fill:#16181c;stroke:#8b929c}.b .range{stroke:#eee}
}
</style>
"""


def records_of(panel, tables):
    """Whoever has the figure: uds-echod first, then the others, the best of them on top, then the floors."""
    found = bars.find(tables, panel.scenario, "stream", panel.point).values()
    found = [record for record in found if bars.value_of(record, panel.figure) is not None]
    higher = "longer" in panel.note

    def rank(record):
        value = bars.value_of(record, panel.figure)
        return record["server"] != bars.OURS, record["server"] in bars.FLOORS, -value if higher else value

    return sorted(found, key=rank)


def height_of(records):
    return PANEL_HEAD + STEP * len(records)


def draw_bar(panel, record, base, most, x, y):
    value = bars.value_of(record, panel.figure)
    is_ours = record["server"] == bars.OURS
    kind = "ours" if is_ours else "floor" if record["server"] in bars.FLOORS else "peer"
    unit = (PANEL - NAME - VALUE) / most
    left = x + NAME
    ratio = "" if is_ours else f" · {report.times(value, base)}"
    own = " own" if is_ours else ""
    lines = [f'<text class="end{own}" x="{left - 8:.1f}" y="{y + 10.5:.1f}">{escape(record["title"])}</text>',
             f'<rect class="{kind}" x="{left:.1f}" y="{y:.1f}" width="{max(value * unit, 1):.1f}" height="{BAR}"/>']
    end = value
    if isinstance(record[panel.figure], dict):
        low, end = record[panel.figure]["min"], min(max(record[panel.figure]["max"], value), most)
        lines.append(f'<path class="range" d="M{left + low * unit:.1f} {y + BAR / 2:.1f}H{left + end * unit:.1f}"/>')
    lines.append(f'<text class="{own.strip()}" x="{left + end * unit + 7:.1f}" y="{y + 10.5:.1f}">'
                 f"{panel.write(value)}{ratio}</text>")
    return lines


def draw_panel(panel, records, x, y):
    lines = [f'<text class="head" x="{x:.1f}" y="{y + 12:.1f}">{escape(panel.title)}</text>',
             f'<text class="small" x="{x:.1f}" y="{y + 29:.1f}">{escape(panel.note)}</text>']
    base = bars.value_of(records[0], panel.figure)
    # A single round that went wrong does not squeeze the bars.
    most = 1.15 * max(bars.value_of(record, panel.figure) for record in records)
    for i, record in enumerate(records):
        lines += draw_bar(panel, record, base, most, x, y + PANEL_HEAD + i * STEP)
    return lines


def draw(facts):
    """The picture of FACTS, the comparison's JSON."""
    panels = [(panel, records_of(panel, facts["tables"])) for panel in PANELS]
    panels = [(panel, records) for panel, records in panels if records]
    y, body = HEAD, []
    for row in range(0, len(panels), 2):
        pair = panels[row:row + 2]
        for i, (panel, records) in enumerate(pair):
            body += draw_panel(panel, records, MARGIN + i * (PANEL + GAP), y)
        y += max(height_of(records) for _, records in pair) + PANEL_GAP
    machine = facts["machine"]
    height = y + FOOT - PANEL_GAP
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="b" width="{WIDTH}" height="{height:.0f}" '
        f'viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="uds-echod beside other echo servers">',
        STYLE + f'<rect class="paper" width="{WIDTH}" height="{height:.0f}"/>',
        f'<text class="title" x="{MARGIN}" y="40">uds-echod beside other echo servers</text>',
        f'<text x="{MARGIN}" y="62">Stream sockets, all servers in turns in one run; medians of the rounds, with the range '
        "of the rounds as a line. × is times uds-echod's.</text>",
    ]
    foot = (f"tools/bench, Linux {machine['kernel']}, {machine['cpus']} CPUs ({machine['processor']}), "
            f"systemd {machine['versions'].get('systemd', '?')}. Dashed: floors, not servers one would use.")
    return "\n".join([*head, *body, f'<text class="small" x="{MARGIN}" y="{height - 18:.0f}">{escape(foot)}</text>',
                      "</svg>", ""])
