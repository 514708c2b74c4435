# SPDX-License-Identifier: MIT
"""uds-echo bench: it completes, and its figures are sound."""

import os
import re
import socket
import subprocess
import time
from pathlib import Path

import pytest
from benchmark import SHORT, bench, echo, liar, measure  # noqa: F401
from uds import ALL, CLIENT, DGRAM, SEQPACKET, STREAM, eventually, listening

# What is measured.


def test_the_client_runs_where_it_is_told_to(echo):
    mine = max(os.sched_getaffinity(0))
    with subprocess.Popen([CLIENT, "bench", f"--cpu={mine}", "--duration=20s", "--rounds=1", "--sizes=64",
                           "--connections=1", "--threads=1", echo(STREAM)], stdout=subprocess.DEVNULL) as process:
        tasks = Path(f"/proc/{process.pid}/task")
        try:
            assert eventually(lambda: len(list(tasks.iterdir())) > 1)
            places = [os.sched_getaffinity(int(task.name)) for task in tasks.iterdir()
                      if int(task.name) != process.pid]
        finally:
            process.kill()
    assert places == [{mine}]


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("window", (1, 8))
def test_each_type_is_measured(echo, kind, window):
    path = echo(kind)
    facts = measure(*SHORT, f"--window={window}", path)
    assert facts["interrupted"] is False
    (point,) = facts["points"]
    assert (point["size"], point["connections"], point["window"], point["rate"]) == (64, 3, window, None)
    service, bare = point["results"]
    assert (service["socket"], service["type"], service["bare_loop"]) == (path, kind, False)
    assert (bare["socket"], bare["type"], bare["bare_loop"]) == ("(bare loop)", kind, True)
    for result in point["results"]:
        latency = result["latency_ns"]
        assert result["error"] is None
        assert 0 < result["messages"] <= result["echoed"]
        assert 0.19 < result["seconds"] < 0.21
        assert len(result["rounds"]) == 2
        assert 0 < latency["min"] <= latency["p50"] <= latency["p99"] <= latency["p99.9"] <= latency["max"]
        assert latency["min"] <= latency["mean"] <= latency["max"]
        rates = [entry["messages_per_second"] for entry in result["rounds"]]
        spread = result["messages_per_second"]
        assert (spread["min"], spread["max"]) == (min(rates), max(rates))
        assert spread["min"] <= spread["median"] <= spread["max"]
        assert sum(rates) * 0.1 == pytest.approx(result["messages"], rel=0.05, abs=3 * window * 2 + 2)
    assert service["ratio"] == 1


@pytest.mark.parametrize("kind", ALL)
def test_no_message_is_sent_that_is_not_counted(liar, kind):
    received = 0

    def count(number, message):
        nonlocal received
        received += number > 0
        return [message]

    path = liar(kind, count)
    facts = measure("--duration=200ms", "--rounds=1", "--sizes=64", "--connections=1", path)
    assert facts["points"][0]["results"][0]["echoed"] == received


def test_points_are_the_cross_product_at_every_socket(echo):
    paths = [echo(kind) for kind in ALL]
    facts = measure("--duration=20ms", "--rounds=1", "--sizes=8,64K", "--connections=1,5", "--window=1,3",
                    "--threads=2", *paths)
    points = [(point["size"], point["connections"], point["window"]) for point in facts["points"]]
    assert points == [(size, n, window) for size in (8, 65536) for n in (1, 5) for window in (1, 3)]
    for point in facts["points"]:
        assert [result["socket"] for result in point["results"]] == [*paths, "(bare loop)"]
        assert all(result["messages"] > 0 for result in point["results"])


@pytest.mark.parametrize("kind", ALL)
def test_large_messages_and_windows_that_no_buffer_holds_come_back(echo, kind):
    size = "1M" if kind == STREAM else "100K"
    facts = measure("--duration=200ms", "--rounds=1", f"--sizes={size}", "--connections=2", "--window=64", echo(kind))
    assert facts["points"][0]["results"][0]["messages"] > 0


@pytest.mark.parametrize("kind", ALL)
def test_threads_and_polling_change_no_fact(echo, kind):
    path = echo(kind)
    for options in (["--busy-poll"], ["--threads=2"], ["--threads=2", "--busy-poll"], ["--threads=9"]):
        facts = measure(*SHORT, *options, path)
        assert all(result["messages"] > 0 for result in facts["points"][0]["results"])


@pytest.mark.parametrize("kind", ALL)
def test_many_connections_are_measured(echo, kind):
    facts = measure("--duration=300ms", "--rounds=1", "--sizes=64", "--connections=400", echo(kind))
    assert facts["points"][0]["results"][0]["messages"] >= 400


def test_datagram_sockets_take_turns_where_the_queue_is_full(liar):
    # A slow service whose queue is always full: the last of them waits no longer than all the others take.
    turns = {}

    def note(_, message):
        turns[message[4]] = turns.get(message[4], 0) + 1
        time.sleep(0.0005)
        return [message]

    measure("--duration=600ms", "--rounds=1", "--sizes=64", "--connections=60", liar(DGRAM, note))
    counts = [turns[connection] for connection in range(1, 61)]
    assert max(counts) <= 2 * min(counts) + 2


@pytest.mark.parametrize("kind", ALL)
def test_a_rate_is_kept_to(echo, kind):
    facts = measure("--duration=500ms", "--rounds=1", "--sizes=64", "--connections=3", "--rate=2000", echo(kind))
    assert facts["points"][0]["rate"] == 2000
    for result in facts["points"][0]["results"]:
        assert result["messages"] + result["unsent"] == pytest.approx(1000, abs=20)


def test_time_that_a_message_was_kept_from_being_sent_is_latency(liar):
    # The service holds one message up; those that were due meanwhile have waited too.
    def hold_up(number, message):
        if number == 50:
            time.sleep(0.2)
        return [message]

    facts = measure("--duration=800ms", "--rounds=1", "--sizes=64", "--connections=1", "--rate=200",
                    liar(STREAM, hold_up))
    service = facts["points"][0]["results"][0]
    assert service["latency_ns"]["max"] > 190e6
    assert service["latency_ns"]["p90"] > 50e6, "about 40 of 160 messages were due in these 200 ms"
    assert service["messages"] + service["unsent"] == pytest.approx(160, abs=5)


# With the longer one, all that is sent was due in the warm-up already.
@pytest.mark.parametrize("pause", (0.005, 0.02))
def test_a_rate_that_cannot_be_kept_up_with_is_told(liar, pause):
    path = liar(STREAM, lambda number, message: time.sleep(pause) or [message])
    done = bench("--duration=300ms", "--rounds=1", "--sizes=64", "--connections=1", "--rate=2000", path)
    assert done.returncode == 0
    assert "did not keep up with the rate" in done.stdout


# Services with words of their own.


@pytest.mark.parametrize("kind", ALL)
def test_a_service_that_authenticates_is_measured(daemon, tmp_path, kind):
    policy, path = tmp_path / "policy", str(tmp_path / "auth.sock")
    policy.write_text(f"allow user {os.geteuid()}\n")
    server = listening(kind, path)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    daemon([server], f"--policy={policy}", names=("auth",))
    assert measure(*SHORT, path)["points"][0]["results"][0]["messages"] > 0


@pytest.mark.parametrize("kind", ALL)
def test_a_refusal_has_a_status_of_its_own(daemon, tmp_path, kind):
    policy, path = tmp_path / "policy", str(tmp_path / "auth.sock")
    policy.write_text("allow user 4294967294\n")
    server = listening(kind, path)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    daemon([server], f"--policy={policy}", names=("auth",))
    done = bench(*SHORT, path)
    assert done.returncode == 2
    assert "Access denied" in done.stderr and path in done.stderr


def test_nobody_there_has_a_status_of_its_own(tmp_path):
    done = bench(*SHORT, tmp_path / "none.sock")
    assert done.returncode == 3
    assert "none.sock: connection 1: No such file or directory" in done.stderr


def test_a_service_that_never_answers_is_not_waited_for_for_ever(liar):
    done = bench(*SHORT, "--timeout=300ms", liar(SEQPACKET, lambda *_: []))
    assert done.returncode == 1
    assert "nothing came back within 0.3 s" in done.stderr


@pytest.mark.parametrize("arguments", (
    ["--sizes=7"], ["--sizes=64,"], ["--sizes="], ["--connections=0"], ["--connections=x"], ["--window=0"],
    ["--duration=0"], ["--duration=ever"], ["--rounds=0"], ["--threads=0"], ["--cpu=-1"], ["--cpu=1023"], ["--cpu=9999999"], ["--cpu=x"], ["--rate=0"], ["--rate"], ["--frob"],
    ["--type=x"], ["--type=stream", "udp:localhost:7"], ["--svg=/nowhere/at/all.svg"], ["--busy-poll=1"]))
def test_what_is_wrong_with_the_command_line_is_said_in_one_line(arguments):
    done = bench(*arguments)
    assert done.returncode == 64
    assert done.stdout == ""
    assert re.fullmatch(r"uds-echo.*\n", done.stderr)
