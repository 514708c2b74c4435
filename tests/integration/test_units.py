# SPDX-License-Identifier: MIT
"""The units, under a real systemd: who owns the sockets, who gets in, what starts and stops what."""

import grp
import os
import pwd
import re
import socket
import stat
import subprocess
import time
from pathlib import Path

import pytest
from uds import (ALL, CONNECTED, DGRAM, KILLED, OPTIONS, PATIENCE, STREAM, connect, echoes, eventually, fill, is_stopped,
                 open_socket, run)

pytestmark = pytest.mark.systemd


def test_verify_has_nothing_to_say(units):
    done = run("systemd-analyze", "verify", "uds-echo.socket", "uds-echo.service")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.plain  # with sanitizers the filter lets more through
def test_the_exposure_of_the_service_is_small(units):
    done = run("systemd-analyze", "security", "--no-pager", "uds-echo.service")
    exposure = float(re.search(r"exposure level for uds-echo.service: ([0-9.]+)", done.stdout).group(1))
    assert exposure <= 0.4


def test_nothing_is_enabled_or_running_after_installation(units):
    assert run("systemctl", "is-enabled", "uds-echo.socket").stdout.strip() == "disabled"
    assert units.state("uds-echo.socket") == "inactive"
    assert not units.directory.exists() or not list(units.directory.iterdir())


@pytest.mark.parametrize("kind", ALL)
def test_owner_group_and_mode_are_what_the_socket_unit_declares(units, kind):
    units.systemctl("start", "uds-echo.socket")
    status = os.stat(units.path(kind))
    assert stat.S_ISSOCK(status.st_mode)
    assert stat.S_IMODE(status.st_mode) == 0o660
    assert status.st_uid == 0
    assert status.st_gid == grp.getgrnam("uds-echo").gr_gid


@pytest.mark.parametrize("kind", ALL)
def test_the_first_client_starts_the_service(units, kind):
    units.systemctl("start", "uds-echo.socket")
    assert units.state() == "inactive"
    assert echoes(units.connect(kind))
    assert units.state() == "active"


def as_user(uid, gid, groups, action):
    """Runs action() in a child with these credentials; returns what it printed to its exit status."""
    child = os.fork()
    if child == 0:
        status = 99
        try:
            os.setgroups(groups)
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            status = action()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("kind", ALL)
def test_a_member_of_the_group_is_served_and_others_are_refused_by_the_kernel(units, kind):
    units.systemctl("start", "uds-echo.socket")
    nobody = pwd.getpwnam("nobody")
    members = grp.getgrnam("uds-echo").gr_gid
    served, refused = 10, 13

    def try_it():
        try:
            return served if echoes(units.connect(kind)) else 1
        except PermissionError:
            return refused

    assert as_user(nobody.pw_uid, nobody.pw_gid, [], try_it) == refused
    assert units.state() == "inactive", "who may not connect does not start the service either"
    assert as_user(nobody.pw_uid, nobody.pw_gid, [members], try_it) == served
    assert as_user(nobody.pw_uid, members, [], try_it) == served
    assert as_user(0, 0, [], try_it) == served


def test_the_service_runs_as_nobody_that_existed_before(units):
    units.systemctl("start", "uds-echo.socket")
    assert echoes(units.connect(STREAM))
    fields = dict(line.split(":\t", 1) for line in Path(f"/proc/{units.pid()}/status").read_text().splitlines()
                  if ":\t" in line)
    uid = int(fields["Uid"].split()[0])
    assert 61184 <= uid <= 65519, "the range of dynamic users (systemd.exec(5))"
    assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0
    assert fields["NoNewPrivs"] == "1"
    assert fields["Seccomp"] == "2"


def test_stopping_the_socket_stops_the_service_and_removes_the_files(units):
    units.systemctl("start", "uds-echo.socket")
    client = units.connect(STREAM)
    assert echoes(client)
    units.systemctl("stop", "uds-echo.socket")
    assert eventually(lambda: units.state() == "inactive")
    assert not list(units.directory.iterdir())
    assert client.recv(1) == b""
    units.systemctl("start", "uds-echo.socket")
    assert echoes(units.connect(STREAM))


@pytest.mark.parametrize("kind", ALL)
def test_a_stale_socket_file_is_no_obstacle(units, kind):
    units.directory.mkdir(exist_ok=True)
    stale = open_socket(kind, bind=units.path(kind))
    stale.close()
    units.systemctl("start", "uds-echo.socket")
    assert echoes(units.connect(kind))


def test_after_a_crash_no_client_sees_connection_refused(units):
    units.ends.add(KILLED)
    units.systemctl("start", "uds-echo.socket")
    assert echoes(units.connect(STREAM))
    for _ in range(5):
        os.kill(units.pid(), 9)
        for kind in ALL:
            assert echoes(units.connect(kind))
        assert eventually(lambda: units.state() == "active" and units.pid() > 0)
    assert units.state("uds-echo.socket") == "active"


def test_clients_that_come_while_it_crashes_are_served(units):
    units.ends.add(KILLED)
    units.systemctl("start", "uds-echo.socket")
    assert echoes(units.connect(STREAM))
    pid = units.pid()
    os.kill(pid, 19)  # SIGSTOP; once each thread has stopped, whoever connects waits in the backlog
    assert is_stopped(pid)
    waiting = [units.connect(STREAM) for _ in range(500)]
    os.kill(pid, 9)
    for client in waiting:
        assert echoes(client)


def test_a_stop_is_a_success_and_answers_what_was_sent(units):
    units.systemctl("start", "uds-echo.socket")
    client = units.connect(STREAM)
    assert echoes(client)
    sent = fill(client)
    stop = subprocess.Popen(["systemctl", "stop", "uds-echo.service"], stderr=subprocess.DEVNULL)
    received = 0
    while data := client.recv(1 << 16):
        received += len(data)
    assert received == sent
    assert stop.wait(PATIENCE) == 0
    assert units.show("uds-echo.service", "Result") == "success"
    assert units.state("uds-echo.socket") == "active"
    assert echoes(units.connect(STREAM)), "the next client starts it again"


def set_idle_time(units, span):
    command = units.show("uds-echo.service", "ExecStart")
    path = re.search(r"path=(\S+)", command).group(1)
    units.override("uds-echo.service",
                   f"[Service]\nExecStart=\nExecStart={path} {' '.join(OPTIONS)} --exit-idle-time={span}\n")


@pytest.mark.parametrize("kind", ALL)
def test_idle_it_exits_and_the_next_client_starts_it_again(units, kind):
    set_idle_time(units, "100ms")
    units.systemctl("start", "uds-echo.socket")
    for _ in range(3):
        assert echoes(units.connect(kind))
        assert eventually(lambda: units.state() == "inactive")
        assert units.show("uds-echo.service", "Result") == "success"
        assert units.state("uds-echo.socket") == "active"


def test_nothing_is_lost_around_the_moment_of_an_idle_exit(units):
    set_idle_time(units, "60ms")
    units.systemctl("start", "uds-echo.socket")
    since = time.time()
    begun = time.monotonic()
    trips = 0

    def has_left_often():
        return units.journal(since).count("being idle") > 10

    while time.monotonic() < begun + 12 or (time.monotonic() < begun + 12 + PATIENCE and not has_left_often()):
        kind = ALL[trips % 3]
        client = units.connect(kind)
        assert echoes(client, b"%d" % trips)
        client.close()
        trips += 1
        # It goes idle after 60 ms: shortly before, at, and shortly after that.
        time.sleep(0.050 + (trips % 40) * 0.0005)
    assert has_left_often(), "it hardly ever left"
    assert units.state("uds-echo.socket") == "active"


def test_status_shows_connections_and_messages(units):
    units.systemctl("start", "uds-echo.socket")
    clients = [units.connect(kind) for kind in CONNECTED]
    assert all(echoes(client) for client in clients)
    assert eventually(lambda: units.status() == "Echoing: 2 connections now, 2 messages so far.")
    for client in clients:
        client.close()
    assert eventually(lambda: units.status() == "Echoing: 0 connections now, 2 messages so far.")


def test_log_lines_carry_priorities(units):
    since = time.time()
    units.systemctl("start", "uds-echo.socket")
    nameless = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    nameless.sendto(b"x", units.path(DGRAM))
    assert eventually(lambda: "no address" in units.journal(since))
    for priority, text in (("info", "Echoing on /run/uds-echo/stream.sock (stream)."), ("notice", "no address: 1")):
        found = run("journalctl", "--unit=uds-echo.service", "--output=cat", f"--since=@{since:.6f}",
                    f"--priority={priority}..{priority}").stdout
        assert text in found


def write_unit(name, text):
    Path("/run/systemd/system", name).write_text(text)
    assert run("systemctl", "daemon-reload").returncode == 0


def test_an_own_socket_unit_is_all_that_another_path_needs(units, request):
    write_unit("my-echo.socket", """
[Socket]
ListenStream=/run/my-echo.sock
ListenSequentialPacket=@my-echo
ListenStream=127.0.0.1:7007
ListenDatagram=127.0.0.1:7007
SocketMode=0600
RemoveOnStop=yes
Service=uds-echo@my-echo.service
""")
    request.addfinalizer(lambda: (run("systemctl", "stop", "my-echo.socket"),
                                  os.unlink("/run/systemd/system/my-echo.socket")))
    units.systemctl("start", "my-echo.socket", "uds-echo.socket")
    assert run("systemctl", "is-active", "uds-echo@my-echo.service").stdout.strip() == "inactive"
    assert echoes(connect(STREAM, "/run/my-echo.sock"))
    assert echoes(connect("seqpacket", "\0my-echo"))
    with socket.create_connection(("127.0.0.1", 7007), timeout=PATIENCE) as tcp:
        assert echoes(tcp)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(PATIENCE)
        udp.connect(("127.0.0.1", 7007))
        assert echoes(udp)
    assert echoes(units.connect(STREAM)), "the packaged sockets are served beside it"
    units.systemctl("stop", "my-echo.socket")
    assert eventually(lambda: units.state("uds-echo@my-echo.service") == "inactive")
    assert not os.path.exists("/run/my-echo.sock")


def test_a_connection_each_is_served_with_accept_yes(units, request):
    libexec = re.search(r"path=(\S+)", units.show("uds-echo.service", "ExecStart")).group(1)
    write_unit("each.socket", "[Socket]\nListenStream=/run/each.sock\nAccept=yes\nRemoveOnStop=yes\n")
    write_unit("each@.service", f"[Service]\nType=notify\nExecStart={libexec}\nDynamicUser=yes\n")
    request.addfinalizer(lambda: (run("systemctl", "stop", "each.socket"),
                                  os.unlink("/run/systemd/system/each.socket"),
                                  os.unlink("/run/systemd/system/each@.service")))
    units.systemctl("start", "each.socket")
    clients = [connect(STREAM, "/run/each.sock") for _ in range(3)]
    assert all(echoes(client) for client in clients)
    assert units.show("each.socket", "NConnections") == "3"
    for client in clients:
        client.close()
    assert eventually(lambda: units.show("each.socket", "NConnections") == "0")


def test_a_socket_of_an_unknown_role_fails_closed(units, request):
    write_unit("wrong.socket", """
[Socket]
ListenStream=/run/wrong.sock
FileDescriptorName=auth
Service=uds-echo@wrong.service
""")
    request.addfinalizer(lambda: (run("systemctl", "stop", "wrong.socket"),
                                  run("systemctl", "reset-failed", "wrong.socket", "uds-echo@wrong.service"),
                                  os.unlink("/run/systemd/system/wrong.socket")))
    units.systemctl("start", "wrong.socket")
    assert run("systemctl", "start", "uds-echo@wrong.service").returncode != 0
    assert units.show("uds-echo@wrong.service", "ExecMainStatus") == "78"


def test_the_user_manager_has_the_same_pair(units):
    user = "uds-echo-tester"
    run("useradd", "--create-home", user)
    uid = pwd.getpwnam(user).pw_uid
    gid = pwd.getpwnam(user).pw_gid
    units.systemctl("start", f"user@{uid}.service")
    try:
        def systemctl(*arguments):
            done = run("runuser", "-u", user, "--", "env", f"XDG_RUNTIME_DIR=/run/user/{uid}", "systemctl",
                       "--user", *arguments)
            assert done.returncode == 0, done.stderr
            return done.stdout.strip()

        systemctl("start", "uds-echo.socket")
        for kind in ALL:
            path = f"/run/user/{uid}/uds-echo/{kind}.sock"
            status = os.stat(path)
            assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (uid, 0o600)
            assert as_user(uid, gid, [], lambda path=path, kind=kind: 0 if echoes(connect(kind, path)) else 1) == 0

        def stay():
            client = connect("stream", f"/run/user/{uid}/uds-echo/stream.sock")
            if not echoes(client):
                return 1
            run("env", f"XDG_RUNTIME_DIR=/run/user/{uid}", "systemctl", "--user", "restart", "uds-echo.service")
            return 0 if echoes(client) else 2

        assert as_user(uid, gid, [], stay) == 0, "a restart keeps connections there, too"
        assert systemctl("is-active", "uds-echo.service") == "active"
        systemctl("stop", "uds-echo.socket")
        assert not os.listdir(f"/run/user/{uid}/uds-echo")
    finally:
        units.systemctl("stop", f"user@{uid}.service")
