# SPDX-License-Identifier: MIT
"""uds-echo bench: a service that echoes wrongly does not get through."""

import json
import re
import time

import pytest
from benchmark import LONG, SHORT, bench, echo, liar  # noqa: F401
from uds import ALL, CONNECTED, DGRAM, SEQPACKET, STREAM


def fail(path, *arguments):
    """What a run that fails says of the socket at PATH."""
    done = bench(*LONG, "--timeout=500ms", *arguments, path)
    assert done.returncode == 1, done.stderr
    assert done.stdout == "", "no figures of a service that does not do what is measured"
    match = re.fullmatch(rf"uds-echo: {re.escape(path)}: (.*)\n", done.stderr)
    assert match, done.stderr
    return match.group(1)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("position", (0, 6, 7, 8, 40, 63))
def test_a_wrong_byte_is_found(liar, kind, position):
    def corrupt(number, message):
        if number == 3000:
            message = message[:position] + bytes([message[position] ^ 0x01]) + message[position + 1:]
        return [message]

    error = fail(liar(kind, corrupt), "--window=4")
    match = re.fullmatch(r"connection 1, message 3000: byte (\d+) is 0x(..), not 0x(..)", error)
    assert match, error
    assert int(match[1]) == position + 1
    assert int(match[2], 16) ^ int(match[3], 16) == 0x01


def test_one_byte_in_a_million_is_found(liar):
    # On a stream there is nothing but bytes: this one is counted in them, over all connections.
    total = 0

    def corrupt(_, message):
        nonlocal total
        before, total = total, total + len(message)
        if before < 1_000_000 <= total:
            message = message[:17] + bytes([message[17] ^ 0xFF]) + message[18:]
        return [message]

    assert "byte 18 is" in fail(liar(STREAM, corrupt), "--connections=4", "--window=16")


@pytest.mark.parametrize("kind", ALL)
def test_messages_that_are_swapped_are_found(liar, kind):
    kept = []

    def swap(number, message):
        if number == 17:
            kept.append(message)
            return []
        return [message, *kept] if number == 18 else [message]

    assert fail(liar(kind, swap), "--window=4") == "connection 1, message 17: message 18 came where 17 should have"


@pytest.mark.parametrize("kind", ALL)
def test_a_message_that_is_dropped_is_found_by_the_next_one(liar, kind):
    path = liar(kind, lambda number, message: [] if number == 17 else [message])
    assert fail(path, "--window=4") == "connection 1, message 17: message 18 came where 17 should have"


@pytest.mark.parametrize("kind", ALL)
def test_a_message_that_is_dropped_is_found_by_its_absence(liar, kind):
    path = liar(kind, lambda number, message: [] if number == 17 else [message])
    assert fail(path) == "connection 1, message 17: did not come back within 0.5 s"


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("window", (1, 4))
def test_a_message_that_comes_twice_is_found(liar, kind, window):
    path = liar(kind, lambda number, message: [message] * (2 if number == 17 else 1))
    assert "message 17 came" in fail(path, f"--window={window}")


def test_the_last_message_twice_is_found_after_the_end(liar):
    # At a slow rate there is time enough for what is too much to arrive.
    path = liar(SEQPACKET, lambda number, message: [message] * (2 if number == 2 else 1))
    assert "message 2 came, again" in fail(path, "--rate=10")


def test_a_message_of_another_connection_is_found(liar):
    others = {}

    def mix_up(number, message):
        connection = message[4]
        others.setdefault(number, {})[connection] = message
        return [others[number].get(1, message) if number == 20 and connection == 2 else message]

    path = liar(SEQPACKET, lambda number, message: [message] if number == 0 else mix_up(number, message))
    # Which of the two is first at their 20th message is not known, so it may go well a few times.
    for _ in range(20):
        others.clear()
        done = bench("--duration=100ms", "--rounds=1", "--sizes=64", "--connections=2", path)
        if done.returncode != 0:
            break
    assert "connection 2, message 20: message 20 of connection 1 came where 20 of this one should have" in done.stderr


@pytest.mark.parametrize("kind", (SEQPACKET, DGRAM))
@pytest.mark.parametrize("length", (0, 5, 63, 65))
def test_a_message_of_another_length_is_found(liar, kind, length):
    path = liar(kind, lambda number, message: [(message + b"x")[:length]] if number == 17 else [message])
    error = fail(path)
    assert error.startswith("connection 1, message 17: ")
    if length > 0:
        assert f"came back with {length} bytes, not 64" in error


@pytest.mark.parametrize("kind", CONNECTED)
def test_a_connection_that_ends_early_is_found(liar, kind):
    error = fail(liar(kind, lambda number, message: None if number == 17 else [message]))
    assert error.startswith("connection 1, message 17: did not come back: ")


def test_the_socket_that_is_wrong_is_named_among_others(liar, echo):
    good = echo(STREAM)
    bad = liar(SEQPACKET, lambda number, message: [message] if number < 9 else [message[::-1]])
    done = bench(*SHORT, good, bad)
    assert done.returncode == 1
    assert done.stderr.startswith(f"uds-echo: {bad}: connection ")


def test_a_failure_is_a_fact_for_programs_too(liar):
    path = liar(STREAM, lambda number, message: [message] if number < 9 else [message[::-1]])
    done = bench(*SHORT, "--json", path)
    assert done.returncode == 1
    assert json.loads(done.stdout)["points"][0]["results"][0]["error"].startswith("connection ")


def test_a_run_that_fails_leaves_an_earlier_picture_alone(liar, tmp_path):
    picture = tmp_path / "picture.svg"
    picture.write_text("earlier")
    path = liar(STREAM, lambda number, message: [message] if number < 9 else [message[::-1]])
    assert bench(*SHORT, f"--svg={picture}", path).returncode == 1
    assert picture.read_text() == "earlier"


@pytest.mark.parametrize("after, when", [(0, "of the warm-up"), (0.2, "of the round's end")])
@pytest.mark.parametrize("more", [[], ["--busy-poll"], ["--rate=1000"]])
def test_a_service_that_never_has_done_is_not_waited_for_for_ever(liar, after, when, more):
    # Something always comes back within the timeout, and never all: a kilobyte takes ten times as long as the run.
    begin = None

    def trickle(number, message):
        nonlocal begin
        begin = begin if number > 1 else time.monotonic()
        if number == 0 or time.monotonic() - begin < after:
            return [message]
        return slowly(message)

    def slowly(message):
        for byte in message:
            yield bytes([byte])
            time.sleep(0.02)

    # Long enough for a machine that stalls to come to the trickle within it.
    duration = "400ms" if after == 0 else "2s"
    done = bench(f"--duration={duration}", "--rounds=1", "--sizes=1024", "--connections=1", "--timeout=200ms", *more,
                 liar(STREAM, trickle))
    assert done.returncode == 1
    match = re.search(r": connection 1, message (\d+): did not come back within 0.2 s (.*)\n", done.stderr)
    assert match, done.stderr
    assert match[2] == when
    assert after > 0 or match[1] == "1"
