# SPDX-License-Identifier: MIT
"""uds-echo bench: what it looks like, and how Ctrl-C ends it."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import threading
import time
import unicodedata

import pytest
from benchmark import ASCII, LONG, SHORT, UTF8, bench, echo, liar  # noqa: F401
from uds import CLIENT, DGRAM, PATIENCE, SEQPACKET, STREAM, eventually

# The terminal.


def columns(line):
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in line)


def on_terminal(width, *arguments, **environment):
    """Exit status and output of a run on a terminal of that width, standard error included."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    variables = {**os.environ, "TERM": "xterm", **UTF8, **environment}
    process = subprocess.Popen([CLIENT, "bench", *arguments], stdin=slave, stdout=slave, stderr=slave, env=variables)
    os.close(slave)
    output = b""
    while select.select([master], [], [], PATIENCE)[0]:
        try:
            piece = os.read(master, 65536)
        except OSError:  # the other side is closed
            break
        output += piece
    os.close(master)
    return process.wait(PATIENCE), output.decode()


@pytest.mark.parametrize("width", (40, 60, 80, 120, 200))
@pytest.mark.parametrize("locale", (UTF8, ASCII), ids=("utf8", "ascii"))
def test_nothing_is_wider_than_the_terminal(echo, width, locale):
    status, output = on_terminal(width, "--duration=100ms", "--rounds=2", "--sizes=64,1K", "--connections=2",
                                 "--window=16", "--rate=1000", echo(STREAM), echo(DGRAM), **locale)
    assert status == 0, output
    shown = re.sub(r"\x1b\[[0-9;]*m", "", output)
    # A line is over at its end, and is begun again by the progress bar.
    for line in re.split(r"[\r\n]+", shown):
        assert columns(line) <= width, line
    if locale is ASCII:
        assert shown.isascii()
    assert "messages/s" in shown and "p50" in shown
    assert ("  ratio" in shown) == (width >= 60)
    assert ("min-max" in shown) == (width >= 120)
    assert ("█" in shown) == (locale is UTF8)
    assert "s left" in shown, "the progress bar"


def test_a_remark_is_no_wider_than_the_terminal(liar):
    path = liar(STREAM, lambda number, message: time.sleep(0.005) or [message])
    status, output = on_terminal(40, "--duration=300ms", "--rounds=1", "--sizes=64", "--connections=1", "--rate=2000",
                                 path, NO_COLOR="1")
    assert status == 0
    assert "were not sent" in " ".join(output.split())
    assert max(map(columns, re.split(r"[\r\n]+", output))) <= 40


def test_names_are_shortened_where_they_do_not_differ(echo):
    status, output = on_terminal(40, *SHORT, echo(STREAM), NO_COLOR="1")
    assert status == 0
    assert "\x1b" not in output
    assert "…" in output and "stream.sock" in output


def test_no_terminal_no_progress(echo):
    done = bench(*SHORT, echo(STREAM), COLUMNS="100")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\r" not in done.stdout and "\x1b" not in done.stdout
    assert max(map(columns, done.stdout.splitlines())) <= 100
    assert "(bare loop)" in done.stdout
    assert "0.8 %" in done.stdout


# Ctrl-C.


def interrupt(arguments, after, **environment):
    process = subprocess.Popen([CLIENT, "bench", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env={**os.environ, **UTF8, **environment})
    assert after()
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=PATIENCE)
    return process.returncode, output, errors


def test_ctrl_c_ends_with_what_there_is(liar):
    messages = 0

    def count(_, message):
        nonlocal messages
        messages += 1
        return [message]

    path = liar(STREAM, count)
    arguments = ["--duration=30s", "--rounds=300", "--sizes=64", "--connections=1", path]
    before = time.monotonic()
    status, output, errors = interrupt(arguments, lambda: eventually(lambda: time.monotonic() > before + 1))
    assert messages > 0
    assert (status, errors) == (0, "")
    assert "Interrupted" in output and path in output

    messages = 0
    before = time.monotonic()
    status, output, _ = interrupt(["--json", *arguments], lambda: eventually(lambda: time.monotonic() > before + 1))
    facts = json.loads(output)
    assert (status, facts["interrupted"]) == (0, True)
    assert facts["points"][0]["results"][0]["messages"] > 0


def test_ctrl_c_is_heard_while_nothing_comes_back(liar):
    seen = threading.Event()

    def stall(number, message):
        if number > 10:
            seen.set()
            return []
        return [message]

    before = time.monotonic()
    status, output, errors = interrupt([*LONG, "--timeout=1h", liar(SEQPACKET, stall)],
                                       lambda: seen.wait(PATIENCE))
    assert (status, errors) == (0, "")
    assert "Interrupted" in output
    assert time.monotonic() - before < PATIENCE


def test_output_that_cannot_be_written_is_an_error(echo):
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run([CLIENT, "bench", *SHORT, echo(STREAM)], stdout=full, stderr=subprocess.PIPE, text=True,
                              timeout=60, check=False)
    assert done.returncode == 1
    assert "could not be written" in done.stderr


@pytest.mark.parametrize("width", (1, 5, 19, 36))
def test_a_terminal_that_is_too_narrow_has_the_smallest_layout(echo, width):
    path = echo(STREAM)
    done = bench(*SHORT, path, COLUMNS=str(width))
    assert (done.returncode, done.stderr) == (0, "")
    status, output = on_terminal(width, *SHORT, path, NO_COLOR="1")
    assert status == 0
    for shown in (done.stdout, output):
        assert "messages/s" in shown and "p50" in shown and "p99" not in shown
        assert max(map(columns, re.split(r"[\r\n]+", shown))) <= 37


def test_a_terminal_of_any_other_width_is_no_obstacle(echo):
    path = echo(STREAM)
    for width in ("0", "-1", "x", "99999", "18446744073709551616", ""):
        assert max(map(columns, bench(*SHORT, path, COLUMNS=width).stdout.splitlines())) <= 1000
