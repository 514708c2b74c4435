# SPDX-License-Identifier: MIT
"""Tables for people, no wider than 100 columns."""

WIDTH = 100
NAME = 25


def count(value):
    """1234567 as "1.23 M": three digits."""
    for unit, name in ((1e6, " M"), (1e3, " k"), (1, "")):
        if value >= unit * 0.9995 or unit == 1:
            return digits(value / unit) + name
    return ""


def digits(value):
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f}"


def microseconds(value):
    """In words: "950 ns", "14.2 µs", "3.41 ms", "1.20 s"."""
    for unit, name in ((1e6, "s"), (1e3, "ms"), (1, "µs")):
        if value >= unit * 0.9995:
            return f"{digits(value / unit)} {name}"
    return f"{value * 1000:.0f} ns"


def mebibytes(value):
    return f"{digits(value / 2**20)} MiB"


def times(value, base):
    """A ratio: "12.3×", "0.45×", "0.004×"."""
    if not base:
        return "-"
    ratio = value / base
    return f"{ratio:.3f}×" if ratio < 0.0995 else f"{digits(ratio)}×"


def median(record, name):
    return record[name]["median"]


def latency_of(name):
    return lambda record, first: microseconds(median(record, name))


def ratio_of(name):
    return lambda record, first: times(median(record, name), median(first, name))


def plain(name, write):
    return lambda record, first: write(record[name]) if name in record else "-"


def plain_ratio(name):
    return lambda record, first: times(record[name], first[name]) if name in record and name in first else "-"


def range_of(record, _):
    rates = record["per_second"]
    return f"{count(rates['min'])}–{count(rates['max'])}".replace(" ", "")


# Title, width, what stands in it. The last columns are ratios to the first server.
COLUMNS = [
    ("per s", 7, lambda record, first: count(median(record, "per_second"))),
    ("min–max", 13, range_of),
    ("p50", 7, latency_of("p50")),
    ("p99", 7, latency_of("p99")),
    ("p99.9", 7, latency_of("p99.9")),
    ("CPU/msg", 7, plain("cpu_per_message", microseconds)),
    ("per s", 6, ratio_of("per_second")),
    ("p99", 6, ratio_of("p99")),
    ("CPU", 6, plain_ratio("cpu_per_message")),
]
MEMORY = ("memory", 8, plain("peak_resident", mebibytes))
IDLE = [("wake-ups", 10, plain("wake_ups", str)), ("seconds", 10, plain("seconds", str))]


def time_range_of(name):
    return lambda record, first: f"{microseconds(record[name]['min'])} – {microseconds(record[name]['max'])}"


ACTIVATION = [
    ("first reply", 11, latency_of("first_reply")),
    ("min–max", 19, time_range_of("first_reply")),
    ("ratio", 6, ratio_of("first_reply")),
    ("start to READY=1", 16, latency_of("start_up")),
    ("min–max", 19, time_range_of("start_up")),
]


def columns_of(table):
    if table["scenario"] == "crowd":
        return [column for column in COLUMNS if "CPU" not in column[0]] + [MEMORY]
    return {"idle": IDLE, "activation": ACTIVATION}.get(table["scenario"], COLUMNS)


def format_table(table):
    """The lines of TABLE."""
    columns = columns_of(table)
    first = table["results"][0]
    point = f" ({table['point']} connections)" if table["point"] else ""
    lines = [f"{table['title']}, {table['type']}{point}",
             "server".ljust(NAME) + "".join(" " + title.rjust(width) for title, width, _ in columns)]
    for record in table["results"]:
        cells = "".join(" " + cell(record, first).rjust(width) for _, width, cell in columns)
        lines.append(record["title"].ljust(NAME) + cells)
    return lines


def explain(tables):
    """What the columns mean, where there are such."""
    if not tables:
        return []
    return ["Figures are medians of the rounds, min–max is of their messages a second, and the last columns are",
            "ratios to uds-echod. CPU/msg is CPU time of the server's control group by the messages that it",
            "echoed; what systemd does for Accept=yes is not in it. Memory is the peak of the resident set",
            "(VmHWM of the server's processes).", ""]
