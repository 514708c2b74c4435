# SPDX-License-Identifier: MIT
"""uds-echo bench: it completes, its figures are sound, and a service that echoes wrongly does not get through."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import threading
import time
import unicodedata

import pytest
from uds import ALL, CLIENT, CONNECTED, DGRAM, PATIENCE, SEQPACKET, STREAM, eventually, listening, run

SHORT = ("--duration=200ms", "--rounds=2", "--sizes=64", "--connections=3")
LONG = ("--duration=30s", "--rounds=1", "--sizes=64", "--connections=1")  # ended by what is tested
LENGTH = 64
UTF8, ASCII = {"LC_ALL": "C.UTF-8"}, {"LC_ALL": "C"}


def bench(*arguments, **environment):
    return run(CLIENT, "bench", *map(str, arguments), env={**os.environ, **UTF8, **environment})


def measure(*arguments):
    """The facts of a run that goes well."""
    done = bench("--json", *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


@pytest.fixture
def echo(daemon, tmp_path):
    """echo(kind): the path of a socket of that type, served by uds-echod."""

    def start(kind):
        path = str(tmp_path / f"{kind}.sock")
        daemon([listening(kind, path)])
        return path

    return start


@pytest.fixture
def liar(tmp_path):
    """liar(kind, answer): the path of a service that replies to message number I, counted from 0, with what
    answer(I, message) lists, and ends the connection at None."""
    servers = []

    def serve_connection(client, kind, answer):
        number = 0
        data = b""
        with client:
            while piece := client.recv(1 << 20):
                data += piece
                while data:
                    # The first one finds out whether the service greets.
                    size = len(data) if kind != STREAM else 8 if number == 0 else LENGTH
                    if len(data) < size:
                        break
                    replies = answer(number, data[:size])
                    if replies is None:
                        return
                    for reply in replies:
                        client.send(reply) if kind != STREAM else client.sendall(reply)
                    number, data = number + 1, data[size:]

    def accept(server, kind, answer):
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=quietly, args=(serve_connection, client, kind, answer), daemon=True).start()

    def serve_datagrams(server, kind, answer):
        numbers = {}
        while True:
            message, sender = server.recvfrom(1 << 20)
            if not sender:
                return
            number = numbers.get(sender, 0)
            numbers[sender] = number + 1
            for reply in answer(number, message):
                server.sendto(reply, sender)

    def quietly(function, *arguments):
        try:
            function(*arguments)
        except OSError:
            pass  # the client has found out and is gone

    def start(kind, answer):
        path = str(tmp_path / f"liar-{kind}.sock")
        server = listening(kind, path)
        servers.append((server, path))
        serve = serve_datagrams if kind == DGRAM else accept
        threading.Thread(target=quietly, args=(serve, server, kind, answer), daemon=True).start()
        return path

    yield start
    for server, path in servers:
        if server.type == socket.SOCK_DGRAM:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
                last.connect(path)
                last.send(b"")  # from nobody: the end
        else:
            server.shutdown(socket.SHUT_RDWR)
        server.close()


# What is measured.


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


def test_a_rate_that_cannot_be_kept_up_with_is_told(liar):
    path = liar(STREAM, lambda number, message: time.sleep(0.005) or [message])
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
    ["--duration=0"], ["--duration=ever"], ["--rounds=0"], ["--threads=0"], ["--rate=0"], ["--rate"], ["--frob"],
    ["--type=x"], ["--type=stream", "udp:localhost:7"], ["--svg=/nowhere/at/all.svg"], ["--busy-poll=1"]))
def test_what_is_wrong_with_the_command_line_is_said_in_one_line(arguments):
    done = bench(*arguments)
    assert done.returncode == 64
    assert done.stdout == ""
    assert re.fullmatch(r"uds-echo.*\n", done.stderr)


# Services that echo wrongly.


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
