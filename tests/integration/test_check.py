# SPDX-License-Identifier: MIT
"""uds-echo check: each thing that may be wrong between a path and its reply, produced for real."""

import contextlib
import errno
import fcntl
import functools
import grp
import json
import os
import pty
import pwd
import re
import shutil
import socket
import struct
import subprocess
import tempfile
import termios
import threading
import time
from pathlib import Path

import pytest
from uds import (ALL, CLIENT, CONNECTED, DGRAM, PATIENCE, SEQPACKET, STREAM, TYPES, Units, connect, eventually, listening,
                 run, under_systemd)

OK, WRONG, REFUSED, UNREACHABLE, USAGE = 0, 1, 2, 3, 64
VISITOR = "check-visitor"
GROUP = grp.getgrgid(4).gr_name  # adm, usually: one that the user is not in

systemd = pytest.mark.systemd
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be several users")


@functools.cache
def visitor():
    """The ordinary user's name and uid. A bus takes no client without a name; outside of a throw-away
    machine none is made, and the number has to do."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid()).pw_name, os.geteuid()
    if not under_systemd():
        return "4242", 4242
    run("useradd", "--system", "--user-group", VISITOR)
    return VISITOR, pwd.getpwnam(VISITOR).pw_uid


def ordinary(*groups):
    """The prefix to be an ordinary user, in these supplementary groups."""
    name = visitor()[0]
    if os.geteuid() != 0:
        return []
    return ["setpriv", f"--reuid={name}", f"--regid={name}",
            f"--groups={','.join(groups)}" if groups else "--clear-groups"]


def say(*arguments, prefix=None, **variables):
    """What is said to people."""
    return run(*(ordinary() if prefix is None else prefix), CLIENT, "check", *map(str, arguments),
               env={**os.environ, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", **variables})


def check(*arguments, prefix=None, **variables):
    """The exit status, and what is said to programs."""
    done = say("--json", *arguments, prefix=prefix, **variables)
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1
    return done.returncode, json.loads(done.stdout)


def well(*arguments, **more):
    status, facts = check(*arguments, **more)
    assert (status, facts["ok"]) == (OK, True), facts
    assert facts["cause"] is facts["message"] is facts["advice"] is None
    assert facts["steps"] and all(step["ok"] for step in facts["steps"])
    assert facts["round_trip_usec"] > 0
    return facts


def wrong(status, cause, *arguments, **more):
    """Checks that this is what is found, and that it is the last step; returns what is said."""
    got, facts = check(*arguments, **more)
    assert (got, facts["cause"], facts["ok"]) == (status, cause, False), facts
    assert facts["steps"][-1] == {"ok": False, "text": facts["message"]}
    assert all(step["ok"] for step in facts["steps"][:-1])
    assert facts["message"].endswith(".") and facts["advice"]
    return facts


def steps(facts):
    return [step["text"] for step in facts["steps"]]


@pytest.fixture
def ground():
    """A directory that everybody may enter."""
    path = Path(tempfile.mkdtemp(prefix="uds-echo-check-"))
    path.chmod(0o755)
    yield path
    run("chmod", "-R", "u+rwx", str(path))
    shutil.rmtree(path)


def open_door(kind, path):
    """A socket that everybody may connect to."""
    server = listening(kind, str(path))
    os.chmod(path, 0o666)
    return server


@contextlib.contextmanager
def serving(server, answer):
    """A service of one client, which hears answer(message), and then the end."""

    def serve():
        with contextlib.suppress(OSError):
            if server.type == socket.SOCK_DGRAM:
                message, sender = server.recvfrom(1000)
                server.sendto(answer(message), sender)
                return
            client = server.accept()[0]
            reply = answer(client.recv(1000))
            if reply is not None:
                client.sendall(reply)
            client.close()

    server.settimeout(PATIENCE)
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield server
    finally:
        thread.join()
        server.close()


# --- All well. --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ALL)
def test_a_service_that_echoes_is_well_and_its_type_is_found_out(daemon, ground, kind):
    path = ground / "x.sock"
    daemon([open_door(kind, path)])
    facts = well(path)
    assert (facts["socket"], facts["type"], facts["unit"]) == (str(path), kind, None)
    assert f"{ground} is a directory that you may enter" in steps(facts)
    assert f"{path} is a socket" in steps(facts)
    assert well(f"--type={kind}", path)["type"] == kind


@pytest.mark.parametrize("kind", ALL)
def test_abstract_names_are_found_under_each_type(daemon, kind):
    server = listening(kind)
    daemon([server])
    assert well("@" + server.getsockname()[1:].decode())["type"] == kind


@pytest.mark.parametrize("scheme,kind", [("tcp", STREAM), ("udp", DGRAM)])
def test_internet_sockets_are_checked_too(daemon, scheme, kind):
    server = socket.socket(socket.AF_INET, TYPES[kind])
    server.bind(("127.0.0.1", 0))
    if kind == STREAM:
        server.listen()
    daemon([server])
    facts = well(f"{scheme}:127.0.0.1:{server.getsockname()[1]}")
    assert (facts["type"], facts["unit"]) == (kind, None)


def test_relative_paths_are_walked_from_here(daemon, ground, monkeypatch):
    (ground / "a").mkdir()
    daemon([open_door(STREAM, ground / "a" / "x.sock")])
    monkeypatch.chdir(ground)
    assert well("./a/../a//x.sock")["type"] == STREAM
    assert steps(well("a/x.sock"))[:3] == [". is a directory that you may enter", "a is a directory that you may enter",
                                           "a/x.sock is a socket"]


def test_who_is_admitted_is_told_so(daemon, ground, tmp_path):
    facts = well(guarded(daemon, ground, tmp_path, STREAM, visitor()[1]))
    assert "The service has admitted you: \"Welcome\"" in steps(facts)


def test_symbolic_links_are_followed_and_said(daemon, ground):
    (ground / "real").mkdir()
    daemon([open_door(STREAM, ground / "real" / "x.sock")])
    (ground / "directory").symlink_to("real")
    (ground / "link").symlink_to(ground / "directory" / "x.sock")
    facts = well(ground / "link")
    assert f"{ground}/link is a symbolic link to {ground}/directory/x.sock" in steps(facts)
    assert f"{ground}/directory is a symbolic link to real" in steps(facts)
    assert f"{ground}/real/x.sock is a socket" in steps(facts)
    assert len(set(steps(facts))) == len(steps(facts)), "nothing is said twice"


# --- The way along the path. ------------------------------------------------------------------------------------


def test_a_directory_that_is_not_there_is_named(ground):
    facts = wrong(UNREACHABLE, "no-directory", ground / "a" / "b" / "x.sock")
    assert facts["message"] == f"There is no directory {ground}/a."
    assert f"{ground} is a directory that you may enter" in steps(facts)


def test_what_is_no_directory_is_named(ground, daemon):
    (ground / "a").write_text("")
    facts = wrong(UNREACHABLE, "not-a-directory", ground / "a" / "x.sock")
    assert facts["message"] == f"{ground}/a is a regular file, so the path cannot lead through it."
    daemon([open_door(STREAM, ground / "x.sock")])
    wrong(UNREACHABLE, "not-a-directory", f"{ground}/x.sock/")


def test_a_directory_that_may_not_be_entered_is_named_with_who_may(ground):
    closed = ground / "a" / "closed"
    (closed / "b").mkdir(parents=True)
    listening(STREAM, str(closed / "b" / "x.sock"))
    closed.chmod(0o600)
    facts = wrong(REFUSED, "directory-forbidden", closed / "b" / "x.sock")
    owner = pwd.getpwuid(os.geteuid()).pw_name
    group = grp.getgrgid(os.getegid()).gr_name
    assert facts["message"].startswith(
        f"You may not enter the directory {closed}: owner {owner}, group {group}, mode 0600; you are ")
    assert f"(uid {visitor()[1]}), in the group" in facts["message"]


@as_root
def test_the_group_that_may_enter_is_named_and_its_members_may(ground, daemon):
    closed = ground / "closed"
    closed.mkdir()
    daemon([open_door(STREAM, closed / "x.sock")])
    shutil.chown(closed, group=GROUP)
    closed.chmod(0o710)
    facts = wrong(REFUSED, "directory-forbidden", closed / "x.sock")
    name, uid = visitor()
    assert f"group {GROUP}, mode 0710; you are {name} (uid {uid}), in the group {name}." in facts["message"]
    assert f"The members of the group {GROUP} may." in facts["advice"]
    assert (f"usermod --append --groups {GROUP} {name}" if under_systemd() else "has no name") in facts["advice"]
    well(closed / "x.sock", prefix=ordinary(GROUP))


@as_root
def test_a_current_directory_that_may_not_be_entered_is_said(ground, monkeypatch):
    monkeypatch.chdir(ground)
    ground.chmod(0o700)
    facts = wrong(REFUSED, "directory-forbidden", "x.sock")
    assert facts["message"].startswith("You may not enter the directory .: owner root, group root, mode 0700; you are ")


def test_links_in_a_circle_end(ground):
    (ground / "a").symlink_to("b")
    (ground / "b").symlink_to("a")
    wrong(UNREACHABLE, "link-loop", ground / "a")


def test_a_file_that_is_not_there_is_named(ground):
    facts = wrong(UNREACHABLE, "no-file", ground / "x.sock")
    assert facts["message"] == f"There is no file {ground}/x.sock."
    assert facts["type"] is None


def test_a_link_that_leads_nowhere_is_named(ground):
    (ground / "link").symlink_to("gone.sock")
    facts = wrong(UNREACHABLE, "no-file", ground / "link")
    assert facts["message"] == f"There is no file {ground}/gone.sock."
    assert f"The symbolic link {ground}/link leads there" in facts["advice"]


def test_what_is_no_socket_is_said_to_be_what_it_is(ground):
    (ground / "file").write_text("")
    os.mkfifo(ground / "fifo")
    for path, kind in ((ground / "file", "a regular file"), (ground / "fifo", "a FIFO"), (ground, "a directory"),
                       ("/dev/null", "a device"), ("/", "a directory")):
        assert wrong(UNREACHABLE, "not-a-socket", path)["message"] == f"{path} is no socket but {kind}."


@pytest.mark.parametrize("kind", ALL)
def test_a_socket_that_one_may_not_write_to_is_shown_with_who_may(ground, kind):
    path = ground / "x.sock"
    server = listening(kind, str(path))
    path.chmod(0o400)
    facts = wrong(REFUSED, "file-forbidden", path)
    assert ", mode 0400; you are " in facts["message"]
    assert f"(uid {visitor()[1]}), in the group" in facts["message"]
    assert ("Only root may." if os.geteuid() == 0 else "chmod u+w") in facts["advice"]
    server.close()


@as_root
def test_the_group_to_join_is_named(ground, daemon):
    path = ground / "x.sock"
    daemon([open_door(STREAM, path)])
    shutil.chown(path, group=GROUP)
    path.chmod(0o660)
    facts = wrong(REFUSED, "file-forbidden", path)
    name, uid = visitor()
    assert f"owner root, group {GROUP}, mode 0660; you are {name} (uid {uid})" in facts["message"]
    assert f"The members of the group {GROUP} may." in facts["advice"]
    assert (f"usermod --append --groups {GROUP} {name}" if under_systemd() else "has no name") in facts["advice"]
    well(path, prefix=ordinary(GROUP))
    path.chmod(0o606)
    facts = wrong(REFUSED, "file-forbidden", path, prefix=ordinary(GROUP))
    assert "You are in its group" in facts["advice"], "others may, but the group may not"


@as_root
def test_what_the_mode_does_not_explain_is_said_to_be_elsewhere(ground):
    path = ground / "x.sock"
    with open_door(STREAM, path):
        # acl(5) as setxattr(2) takes it: (tag, permissions, id), and an entry for this one user.
        entries = [(1, 6, -1), (2, 0, visitor()[1]), (4, 6, -1), (16, 6, -1), (32, 6, -1)]
        value = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
        try:
            os.setxattr(path, "system.posix_acl_access", value)
        except OSError as error:
            pytest.skip(f"no access control lists there: {error}")
        assert "access control list" in wrong(REFUSED, "file-forbidden", path)["advice"]


@as_root
def test_users_and_groups_without_a_name_are_numbers(ground):
    with listening(STREAM, str(ground / "x.sock")):
        os.chmod(ground / "x.sock", 0o660)
        os.chown(ground / "x.sock", 4243, 4244)
        facts = wrong(REFUSED, "file-forbidden", ground / "x.sock",
                      prefix=["setpriv", "--reuid=4242", "--regid=4242", "--groups=4245,4242"])
    assert facts["message"].endswith("owner 4243, group 4244, mode 0660; "
                                     "you are 4242 (uid 4242), in the groups 4242, 4245.")


def test_what_else_the_kernel_says_is_passed_on(ground):
    (ground / "link").symlink_to("x" * 300)
    assert os.strerror(errno.ENAMETOOLONG) in wrong(UNREACHABLE, "system-error", ground / "link")["message"]


# --- The connection. --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ALL)
def test_a_file_that_was_left_behind_is_told_from_a_service(ground, kind):
    open_door(kind, ground / "x.sock").close()
    facts = wrong(UNREACHABLE, "nobody-listening", ground / "x.sock")
    assert f"{ground}/x.sock is a socket" in steps(facts)


@pytest.mark.parametrize("arguments", [[], *([f"--type={kind}"] for kind in ALL)])
def test_an_abstract_name_that_nobody_has_is_said(arguments):
    facts = wrong(UNREACHABLE, "no-name", *arguments, "@uds-echo-nobody-has-this")
    assert "network namespace" in facts["advice"]


@as_root
def test_an_abstract_name_is_not_seen_from_another_network_namespace(daemon):
    server = listening(STREAM)
    daemon([server])
    name = "@" + server.getsockname()[1:].decode()
    well(name)
    wrong(UNREACHABLE, "no-name", name, prefix=["unshare", "--net", *ordinary()])


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("wanted", ALL)
def test_the_wrong_type_is_said_with_the_right_one(ground, kind, wanted):
    path = ground / "x.sock"
    with open_door(kind, path), listening(kind) as abstract:
        for name in (path, "@" + abstract.getsockname()[1:].decode()):
            if wanted == kind:
                wrong(WRONG, "no-answer", f"--type={wanted}", "--timeout=50ms", name)
                continue
            facts = wrong(UNREACHABLE, "wrong-type", f"--type={wanted}", name)
            assert facts["message"] == f"{name} is a {kind} socket, and not a {wanted} socket."
            assert facts["type"] == kind


@pytest.mark.parametrize("kind", CONNECTED)
def test_a_full_backlog_is_told_from_silence(ground, kind):
    with socket.socket(socket.AF_UNIX, TYPES[kind]) as server:
        server.bind(str(ground / "x.sock"))
        server.listen(0)
        os.chmod(ground / "x.sock", 0o666)
        waiting = []
        with pytest.raises(BlockingIOError):
            while True:
                waiting.append(socket.socket(socket.AF_UNIX, TYPES[kind]))
                waiting[-1].setblocking(False)
                waiting[-1].connect(str(ground / "x.sock"))
        begin = time.monotonic()
        facts = wrong(UNREACHABLE, "backlog-full", "--timeout=300ms", ground / "x.sock")
        assert "within 300 ms" in facts["message"]
        assert 0.3 <= time.monotonic() - begin < PATIENCE


def test_a_socket_that_takes_from_one_peer_alone_is_said(ground):
    with open_door(DGRAM, ground / "x.sock") as server, listening(DGRAM) as other:
        server.connect(other.getsockname())
        facts = wrong(REFUSED, "connect-forbidden", ground / "x.sock")
        assert "connected to another one" in facts["advice"]


def unused_port(kind):
    with socket.socket(socket.AF_INET, kind) as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


@pytest.mark.parametrize("scheme,kind", [("tcp", STREAM), ("udp", DGRAM)])
def test_a_port_that_nobody_listens_at_is_said(scheme, kind):
    facts = wrong(UNREACHABLE, "nobody-listening", f"{scheme}:127.0.0.1:{unused_port(TYPES[kind])}")
    assert f"--{scheme}" in facts["advice"]


@as_root
@pytest.mark.parametrize("scheme", ["tcp", "udp"])
def test_a_network_that_there_is_no_way_to_is_said(scheme):
    wrong(UNREACHABLE, "unreachable", f"{scheme}:192.0.2.1:7", prefix=["unshare", "--net", *ordinary()])


def test_an_address_of_no_single_machine_is_said():
    wrong(REFUSED, "connect-forbidden", "udp:127.255.255.255:7")


def test_a_connection_that_nobody_takes_up_is_said():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        with socket.create_connection(server.getsockname()):
            wrong(UNREACHABLE, "connect-timeout", "--timeout=300ms", f"tcp:127.0.0.1:{server.getsockname()[1]}")


def test_a_vsock_that_cannot_be_had_is_said():
    with contextlib.suppress(OSError):
        with socket.socket(socket.AF_VSOCK) as client:
            client.settimeout(0.3)
            client.connect((1, 4711))
            pytest.skip("somebody listens there")
    status, facts = check("--timeout=300ms", "vsock:1:4711")
    # Which one it is depends on the modules that the kernel has loaded.
    assert (status, facts["type"]) == (UNREACHABLE, STREAM)
    assert facts["cause"] in ("nobody-listening", "connect-timeout", "unreachable", "not-supported")


# --- The reply. -------------------------------------------------------------------------------------------------


def guarded(daemon, ground, tmp_path, kind, uid):
    """The path of a service that admits the user with this uid."""
    (tmp_path / "policy").write_text(f"allow user {uid}\n")
    server = open_door(kind, ground / "x.sock")
    server.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)  # as PassCredentials=yes does
    daemon([server], f"--policy={tmp_path / 'policy'}", names=["auth"])
    return ground / "x.sock"


@pytest.mark.parametrize("kind", ALL)
def test_a_refusal_by_policy_is_told_from_one_by_permissions(daemon, ground, tmp_path, kind):
    facts = wrong(REFUSED, "refused-by-policy", guarded(daemon, ground, tmp_path, kind, 4294967294))
    assert "uds-echo whoami /run/uds-whoami/stream.sock" in facts["advice"]
    assert f"journalctl UDS_VERDICT=deny UDS_PEER_UID={visitor()[1]}" in facts["advice"]
    assert "The service has admitted you" not in " ".join(steps(facts))


@pytest.mark.parametrize("kind", ALL)
def test_silence_is_said_after_the_timeout(ground, kind):
    with open_door(kind, ground / "x.sock"):
        begin = time.monotonic()
        facts = wrong(WRONG, "no-answer", "--timeout=300ms", ground / "x.sock")
        assert 0.3 <= time.monotonic() - begin < PATIENCE
        assert "within 300 ms" in facts["message"]
        assert facts["type"] == kind


def test_half_an_answer_is_none(ground):
    with serving(open_door(STREAM, ground / "x.sock"), lambda message: message[:5]):
        wrong(WRONG, "closed", ground / "x.sock")


@pytest.mark.parametrize("kind", ALL)
def test_an_answer_that_is_not_the_echo_is_wrong(ground, kind):
    with serving(open_door(kind, ground / "x.sock"), lambda message: message[:-2] + b"!\n"):
        wrong(WRONG, "wrong-answer", ground / "x.sock")


@pytest.mark.parametrize("kind", CONNECTED)
def test_an_end_without_an_answer_is_said(ground, kind):
    with serving(open_door(kind, ground / "x.sock"), lambda message: None):
        wrong(WRONG, "closed", ground / "x.sock")


# --- The command line, and what it looks like. ------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [
    ["one", "two"], ["--unknown"], ["--type=pigeon", "x"], ["--timeout=0", "x"], ["--timeout"], ["tcp:no-port"],
    ["--type=stream", "udp:127.0.0.1:7"], [""], ["@"], ["tcp:name.invalid:7"], ["x" * 109],
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


# --- With systemd: which unit it is, and how that is. -----------------------------------------------------------

STREAM_SOCKET = "/run/uds-echo/stream.sock"
MEMBER = "uds-echo"


def unit(state, service="uds-echo.service", name="uds-echo.socket", manager="system", sub=None):
    return {"name": name, "manager": manager, "state": state, "sub_state": sub or state, "service": service}


@systemd
def test_a_unit_that_is_inactive_is_named_and_not_started(units):
    shutil.rmtree(units.directory, ignore_errors=True)
    facts = wrong(UNREACHABLE, "no-directory")
    assert facts["socket"] == STREAM_SOCKET, "the default"
    assert facts["unit"] == unit("inactive", sub="dead")
    assert "uds-echo.socket is to listen there, but is inactive." in facts["advice"]
    assert "systemctl start uds-echo.socket" in facts["advice"].splitlines()
    assert units.state(units.socket) == "inactive"
    units.directory.mkdir()
    assert wrong(UNREACHABLE, "no-file", "/var/run/uds-echo//dgram.sock")["unit"] == unit("inactive", sub="dead")
    open_door(STREAM, STREAM_SOCKET).close()
    facts = wrong(UNREACHABLE, "nobody-listening")
    assert "systemctl start uds-echo.socket" in facts["advice"].splitlines()


@systemd
@pytest.mark.parametrize("kind", ALL)
def test_a_unit_that_is_well_is_named(units, kind, monkeypatch):
    units.systemctl("start", units.socket)
    facts = well(units.path(kind), prefix=ordinary(MEMBER))
    assert facts["unit"] == unit("active", sub="listening")
    assert "uds-echo.socket owns it, and is active" in steps(facts)
    monkeypatch.chdir("/run/systemd")
    assert well(f"../uds-echo/{kind}.sock", prefix=ordinary(MEMBER))["unit"] == unit("active", sub="running")


@systemd
def test_the_round_trip_that_started_the_service_is_told_apart(units):
    units.systemctl("start", units.socket)
    first, second = (say(prefix=ordinary(MEMBER)).stdout.splitlines()[-1] for _ in range(2))
    usual = r"All is well: stream socket of uds-echo\.socket, round trip \S+ \S+"
    assert re.fullmatch(usual + " with the start of the service", first)
    assert re.fullmatch(usual, second)


@systemd
def test_who_is_not_in_the_group_is_told_to_join_and_then_to_log_in(units, request):
    name = "check-joiner"
    run("useradd", "--system", "--user-group", name)
    request.addfinalizer(lambda: run("userdel", name))
    units.systemctl("start", units.socket)
    before = ["setpriv", f"--reuid={name}", f"--regid={name}"]
    facts = wrong(REFUSED, "file-forbidden", prefix=[*before, "--clear-groups"])
    assert "owner root, group uds-echo, mode 0660" in facts["message"]
    assert f"you are {name} (uid {pwd.getpwnam(name).pw_uid}), in the group {name}." in facts["message"]
    assert f"usermod --append --groups uds-echo {name}" in facts["advice"].splitlines()
    assert "uds-echo.socket decides: SocketUser=, SocketGroup= and SocketMode= in it." in facts["advice"]
    run("usermod", "--append", "--groups", "uds-echo", name)
    facts = wrong(REFUSED, "file-forbidden", prefix=[*before, "--clear-groups"])
    assert "newgrp uds-echo" in facts["advice"].splitlines()
    well(prefix=[*before, "--init-groups"])


@systemd
def test_a_unit_that_has_failed_is_named_with_the_way_out(units):
    units.override(units.socket, "[Socket]\nExecStartPre=/bin/false\n")
    run("systemctl", "start", units.socket)
    assert units.state(units.socket) == "failed"
    facts = wrong(UNREACHABLE, "no-file")
    assert facts["unit"] == unit("failed")
    lines = facts["advice"].splitlines()
    assert "systemctl status uds-echo.socket uds-echo.service" in lines
    assert "systemctl reset-failed uds-echo.socket uds-echo.service" in lines
    (units.directory.parent / f"systemd/system/{units.socket}.d/test.conf").unlink()
    units.systemctl("daemon-reload")
    for line in lines:
        if line.startswith("systemctl "):
            run(*line.split())
    well(prefix=ordinary(MEMBER))


@systemd
@pytest.mark.parametrize("replace", [False, True])
def test_a_socket_that_was_removed_behind_its_unit_is_said_with_the_way_back(units, replace):
    units.systemctl("start", units.socket)
    well(prefix=ordinary(MEMBER))
    os.unlink(STREAM_SOCKET)
    if replace:
        open_door(STREAM, STREAM_SOCKET).close()
    facts = wrong(UNREACHABLE, "nobody-listening" if replace else "no-file")
    assert "uds-echo.socket is active, but its socket is no longer there" in facts["advice"]
    for line in facts["advice"].splitlines():
        if line.startswith("systemctl "):
            assert run(*line.split()).returncode == 0, line
    well(prefix=ordinary(MEMBER))


@systemd
def test_a_path_that_no_unit_has_is_said_to_be_so(ground):
    facts = wrong(UNREACHABLE, "no-file", ground / "x.sock")
    assert facts["unit"] is None
    assert "No .socket unit that systemd knows listens there." in facts["advice"]


@systemd
def test_an_abstract_name_leads_to_its_unit(units, request):
    path = Path("/run/systemd/system/hidden.socket")
    path.write_text("[Socket]\nListenDatagram=@hidden-echo\nService=uds-echo@hidden.service\n")
    request.addfinalizer(lambda: (run("systemctl", "stop", "hidden.socket", "uds-echo@hidden.service"), path.unlink(),
                                  run("systemctl", "daemon-reload")))
    units.systemctl("daemon-reload")
    facts = wrong(UNREACHABLE, "no-name", "@hidden-echo")
    assert "systemctl start hidden.socket" in facts["advice"].splitlines()
    units.systemctl("start", "hidden.socket")
    assert well("@hidden-echo")["unit"] == unit("active", "uds-echo@hidden.service", "hidden.socket", sub="listening")


@systemd
def test_a_unit_of_the_user_is_asked_for_from_the_users_manager(units, request):
    user = "check-owner"
    run("useradd", "--create-home", user)
    uid = pwd.getpwnam(user).pw_uid
    units.systemctl("start", f"user@{uid}.service")
    request.addfinalizer(lambda: run("systemctl", "stop", f"user@{uid}.service"))
    prefix = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]
    runtime = f"/run/user/{uid}"
    path = f"{runtime}/uds-echo/stream.sock"
    facts = wrong(UNREACHABLE, "no-directory", path, prefix=prefix, XDG_RUNTIME_DIR=runtime)
    assert facts["unit"] == unit("inactive", manager="user", sub="dead")
    assert "To start it:\nsystemctl --user start uds-echo.socket" in facts["advice"]

    def systemctl(*arguments):
        return run(*prefix, "systemctl", "--user", *arguments, env={**os.environ, "XDG_RUNTIME_DIR": runtime})

    assert systemctl("is-active", "uds-echo.socket", "dbus.service").stdout.split() == ["inactive"] * 2, "by asking"
    assert systemctl("start", "uds-echo.socket").returncode == 0
    facts = well(path, prefix=prefix, XDG_RUNTIME_DIR=runtime)
    assert facts["unit"] == unit("active", manager="user", sub="listening")
    facts = wrong(REFUSED, "directory-forbidden", path)
    assert facts["message"].startswith(f"You may not enter the directory {runtime}: ")


@systemd
def test_a_service_that_hangs_is_named(units):
    units.systemctl("start", units.socket)
    well(prefix=ordinary(MEMBER))
    run("systemctl", "kill", "--signal=STOP", units.service)
    facts = wrong(WRONG, "no-answer", "--timeout=300ms", prefix=ordinary(MEMBER))
    run("systemctl", "kill", "--signal=CONT", units.service)
    assert "systemctl status uds-echo.socket uds-echo.service" in facts["advice"].splitlines()


@systemd
def test_the_journal_has_the_refusal_that_the_advice_points_to(units):
    auth = Units("uds-auth")
    auth.start()
    try:
        begin = time.time()
        facts = wrong(REFUSED, "refused-by-policy", auth.path(SEQPACKET))
        command = next(line for line in facts["advice"].splitlines() if line.startswith("journalctl "))

        def found():
            run("journalctl", "--sync")
            return run(*command.split(), f"--since=@{begin:.6f}", "--output=cat").stdout

        # The service writes it when its client may have been told already.
        assert eventually(lambda: f"Refused uid {visitor()[1]}" in found()), found()
    finally:
        auth.stop()


@systemd
def test_the_mirror_is_no_echo_service(units):
    mirror = Units("uds-whoami")
    mirror.systemctl("start", mirror.socket)
    try:
        facts = wrong(WRONG, "wrong-answer", mirror.path(STREAM))
        assert facts["unit"]["name"] == "uds-whoami.socket"
        assert "uds-echo whoami" in facts["advice"]
    finally:
        run("systemctl", "stop", mirror.socket, "uds-auth.service", "uds-whoami.service")


@systemd
def test_a_kind_of_socket_that_a_sandbox_forbids_is_said():
    done = run("systemd-run", "--quiet", "--wait", "--pipe", "--collect", "--property=DynamicUser=yes",
               "--property=RestrictAddressFamilies=AF_UNIX AF_NETLINK", CLIENT, "check", "--json",
               "tcp:127.0.0.1:7")
    facts = json.loads(done.stdout)
    assert (done.returncode, facts["cause"]) == (UNREACHABLE, "not-supported")


def test_without_a_system_to_ask_nothing_is_said_of_units(ground):
    facts = wrong(UNREACHABLE, "no-file", ground / "x.sock", DBUS_SYSTEM_BUS_ADDRESS=f"unix:path={ground}/no-bus")
    assert facts["unit"] is None
    assert "systemd knows" not in facts["advice"]
