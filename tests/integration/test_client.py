# SPDX-License-Identifier: MIT
"""uds-echo, the client for people: its command line, send, whoami."""

import json
import os
import socket
import subprocess
import threading

import pytest
from people import ME, OK, REFUSED, UNREACHABLE, USAGE, WRONG, bad, client, echo  # noqa: F401
from uds import ALL, CLIENT, STREAM, Units, eventually, listening, run

# --- The command line. ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments, words", [
    ([], "What is to be done?"), (["dance"], "dance is no command"), (["ping", "--loud"], "--loud is not known"),
    (["ping", "-c"], "-c needs a value"), (["ping", "-c", "0"], "--count=0"), (["ping", "-s", "8"], "--size=8"),
    (["ping", "-i", "often"], "--interval=often"), (["ping", "a", "b"], "Argument b"),
    (["ping", "--type=tcp"], "--type=tcp"), (["send", "--timeout=0"], "--timeout=0"), (["ping", "tcp:1"], "HOST:PORT"),
    (["ping", "@"], "is empty"), (["ping", "/" + "x" * 200], "longer than"), (["ping", "vsock:a:b"], "vsock:CID:PORT"), (["ping", "vsock:1"], "vsock:CID:PORT"),
    (["ping", "vsock:1:4294967296"], "vsock:CID:PORT"), (["ping", "vsock:-1:7"], "vsock:CID:PORT"),
    (["ping", "--type=seqpacket", "tcp:127.0.0.1:7"], "is a stream socket"), (["whoami", "a", "b"], "Argument b"),
    # Letters behind one dash, and what stands before them.
    (["ping", "-xc", "3"], "Option -x is not known"), (["ping", "--json", "-qxc", "3"], "Option -x is not known"),
    (["ping", "--timeout=5s", "-r"], "Option -r is not known"), (["bench", "-bT"], "Option -b is not known"),
    (["ping", "--json", "-qc"], "Option -c needs a value"), (["ping", "-q", "--count"], "Option --count needs a value"),
    (["ping", "-q", "--json=1"], "Option --json=1 takes no value"), (["ping", "--reconnect=1"], "takes no value"),
    (["bench", "--busy-poll=1"], "Option --busy-poll=1 takes no value"), (["send", "-j:"], "Option -: is not known"),
    (["bench", "--s"], "--s is not known, or stands for several"),
    (["ping", "tcp:[::1:7"], "HOST:PORT"), (["ping", "tcp:[name]:7"], "brackets"),
    (["ping", "tcp:127.0.0.1:no-such-port"], "has a port that is neither"), (["ping", f"udp:{'x' * 2000}:7"], "too long"),
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


@pytest.mark.parametrize("command", ["send", "ping", "whoami", "check"])
def test_a_host_whose_name_is_not_found_is_unreachable(command):
    name = "tcp:name.invalid:7"
    done = client(command, name, status=UNREACHABLE)
    said = done.stdout if command == "check" else done.stderr
    assert name in said and "name" in said.replace(name, "").lower()
    facts = json.loads(client(command, "--json", name, status=UNREACHABLE).stdout)
    assert facts["socket"] == name and facts.get("error", facts.get("message"))


def test_a_host_whose_name_is_not_found_is_so_for_bench():
    done = client("bench", "--json", "--duration=100ms", "tcp:name.invalid:7", status=UNREACHABLE)
    assert json.loads(done.stdout)["points"][0]["results"][0]["error"].startswith("connection 1: ")
    assert done.stderr.startswith("uds-echo: tcp:name.invalid:7: ")


@pytest.mark.skipif(os.geteuid() != 0, reason="a hosts file of one's own takes root")
@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2"])
def test_every_address_of_a_host_is_tried(address, tmp_path):
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 twofold.test\n127.0.0.2 twofold.test\n")
    with socket.create_server((address, 0)) as server:
        threading.Thread(target=lambda: (lambda peer: peer.sendall(peer.recv(9)))(server.accept()[0])).start()
        done = run("unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', hosts, CLIENT,
                   "send", f"tcp:twofold.test:{server.getsockname()[1]}", "hello")
    assert (done.returncode, done.stdout) == (0, "hello\n"), done.stderr


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


def test_whoami_takes_numbers_for_numbers_and_names_for_names(bad):
    path = bad(STREAM, lambda peer: peer.sendall(b"UID=0\nGID=0\nGROUPS=0,4\nPID=17\nUNIT=4711\nLABEL=42\nVERDICT=deny\n"))
    answer = json.loads(client("whoami", "--json", path).stdout)
    assert (answer["pid"], answer["unit"], answer["label"], answer["verdict"]) == (17, "4711", "42", "deny")
    assert answer["uid"] == {"id": 0, "name": "root"} and [group["id"] for group in answer["groups"]] == [0, 4]


def test_programs_hear_that_whoami_was_not_answered(bad, echo):
    for path, status in ((bad(STREAM, lambda peer: peer.sendall(b"hello\n")), WRONG),
                         (echo(STREAM, "# nobody\n"), REFUSED)):
        answer = json.loads(client("whoami", "--json", path, status=status).stdout)
        assert answer["socket"] == path and answer["error"]


def test_whoami_does_not_wait_for_ever_for_what_is_not_for_it(bad):
    def out_of_band(peer):
        peer.send(b"!", socket.MSG_OOB)
        peer.recv(1)  # until the end

    client("whoami", "--timeout=300ms", bad(STREAM, out_of_band), status=WRONG)


@pytest.mark.systemd
def test_whoami_asks_the_mirror_by_itself(units):
    mirror = Units("uds-whoami")
    mirror.start()
    try:
        assert "root (0)" in client("whoami").stdout
    finally:
        mirror.stop()
