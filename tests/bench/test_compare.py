# SPDX-License-Identifier: MIT
"""What the comparison makes of figures: ratios, verdicts, tables, the picture. Nothing is measured here."""

import xml.etree.ElementTree

import pytest
from compare import bars, client, picture, report, scenarios, servers


def record(name, **figures):
    spreads = {figure: client.spread(values) if isinstance(values, list) else values
               for figure, values in figures.items()}
    return {"server": name, "title": servers.BY_NAME[name].title if name in servers.BY_NAME else name, **spreads}


def load(scenario, *records, kind="stream", point=""):
    return {"scenario": scenario, "title": scenario, "type": kind, "point": point, "results": list(records)}


def full_record(name, scale):
    return record(name, per_second=[1e5 * scale, 2e5 * scale, 4e5 * scale], p50=[5.0, 4.0, 6.0],
                  p99=[60 / scale, 61 / scale], **{"p99.9": [1234.5]}, cpu_per_message=2.5 / scale,
                  peak_resident=3 << 20)


def verdicts_on(*tables):
    return {(verdict["figure"], verdict["other"]): verdict for verdict in bars.judge(tables)}


def test_a_figure_is_the_median_of_the_rounds_with_their_range():
    result = {"echoed": 7, "rounds": [{"messages_per_second": rate, "p50_ns": 1000 * rate, "p99_ns": 9000,
                                       "p99.9_ns": 9500} for rate in (3, 1, 8)]}
    found = client.record("x", "X", result)
    assert found["per_second"] == {"median": 3, "min": 1, "max": 8}
    assert found["p50"] == {"median": 3, "min": 1, "max": 8}
    assert found["p99.9"]["median"] == 9.5


def test_a_bar_is_a_ratio_of_medians():
    tables = load("blocking", record("uds-echo", per_second=[10, 22, 90], p99=[61]),
                  record("go-1k", per_second=[1, 20, 21], p99=[100]))
    found = verdicts_on(tables)
    assert found["per_second", "go-1k"]["ratio"] == pytest.approx(1.1)
    assert found["per_second", "go-1k"]["holds"], "1.1 is at least 1.1"
    assert not found["p99", "go-1k"]["holds"], "0.61 is not at most 0.6"


def test_the_best_peer_is_the_fastest_or_the_shortest_and_no_floor():
    tables = load("many", record("uds-echo", per_second=[100], p99=[50]), record("bare", per_second=[900], p99=[1]),
                  record("bare-loop", per_second=[950], p99=[1]), record("node", per_second=[99], p99=[60]),
                  record("socat", per_second=[20], p99=[49]))
    found = verdicts_on(tables)
    assert found["per_second", "peers"]["other_value"] == 99 and found["per_second", "peers"]["holds"]
    assert found["p99", "peers"]["other_value"] == 49 and not found["p99", "peers"]["holds"]


def test_what_a_floor_does_not_reach_either_is_out_of_reach():
    def verdict(floor):
        tables = load("many", record("uds-echo", per_second=[150]), record("go-1k", per_second=[100]),
                      record("bare", per_second=[floor]), record("bare-loop", per_second=[40]))
        return verdicts_on(tables)["per_second", "go-1k"]

    assert not verdict(169)["holds"] and verdict(169)["floor"] == {"ratio": 1.69, "with": "bare"}
    assert bars.word(verdict(169)) == "out of reach"
    assert not verdict(171)["holds"] and verdict(171)["floor"] is None
    assert bars.word(verdict(171)) == "does not hold"


def test_the_crowd_is_compared_with_fewer_of_the_same():
    tables = [load("crowd", record("uds-echo", per_second=[100], peak_resident=1), point="64"),
              load("crowd", record("uds-echo", per_second=[54], peak_resident=6 << 20), point="9000")]
    found = verdicts_on(*tables)
    assert found["per_second", "64"]["ratio"] == 0.54 and not found["per_second", "64"]["holds"]
    assert not found["peak_resident", None]["holds"]


def test_no_wake_up_is_none():
    assert verdicts_on(load("idle", record("uds-echo", wake_ups=0)))["wake_ups", None]["holds"]
    assert not verdicts_on(load("idle", record("uds-echo", wake_ups=1)))["wake_ups", None]["holds"]


def test_what_was_not_measured_has_no_verdict():
    assert bars.judge([load("polling", record("uds-echo", p50=[4], p99=[5]))]) == []
    assert bars.judge([]) == [] and bars.format_verdicts([]) == []


def test_every_bar_is_on_something_that_is_measured():
    names = {scenario.name: scenario for scenario in scenarios.ALL}
    for bar in bars.BARS:
        assert bar.point in names[bar.scenario].points
        assert bar.figure in bars.WORDS
        assert bar.other in {None, "peers", "64", "bare-loop"} | set(servers.BY_NAME)


@pytest.mark.parametrize("write, value, text", (
    (report.count, 0.5, "0.50"), (report.count, 999, "999"), (report.count, 999.9, "1.00 k"),
    (report.count, 12345, "12.3 k"), (report.count, 1.5e6, "1.50 M"), (report.microseconds, 0.25, "250 ns"),
    (report.microseconds, 14.22, "14.2 µs"), (report.microseconds, 999.9, "1.00 ms"),
    (report.microseconds, 2.5e6, "2.50 s"), (report.mebibytes, 3 << 20, "3.00 MiB")))
def test_numbers_have_three_digits(write, value, text):
    assert write(value) == text


def test_ratios_that_are_small_can_still_be_read():
    assert report.times(1, 250) == "0.004×"
    assert report.times(50, 4) == "12.5×"
    assert report.times(1, 0) == "-"


@pytest.mark.parametrize("scenario", [scenario.name for scenario in scenarios.LOADS])
def test_a_table_fits_into_100_columns(scenario):
    table = load(scenario, *(full_record(name, scale) for name, scale in
                             (("uds-echo", 1), ("go-1k", 0.01), ("accept-cat", 100))), point="9000")
    lines = report.format_table(table)
    assert len(lines) == 5
    assert max(map(len, lines + report.explain([table]))) <= report.WIDTH


def test_the_tables_of_what_is_no_load_fit_as_well():
    slow = [100000.0, 234567.8, 999000.0]
    lines = report.format_table(load("activation", record("uds-echo", first_reply=slow, start_up=slow)))
    lines += report.format_table(load("idle", record("uds-echo", wake_ups=123456, seconds=10)))
    assert "123456" in lines[-1] and "235 ms" in lines[2]
    assert max(map(len, lines)) <= report.WIDTH


def test_verdicts_fit_into_100_columns():
    tables = [load(name, *(full_record(server, 1.5) for server in ["bare-loop", *servers.BY_NAME]), kind="seqpacket")
              for name in ("polling", "blocking", "many", "large", "pipelined", "connect")]
    lines = bars.format_verdicts(bars.judge(tables))
    assert len(lines) > 12
    assert max(map(len, lines)) <= report.WIDTH


def test_the_picture_is_sound_and_has_what_was_measured():
    machine = {"kernel": "1.2", "cpus": 2, "processor": "A & B <C>", "versions": {}}
    tables = [load("many", full_record("uds-echo", 1), full_record("go-1k", 0.5), full_record("bare", 2))]
    text = picture.draw({"machine": machine, "tables": tables})
    root = xml.etree.ElementTree.fromstring(text)
    words = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "Messages a second" in words and "Round trip, median" not in words
    assert words.count("uds-echod") == 2, "a bar in each of two panels"
    assert "100 k · 0.50×" in words
    xml.etree.ElementTree.fromstring(picture.draw({"machine": machine, "tables": []}))


class Idle:
    """A server that is not there."""

    def __init__(self, name):
        self.name = self.title = name
        self.calls = []

    def path(self, kind):
        return f"/{self.name}-{kind}"

    def unit(self, kind):
        return f"{self.name}-{kind}.service"

    def start(self, kind, processors=None):
        self.places = processors
        self.calls.append(f"start {kind}")

    def stop(self, kind):
        self.calls.append(f"stop {kind}")


def result_of(name, echoed):
    return {"socket": name, "bare_loop": name == "(bare loop)", "echoed": echoed,
            "rounds": [{"messages_per_second": 5, "p50_ns": 1, "p99_ns": 2, "p99.9_ns": 3}]}


@pytest.fixture
def two(monkeypatch):
    """Two servers; the second one takes 3 s of CPU time from one look to the next."""
    looks = {}

    def cpu_seconds(unit):
        looks[unit] = looks.get(unit, 0) + 1
        return looks[unit] * (3 if unit.startswith("b-") else 1)

    monkeypatch.setattr(client.units, "cpu_seconds", cpu_seconds)
    monkeypatch.setattr(client.units, "peak_resident", lambda unit: 4096)
    return [Idle("a"), Idle("b")]


def test_cpu_time_is_by_the_messages_that_were_echoed(monkeypatch, two):
    results = [result_of("/a-dgram", 100), result_of("/b-dgram", 200), result_of("(bare loop)", 9)]
    monkeypatch.setattr(client, "call", lambda paths, arguments: [{"results": results}])
    (a, b, loop), = client.measure(two, "dgram", [])
    assert (a["cpu_per_message"], b["cpu_per_message"]) == (1e4, 1.5e4)
    assert loop["server"] == "bare-loop" and "cpu_per_message" not in loop and "peak_resident" not in loop


def test_cpu_time_of_several_points_is_nobodys_and_memory_the_last_ones(monkeypatch, two):
    results = [result_of("/a-dgram", 100), result_of("/b-dgram", 200), result_of("(bare loop)", 9)]
    monkeypatch.setattr(client, "call", lambda paths, arguments: [{"results": results}] * 2)
    first, last = client.measure(two, "dgram", [])
    assert "peak_resident" not in first[0] and last[0]["peak_resident"] == 4096
    assert not any("cpu_per_message" in record for record in first + last)


@pytest.mark.parametrize("processors, theirs, option", [([0, 1, 2], [0, 1], ["--cpu=2"]), ([3], None, [])])
def test_the_client_is_set_apart_where_there_are_processors(monkeypatch, two, processors, theirs, option):
    results = [result_of("/a-stream", 1), result_of("/b-stream", 1), result_of("(bare loop)", 1)]
    given = []
    monkeypatch.setattr(client, "call", lambda paths, arguments: given.extend(arguments) or [{"results": results}])
    monkeypatch.setattr(client.os, "sched_getaffinity", lambda pid: set(processors))
    client.measure(two, "stream", [], apart=True)
    assert two[0].places == two[1].places == theirs and given == option
    client.measure(two, "stream", [])
    assert two[0].places is None


def test_servers_are_stopped_whatever_happens(monkeypatch, two):
    def fail(*_):
        raise client.Failure("no")

    monkeypatch.setattr(client, "call", fail)
    with pytest.raises(client.Failure):
        client.measure(two, "stream", [])
    assert two[0].calls == two[1].calls == ["start stream", "stop stream"]
