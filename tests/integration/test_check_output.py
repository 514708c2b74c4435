# SPDX-License-Identifier: MIT
"""uds-echo check: its command line, and what its words look like."""

import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios

import pytest
from doctor import OK, UNREACHABLE, USAGE, ground, open_door, say, wrong  # noqa: F401
from uds import CLIENT, PATIENCE, STREAM


@pytest.mark.parametrize("arguments", [
    ["one", "two"], ["--unknown"], ["--type=pigeon", "x"], ["--timeout=0", "x"], ["--timeout"], ["tcp:no-port"],
    ["--type=stream", "udp:127.0.0.1:7"], [""], ["@"], ["tcp:[name]:7"], ["x" * 109], ["tcp:127.0.0.1:no-such-port"],
])
def test_a_wrong_command_line_is_one_line_that_says_so(arguments):
    done = say(*arguments)
    assert (done.returncode, done.stdout) == (USAGE, "")
    assert re.fullmatch(r"uds-echo check: [^\n]*\.\n", done.stderr), done.stderr


def test_people_read_one_line_a_step_and_the_advice_below(daemon, ground):
    daemon([open_door(STREAM, ground / "x.sock")])
    done = say(ground / "x.sock")
    assert done.returncode == OK
    assert done.stdout.splitlines()[0] == "  ✓  / is a directory that you may enter"
    assert re.search(r"\nAll is well: stream socket, round trip [0-9.]+ (ns|µs|ms|s)\n$", done.stdout)
    (ground / "x.sock").unlink()
    done = say(ground / "x.sock")
    assert done.returncode == UNREACHABLE
    assert f"\n  ✗  There is no file {ground}/x.sock.\n     " in done.stdout
    done = say(ground / "x.sock", LANG="C", LC_ALL="C")
    assert done.stdout.isascii()
    assert f"\n  no  There is no file {ground}/x.sock.\n      " in done.stdout


def on_terminal(columns, *arguments, **variables):
    """What is written to a terminal of that width."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
    environment = {**os.environ, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TERM": "xterm", **variables}
    subprocess.run([CLIENT, "check", *map(str, arguments)], env=environment, stdout=slave, timeout=PATIENCE,
                   check=False)
    os.close(slave)
    pieces = []
    with contextlib.suppress(OSError):  # the end, on a terminal
        while piece := os.read(master, 4096):
            pieces.append(piece)
    os.close(master)
    return b"".join(pieces).decode().replace("\r\n", "\n")


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_lines_fit_the_terminal(columns):
    text = on_terminal(columns, "/nowhere/x.sock", NO_COLOR="1")
    assert "\033" not in text
    assert max(map(len, text.splitlines())) <= columns
    joined = " ".join(text.split())
    assert "✗ There is no directory /nowhere." in joined, "no word is lost at a break"


def test_colours_are_for_terminals_that_want_them():
    assert "\033[31m✗\033[0m" in on_terminal(80, "/nowhere")
    for variables in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert "\033" not in on_terminal(80, "/nowhere", **variables)
    assert "\033" not in say("/nowhere", TERM="xterm").stdout


def test_names_cannot_speak_to_the_terminal_or_break_the_output(ground):
    (ground / "link").symlink_to("\033[2J\nfaked")
    assert wrong(UNREACHABLE, "no-file", ground / "link")["message"] == f"There is no file {ground}/?[2J?faked."
    assert "\033" not in say(ground / "link").stdout
    facts = wrong(UNREACHABLE, "no-file", os.fsdecode(bytes(ground) + b"/\xff\xfe"))
    assert facts["socket"] == f"{ground}/??"
    os.symlink(b"\xff", bytes(ground / "other"))
    assert wrong(UNREACHABLE, "no-file", ground / "other")["message"] == f"There is no file {ground}/?."


def test_names_cannot_turn_the_direction_of_writing_or_hide(ground):
    for character in "\u0085\u009b\u200e\u200f\u202a\u202e\u2066\u2069\u200b\ufeff":
        path = ground / f"a{character}b"
        assert wrong(UNREACHABLE, "no-file", path)["message"] == f"There is no file {ground}/a?b."
        assert f"There is no file {ground}/a?b." in say(path).stdout
    assert wrong(UNREACHABLE, "no-file", ground / "한국어")["message"] == f"There is no file {ground}/한국어."
    assert f"There is no file {ground}/한국어." in say(ground / "한국어").stdout


def test_people_read_what_their_locale_has_and_programs_read_all(ground):
    assert say(ground / "é", LANG="C", LC_ALL="C").stdout.isascii()
    assert wrong(UNREACHABLE, "no-file", ground / "é", LANG="C", LC_ALL="C")["socket"] == f"{ground}/é"
