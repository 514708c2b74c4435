# SPDX-License-Identifier: MIT
"""uds-echo among terminals, other programs and services that do not keep to the rules."""

import json
import os
import pty
import subprocess
import threading

import pytest
from people import OK, REFUSED, UNREACHABLE, USAGE, WRONG, bad, client, echo, flood  # noqa: F401
from uds import ALL, CLIENT, CONNECTED, STREAM, listening, run

# --- The terminal. ----------------------------------------------------------------------------------------------


def on_terminal(*arguments, **environment):
    """What a client prints that has a terminal."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(CLIENT, [CLIENT, *arguments], {**os.environ, "TERM": "xterm", **environment})
    output = b""
    while True:
        try:
            data = os.read(terminal, 65536)
        except OSError:
            break
        if not data:
            break
        output += data
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == OK
    return output.decode()


def test_colours_are_for_terminals_that_want_them(echo):
    path = echo(STREAM)
    arguments = ["ping", "-c", "1", path]
    assert "\033[1m" in on_terminal(*arguments)
    assert "\033" not in on_terminal(*arguments, NO_COLOR="1")
    assert "\033" not in on_terminal(*arguments, TERM="dumb")
    assert "\033" not in client(*arguments).stdout


def test_the_locale_decides_on_micro_signs_and_never_on_decimal_points(echo):
    path = echo(STREAM)
    assert client("ping", "-q", "-c", "50", "-i", "0", path, env={**os.environ, "LC_ALL": "C"}).stdout.isascii()
    assert "µs" in client("ping", "-q", "-c", "50", "-i", "0", path, env={**os.environ, "LC_ALL": "C.UTF-8"}).stdout


def test_standard_output_that_cannot_be_written_is_an_error(echo):
    path = echo(STREAM)
    with open("/dev/full", "w", encoding="ascii") as full:
        for arguments in (["ping", "-c", "1", path], ["send", path, "x"], ["--help"]):
            done = subprocess.run([CLIENT, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60,
                                  check=False)
            assert done.returncode == WRONG and "Standard output" in done.stderr


# --- Bad company. -----------------------------------------------------------------------------------------------


def test_who_floods_is_found_out(bad):
    path = bad(STREAM, flood)
    client("ping", "-c", "1", "-s", "4M", "-w", "2s", path, status=WRONG)


def test_send_gives_up_on_who_floods_and_never_reads(bad):
    path = bad(STREAM, flood)
    client("send", "-w", "1s", path, "hello", status=WRONG)
    client("send", "-w", "1s", path, input="x" * 5_000_000, status=WRONG)


@pytest.mark.parametrize("command", ["check", "ping -c 1"])
def test_a_manager_that_does_not_answer_is_not_waited_for_for_ever(echo, tmp_path, command):
    runtime = tmp_path / "runtime"
    (runtime / "systemd").mkdir(parents=True)
    mute = listening(STREAM, str(runtime / "systemd" / "private"))
    server = listening(STREAM, str(runtime / "x.sock"))
    threading.Thread(target=lambda: (lambda peer: peer.sendall(peer.recv(4096)))(server.accept()[0]), daemon=True).start()
    client(*command.split(), str(runtime / "x.sock"), env={**os.environ, "XDG_RUNTIME_DIR": str(runtime)})
    mute.close()


@pytest.mark.parametrize("kind", CONNECTED)
def test_empty_messages_of_a_service_that_closes_are_not_taken_for_echoed(bad, kind):
    path = bad(kind, lambda peer: None)
    client("send", path, input="\n\n\n", status=WRONG)


def test_nothing_comes_back_as_nothing(echo):
    for kind in CONNECTED:
        assert client("send", echo(kind), input="").stdout == ""


def test_ping_ends_when_nobody_reads_what_it_prints(echo):
    done = run("bash", "-c", '"$0" ping -i 1ms "$1" | head -2; exit ${PIPESTATUS[0]}', CLIENT, echo(STREAM))
    assert done.returncode == WRONG
    assert "Standard output could not be written" in done.stderr


@pytest.mark.parametrize("redirection", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_what_is_closed_is_not_mixed_up_with_the_socket(echo, redirection):
    path = echo(STREAM)
    done = run("bash", "-c", f'"$0" ping -c 3 -i 0 "$1" {redirection}', CLIENT, path)
    assert "changed" not in done.stderr
    assert done.returncode == (WRONG if ">&-" in redirection.split() else OK)


def test_input_that_cannot_be_read_is_an_error(echo):
    for kind in ALL:
        done = run("bash", "-c", '"$0" send "$1" < /', CLIENT, echo(kind))
        assert done.returncode == WRONG and "Standard input could not be read" in done.stderr


def test_what_comes_from_outside_does_not_steer_the_terminal(bad, daemon, tmp_path):
    liar = bad(STREAM, lambda peer: peer.sendall(b"UNIT=\x1b]0;pwned\x07\nLABEL=\xc2\x9b31m\nVERDICT=allow\n"))
    path = str(tmp_path / "\x1b[31mred\n.sock")
    server = listening(STREAM, path)
    daemon([server])
    for done in (client("whoami", liar), client("ping", "-c", "1", path), client("ping", path + "x", status=UNREACHABLE),
                 client("ping", "a", path, status=USAGE)):
        assert not set(done.stdout + done.stderr) & set("\x1b\x07\x9b")
        assert done.stderr.count("\n") <= 1


@pytest.mark.parametrize("kind", ALL)
def test_a_name_that_is_no_text_is_no_obstacle_for_json(daemon, tmp_path, kind):
    path = os.fsencode(tmp_path) + b"/\xff.sock"
    server = listening(kind, path)
    daemon([server])
    for arguments in (["send", "--json", path, "x"], ["ping", "--json", "-c", "1", path]):
        done = subprocess.run([CLIENT, *arguments], capture_output=True, timeout=60, check=False)
        assert done.returncode == OK and json.loads(done.stdout)["type"] == kind


def test_whoami_says_that_it_was_refused(echo):
    assert "policy" in client("whoami", echo(STREAM, "# nobody\n"), status=REFUSED).stderr


def test_programs_hear_of_a_failure_too(tmp_path, echo):
    for command in ("send", "ping", "whoami"):
        answer = json.loads(client(command, "--json", str(tmp_path / "none"), status=UNREACHABLE).stdout)
        assert answer == {"socket": str(tmp_path / "none"), "error": "No such file or directory"}
    path = echo(STREAM, "# nobody\n")
    assert json.loads(client("ping", "--json", path, status=REFUSED).stdout)["checked"] == 0


def test_a_port_out_of_range_is_a_wrong_command_line():
    assert "65535" in client("ping", "tcp:127.0.0.1:73313", status=USAGE).stderr


def test_what_a_service_says_in_an_object_does_not_steer_the_terminal(bad):
    answer = "\x9b31m \u202e 한국어\n"
    path = bad(STREAM, lambda peer: (peer.recv(100), peer.sendall(answer.encode())))
    done = client("send", "--json", path, "x" * (len(answer.encode()) - 1), status=WRONG)
    assert json.loads(done.stdout)["reply"] == answer, "it is passed on, but"
    assert not set(done.stdout) & set("\x9b\u202e")
