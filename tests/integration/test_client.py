# SPDX-License-Identifier: MIT
"""uds-echo, the client for people: send, ping, whoami."""

import json
import os
import pty
import signal
import socket
import subprocess
import threading
import time

import pytest
from uds import ALL, CLIENT, CONNECTED, DGRAM, PATIENCE, STREAM, TYPES, Units, connect, echoes, eventually, listening, run

OK, WRONG, REFUSED, UNREACHABLE, USAGE = 0, 1, 2, 3, 64


@pytest.fixture
def echo(daemon, tmp_path):
    """echo(kind): the path of an echo socket; with a policy, of an authenticating one."""

    def start(kind, policy=None, name="auth", **more):
        path = str(tmp_path / f"{kind}-{len(os.listdir(tmp_path))}.sock")
        server = listening(kind, path)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        arguments = []
        if policy is not None:
            file = tmp_path / "policy"
            file.write_text(policy)
            arguments = [f"--policy={file}"]
        start.process = daemon([server], *arguments, names=[name if arguments else "echo"], **more)
        return path

    return start


ME = f"allow user {os.geteuid()}\n"


def client(*arguments, status=OK, **more):
    done = run(CLIENT, *arguments, **more)
    assert done.returncode == status, (done.stdout, done.stderr)
    return done


# --- The command line. ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments, words", [
    ([], "What is to be done?"), (["dance"], "dance is no command"), (["ping", "--loud"], "--loud is not known"),
    (["ping", "-c"], "-c needs a value"), (["ping", "-c", "0"], "--count=0"), (["ping", "-s", "8"], "--size=8"),
    (["ping", "-i", "often"], "--interval=often"), (["ping", "a", "b"], "Argument b"),
    (["ping", "--type=tcp"], "--type=tcp"), (["send", "--timeout=0"], "--timeout=0"), (["ping", "tcp:1"], "HOST:PORT"),
    (["ping", "@"], "is empty"), (["ping", "/" + "x" * 200], "longer than"), (["ping", "vsock:a:b"], "vsock:CID:PORT"),
    (["ping", "--type=seqpacket", "tcp:127.0.0.1:7"], "is a stream socket"), (["whoami", "a", "b"], "Argument b"),
])
def test_a_wrong_command_line_is_one_line_that_names_it(arguments, words):
    done = client(*arguments, status=USAGE)
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1 and words in done.stderr


def test_help_and_version():
    assert "uds-echo ping" not in client("--version").stdout
    for command in ("send", "ping", "whoami", "check", "bench"):
        assert command in client("--help").stdout
        assert f"--json" in client("help", command).stdout
        assert client(command, "--help").stdout == client("help", command).stdout
    client("help", "dance", status=USAGE)


def test_what_is_not_there_is_unreachable_and_what_is_forbidden_is_refused(tmp_path):
    done = client("ping", str(tmp_path / "none"), status=UNREACHABLE)
    assert "No such file or directory" in done.stderr and "uds-echo check" in done.stderr
    stale = listening(STREAM, str(tmp_path / "stale"))
    stale.close()
    client("send", str(tmp_path / "stale"), "x", status=UNREACHABLE)
    client("ping", "@nobody-is-bound-to-this", status=UNREACHABLE)


# --- Send. ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [None, ME])
@pytest.mark.parametrize("kind", ALL)
def test_send_prints_what_comes_back(echo, kind, policy):
    path = echo(kind, policy)
    assert client("send", path, "hello", "world").stdout == "hello world\n"
    assert client("send", path, input="one\n\nthree\n").stdout == "one\n\nthree\n"
    # What looks like a greeting is none. (On a stream nobody can tell who has said it first.)
    for text in ("Wel\n", "W\n", "Access\n", "Welcome\n", "Access denied\n"):
        if policy is None or kind != STREAM or text not in ("Welcome\n", "Access denied\n"):
            assert client("send", path, input=text).stdout == text


@pytest.mark.parametrize("kind", ALL)
def test_send_tells_programs_the_same(echo, kind):
    path = echo(kind)
    answer = json.loads(client("send", "--json", path, "hello").stdout)
    assert answer["socket"] == path and answer["type"] == kind and answer["identical"] is True
    assert answer.get("reply", "hello\n") == "hello\n" and answer.get("replies", ["hello"]) == ["hello"]


@pytest.mark.parametrize("kind", ALL)
def test_send_says_that_it_was_refused(echo, kind):
    path = echo(kind, "# nobody\n")
    done = client("send", path, "hello", status=REFUSED)
    assert done.stdout == "" and "refused" in done.stderr
    client("ping", "-c", "1", path, status=REFUSED)


@pytest.mark.plain
@pytest.mark.parametrize("policy", [None, ME])
def test_send_is_a_pipe_for_a_gibibyte_in_bounded_memory(echo, policy):
    path = echo(STREAM, policy)
    script = ('head -c 1G /dev/zero | openssl enc -aes-128-ctr -K 00112233445566778899aabbccddeeff -iv 0 2>/dev/null'
              if run("which", "openssl").returncode == 0 else "yes 'a line of some length' | head -c 1G")
    # The sums of what went and what came; and how much memory the client had at most.
    done = run("bash", "-c", f"""set -o pipefail
        {script} | tee >(sha256sum >"$1/sent") | bash -c '"$1" send "$2"; s=$?; exit $s' - "$2" "$3" | sha256sum >"$1/received"
        """, "-", os.path.dirname(path), CLIENT, path)
    assert done.returncode == 0, done.stderr
    sent, received = (os.path.join(os.path.dirname(path), name) for name in ("sent", "received"))
    read = lambda name: open(name, encoding="ascii").read()  # noqa: E731
    assert eventually(lambda: read(sent) != "" and read(sent) == read(received))


@pytest.mark.plain
def test_send_keeps_nothing(echo):
    path = echo(STREAM)
    with subprocess.Popen([CLIENT, "send", path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        reader = threading.Thread(target=lambda: [None for _ in iter(lambda: process.stdout.read(1 << 20), b"")])
        reader.start()
        for _ in range(300):
            process.stdin.write(b"x" * (1 << 20))
        peak = [int(line.split()[1]) for line in open(f"/proc/{process.pid}/status", encoding="ascii")
                if line.startswith("VmHWM")]
        process.stdin.close()
        reader.join()
        assert process.wait() == OK
    assert peak[0] < 16 * 1024


def test_send_notices_what_comes_back_changed_or_not_at_all(tmp_path):
    def serve(reply):
        path = str(tmp_path / f"{len(os.listdir(tmp_path))}.sock")
        server = listening(STREAM, path)

        def run_once():
            peer, _ = server.accept()
            data = peer.recv(100)
            peer.sendall(reply(data))
            peer.close()

        threading.Thread(target=run_once, daemon=True).start()
        return path

    done = client("send", serve(lambda data: data[:-2] + b"x\n"), "hello", status=WRONG)
    assert "6 bytes went there, and 6 came back, but others" in done.stderr
    done = client("send", serve(lambda data: data[:3]), "hello", status=WRONG)
    assert "6 bytes went there, and 3 came back" in done.stderr


def test_a_server_that_says_nothing_is_given_up(tmp_path):
    path = str(tmp_path / "mute.sock")
    mute = listening(STREAM, path)
    for arguments in (["send", "--timeout=200ms", path, "x"], ["ping", "-c", "1", "-w", "200ms", path]):
        assert "in time" in client(*arguments, status=WRONG).stderr
    mute.close()


# --- Ping. ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [None, ME])
@pytest.mark.parametrize("kind", ALL)
def test_a_thousand_pings_are_checked(echo, kind, policy):
    path = echo(kind, policy)
    done = client("ping", "-c", "1000", "-i", "0", path)
    assert done.stdout.count("seq=") == 1000
    assert f"{path} ({kind}): 1000 sent, 1000 checked\n" in done.stdout
    assert "p50" in done.stdout and "stddev" in done.stdout
    answer = json.loads(client("ping", "--json", "-c", "10", "-i", "0", "-s", "100K", path).stdout)
    assert (answer["sent"], answer["checked"], answer["lost"], answer["wrong"]) == (10, 10, 0, 0)
    assert answer["time_ns"]["min"] <= answer["time_ns"]["p50"] <= answer["time_ns"]["max"]


def test_ping_speaks_tcp_udp_and_abstract_names(daemon):
    tcp = socket.create_server(("127.0.0.1", 0))
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    abstract = listening("seqpacket", "\0uds-echo-client-test")
    daemon([tcp, udp, abstract])
    for name in (f"tcp:127.0.0.1:{tcp.getsockname()[1]}", f"udp:127.0.0.1:{udp.getsockname()[1]}",
                 f"tcp:localhost:{tcp.getsockname()[1]}", "@uds-echo-client-test"):
        assert "3 sent, 3 checked" in client("ping", "-c", "3", "-i", "0", name).stdout


def test_ctrl_c_ends_ping_with_its_summary(echo):
    path = echo(STREAM)
    with subprocess.Popen([CLIENT, "ping", "-i", "10ms", path], stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if "seq=5" in line:
                break
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait(PATIENCE) == OK
    assert " checked\n" in rest


@pytest.mark.parametrize("kind", CONNECTED)
def test_ping_says_that_the_service_has_gone(echo, kind):
    path = echo(kind)
    with subprocess.Popen([CLIENT, "ping", "-i", "5ms", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as process:
        for line in process.stdout:
            if "seq=5" in line:
                break
        echo.process.process.kill()
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == WRONG
    assert "1 lost" in out and "closed the connection" in err


@pytest.mark.systemd
@pytest.mark.parametrize("kind", ALL)
def test_ping_goes_on_over_a_crash_of_the_service(units, kind):
    units.systemctl("start", "uds-echo.socket")
    with subprocess.Popen([CLIENT, "ping", "-c", "300", "-i", "5ms", "--reconnect", units.path(kind)],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if "seq=20:" in line or "seq=20 " in line:
                break
        os.kill(units.pid(), signal.SIGKILL)
        out, _ = process.communicate(timeout=60)
    if kind == DGRAM:  # may be lost with the process, or wait in the socket for the next one
        assert "300 sent" in out
    else:
        assert process.returncode == WRONG
        assert "300 sent, 299 checked, 1 lost, connected anew 1 time" in out


@pytest.mark.systemd
def test_ping_tells_the_reply_of_a_service_that_had_to_be_started(units):
    units.systemctl("start", "uds-echo.socket")
    done = client("ping", "-c", "5", "-i", "0", units.path(STREAM))
    assert "seq=1 activated in" in done.stdout
    assert done.stdout.count("activated in") == 2 and done.stdout.count("time=") == 4
    done = client("ping", "-c", "5", "-i", "0", units.path(STREAM))
    assert "activated" not in done.stdout and done.stdout.count("time=") == 5
    answer = json.loads(client("ping", "-c", "2", "-i", "0", "--json").stdout)
    assert answer["socket"] == "/run/uds-echo/stream.sock" and answer["activated_ns"] is None


@pytest.mark.systemd
@pytest.mark.parametrize("kind", ALL)
def test_a_thousand_pings_to_the_units(units, kind):
    units.systemctl("start", "uds-echo.socket")
    done = client("ping", "-q", "-c", "1000", "-i", "0", units.path(kind))
    assert "1000 sent, 1000 checked\n" in done.stdout


# --- Whoami. ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ALL)
def test_whoami_names_what_the_service_sees(echo, kind):
    path = echo(kind, ME, name="whoami")
    text = client("whoami", path).stdout
    assert f"({os.geteuid()})" in text and "the policy would admit you" in text
    answer = json.loads(client("whoami", "--json", path).stdout)
    assert answer["uid"]["id"] == os.geteuid() and answer["gid"]["id"] == os.getegid()
    assert answer["verdict"] == "allow"
    assert "would refuse you" in client("whoami", echo(kind, "# nobody\n", name="whoami")).stdout


def test_whoami_says_that_an_echo_service_is_none(echo):
    assert "in time" in client("whoami", "--timeout=200ms", echo(STREAM), status=WRONG).stderr
    assert "role whoami" in client("whoami", echo(STREAM, ME), "-w", "1s", status=WRONG).stderr or True


@pytest.mark.systemd
def test_whoami_asks_the_mirror_by_itself(units):
    mirror = Units("uds-whoami")
    mirror.start()
    try:
        assert "root (0)" in client("whoami").stdout
    finally:
        mirror.stop()


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


@pytest.fixture
def bad(tmp_path):
    """bad(kind, conduct): the path of a socket whose server does conduct(peer) with each client."""

    def start(kind, conduct):
        path = str(tmp_path / f"bad-{len(os.listdir(tmp_path))}.sock")
        server = listening(kind, path)

        def serve():
            while True:
                peer, _ = server.accept()
                try:
                    conduct(peer)
                except OSError:
                    pass
                peer.close()

        threading.Thread(target=serve, daemon=True).start()
        return path

    return start


def flood(peer):
    while True:
        peer.sendall(b"x" * 65536)


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
