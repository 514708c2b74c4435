# SPDX-License-Identifier: MIT
"""Who comes in: the installed services under a real systemd, with real users, groups and units."""

import grp
import os
import pwd
import signal
import socket
import sys
import time
from pathlib import Path

import pytest
from doors import (CLIENTS, EVERYWHERE_DENIED, EVERYWHERE_WELCOME, GATE_GROUP, POLICY, VISITOR, Sleepers, answer_to,
                   as_user, auth, connect_and_die, connect_and_die_all, in_unit, users, visit)  # noqa: F401
from uds import ALL, DGRAM, STREAM, connect, eventually, listening, run

pytestmark = pytest.mark.systemd


# --- Users and groups. ------------------------------------------------------------------------------------------


def test_root_and_a_listed_user_and_a_listed_number_are_welcome(auth, users):
    auth.begin("allow user root", "allow user alice", f"allow user {users['bob']}")
    assert visit() == EVERYWHERE_WELCOME
    assert visit(*as_user("alice")) == EVERYWHERE_WELCOME
    assert visit(*as_user("bob")) == EVERYWHERE_WELCOME
    assert visit(*as_user("mallory")) == EVERYWHERE_DENIED


def test_the_packaged_policy_admits_root_and_the_group(auth):
    auth.start()
    assert visit() == EVERYWHERE_WELCOME
    assert visit(*as_user("alice", "uds-echo")) == EVERYWHERE_WELCOME
    assert visit(*as_user("alice")) == EVERYWHERE_DENIED


def test_groups_are_those_of_the_process(auth):
    auth.begin(f"allow group {GATE_GROUP}")
    assert visit(*as_user("alice", GATE_GROUP)) == EVERYWHERE_WELCOME, "a supplementary group"
    assert visit(*as_user("alice", gid=GATE_GROUP)) == EVERYWHERE_WELCOME, "the primary group"
    assert visit("setpriv", "--reuid=bob", "--regid=bob", "--init-groups") == EVERYWHERE_WELCOME
    assert visit(*as_user("alice")) == EVERYWHERE_DENIED


def test_groups_are_not_those_of_the_user_database(auth):
    auth.begin(f"allow group {GATE_GROUP}")
    assert "bob" in grp.getgrnam(GATE_GROUP).gr_mem
    assert visit(*as_user("bob")) == EVERYWHERE_DENIED, "started before he was in the group, as it were"


def test_a_process_that_changes_its_group_is_seen_as_it_is_then(auth):
    """newgrp(1) and the like."""
    auth.begin(f"allow group {grp.getgrnam(GATE_GROUP).gr_gid}")
    child = os.fork()
    if child == 0:
        status = 99
        try:
            uid, gid, other = pwd.getpwnam("alice").pw_uid, pwd.getpwnam("alice").pw_gid, grp.getgrnam(GATE_GROUP).gr_gid
            os.setgroups([])
            os.setresgid(gid, other, gid)
            os.setegid(other)
            welcome = connect(STREAM, auth.path(STREAM)).recv(8)
            os.setegid(gid)
            denied = connect(STREAM, auth.path(STREAM)).recv(8)
            os.setresuid(uid, uid, uid)
            status = 0 if (welcome, denied) == (b"Welcome\n", b"Access d") else 1
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_the_first_rule_that_matches_decides(auth, users):
    auth.begin("deny user mallory", f"allow group {GATE_GROUP}")
    assert visit(*as_user("mallory", GATE_GROUP)) == EVERYWHERE_DENIED
    assert visit(*as_user("alice", GATE_GROUP)) == EVERYWHERE_WELCOME


def test_root_of_a_user_namespace_is_who_it_is_outside(auth, users):
    auth.begin("allow user root", "allow group root")
    namespace = ["unshare", "--user", "--map-root-user"]
    assert visit(*as_user("mallory"), *namespace) == EVERYWHERE_DENIED
    auth.policy("deny user root", "allow user mallory")
    auth.systemctl("reload", auth.service)
    assert eventually(lambda: visit(*as_user("mallory"), *namespace) == EVERYWHERE_WELCOME)


def test_a_forged_credential_is_refused_by_the_kernel_and_the_service_goes_on(auth, users):
    auth.begin("allow user root")
    script = ("import os, socket, struct, sys\n"
              "client = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); client.bind(''); client.settimeout(10)\n"
              "client.connect(sys.argv[1])\n"
              "ids = struct.pack('3i', os.getpid(), int(sys.argv[2]), int(sys.argv[2]))\n"
              "try:\n"
              "    client.sendmsg([b'let me in'], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, ids)])\n"
              "    print(client.recv(100))\n"
              "except PermissionError:\n"
              "    print('refused by the kernel')\n")

    def forge(uid, *prefix):
        return run(*prefix, sys.executable, "-c", script, auth.path(DGRAM), str(uid)).stdout.strip()

    assert forge(0, *as_user("mallory")) == "refused by the kernel"
    assert forge(users["mallory"]) == repr(b"Access denied\n"), "root may speak for another"
    assert forge(0) == repr(b"let me in")
    assert visit() == EVERYWHERE_WELCOME


# --- Units. -----------------------------------------------------------------------------------------------------


def test_a_service_with_a_dynamic_user_is_known_by_its_unit(auth):
    auth.begin("allow unit trusted.service")
    assert visit(*in_unit("DynamicUser=yes", unit="trusted.service")) == EVERYWHERE_WELCOME
    assert visit(*in_unit("DynamicUser=yes", unit="other.service")) == EVERYWHERE_DENIED
    assert visit() == EVERYWHERE_DENIED, "the same binary outside of any unit"


def test_template_instances_and_patterns_match(auth, request):
    unit = Path("/run/systemd/system/knock@.service")
    outcome = Path("/run/knock-a.txt")
    unit.write_text(f"[Service]\nType=oneshot\nDynamicUser=yes\nExecStart={' '.join(VISITOR)}\n"
                    "StandardOutput=truncate:/run/knock-%i.txt\n")
    request.addfinalizer(lambda: (unit.unlink(), run("systemctl", "daemon-reload")))
    auth.systemctl("daemon-reload")

    def knock():
        auth.systemctl("start", "knock@a.service")
        return dict(line.split("=", 1) for line in outcome.read_text().splitlines())

    for rules, expected in ((["allow unit knock@a.service"], EVERYWHERE_WELCOME),
                            (["allow unit knock@*.service"], EVERYWHERE_WELCOME),
                            (["deny unit knock@a.service", "allow unit knock@*.service"], EVERYWHERE_DENIED),
                            (["allow unit knock@b.service", "allow unit knock@.service"], EVERYWHERE_DENIED),
                            (["allow unit [a-k]nock@?.service"], EVERYWHERE_WELCOME)):
        auth.begin(*rules)
        assert knock() == expected, rules


def test_supplementary_groups_of_a_dynamic_user_count(auth):
    auth.begin(f"allow group {GATE_GROUP}")
    assert visit(*in_unit("DynamicUser=yes", f"SupplementaryGroups={GATE_GROUP}")) == EVERYWHERE_WELCOME
    assert visit(*in_unit("DynamicUser=yes")) == EVERYWHERE_DENIED


def test_a_user_cannot_choose_the_unit_that_it_is_in(auth, users):
    uid = users["mallory"]
    auth.begin("allow unit trusted.service")
    auth.systemctl("start", f"user@{uid}.service")
    try:
        runtime = Path(f"/run/user/{uid}")
        units = runtime / "systemd/user"
        outcome = runtime / "outcome"
        run(*as_user("mallory"), "mkdir", "--parents", str(units))
        (units / "trusted.service").write_text(
            f"[Service]\nType=oneshot\nExecStart={' '.join(VISITOR)}\nStandardOutput=truncate:{outcome}\n")
        done = run(*as_user("mallory"), "env", f"XDG_RUNTIME_DIR={runtime}", "systemctl", "--user", "start",
                   "trusted.service")
        assert done.returncode == 0, done.stderr
        assert dict(line.split("=", 1) for line in outcome.read_text().splitlines()) == EVERYWHERE_DENIED
    finally:
        auth.systemctl("stop", f"user@{uid}.service")


@pytest.mark.parametrize("kind", ALL)
def test_a_client_that_is_gone_is_judged_by_what_needs_no_process(auth, kind):
    gate = grp.getgrnam(GATE_GROUP).gr_gid
    auth.begin("allow unit *", f"allow group {gate}")
    for _ in range(50):
        client, _ = connect_and_die(kind, auth.path(kind))
        assert answer_to(client, kind) == b"Access d"
    auth.policy("allow unit *", "allow user 0")
    auth.systemctl("restart", auth.service)
    expected = b"of a pro" if kind == DGRAM else b"Welcome\n"
    for _ in range(50):
        client, _ = connect_and_die(kind, auth.path(kind))
        assert answer_to(client, kind) == expected


@pytest.mark.plain
@pytest.mark.parametrize("kind, connections", [(STREAM, 10_000), (DGRAM, 1_000)])
def test_a_pid_that_is_used_again_gives_nobody_another_identity(auth, request, kind, connections):
    """Clients of no unit connect, exit, and their pids go to processes of a trusted unit before the service looks."""
    auth.begin("allow unit trusted.service")
    run("systemd-run", "--unit=trusted.service", "--property=Delegate=yes", "sleep", "infinity")
    request.addfinalizer(lambda: run("systemctl", "stop", "trusted.service"))
    group = auth.show("trusted.service", "ControlGroup")
    # The unified hierarchy, and systemd's own beside it where there are several (cgroups(7)).
    trusted = [path for path in (Path(f"/sys/fs/cgroup{name}{group}/cgroup.procs")
                                 for name in ("", "/unified", "/systemd")) if path.exists()]

    def join_trusted():
        for path in trusted:
            path.write_text("0")

    # Who is moved there does belong there, and is let in; who is not is not.
    assert visit(kinds=[kind]) == {kind: "denied"}
    child = os.fork()
    if child == 0:
        status = 1
        try:
            join_trusted()
            status = 0 if visit(kinds=[kind]) == {kind: "welcome"} else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    sleepers = Sleepers(join_trusted)
    request.addfinalizer(sleepers.close)
    first, batch, done = 20_000, 200, 0
    while done < connections:
        pid = auth.pid()
        os.kill(pid, signal.SIGSTOP)
        try:
            clients = connect_and_die_all(kind, auth.path(kind), range(first, first + batch))
            sleepers.begin(first, batch)
            assert all(len(path.read_text().split()) > batch for path in trusted)
            os.kill(pid, signal.SIGCONT)
            for client in clients:
                assert answer_to(client, kind) == b"Access d"
                client.close()
        finally:
            os.kill(pid, signal.SIGCONT)
        sleepers.end()
        done += batch


# --- What is not mapped. ----------------------------------------------------------------------------------------


def test_who_is_not_mapped_is_nobody_and_the_service_says_so(auth, users):
    auth.policy("allow user root", f"allow user {users['alice']}", "allow group 65533")
    auth.override(auth.service, "[Service]\nPrivateUsers=yes\n")
    since = time.time()
    auth.systemctl("start", auth.socket)
    assert visit() == EVERYWHERE_WELCOME, "root is mapped"
    assert visit(*as_user("alice")) == EVERYWHERE_DENIED
    assert visit("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups") == EVERYWHERE_DENIED
    assert eventually(lambda: "Refused a uid that is not known here (gid not known, pid " in auth.journal(since))
    log = auth.journal(since)
    assert "Almost no user id is mapped here (2; is PrivateUsers= on?)" in log
    assert "such clients are refused." in log
    for entry in auth.entries(since, "UDS_VERDICT=deny"):
        assert "UDS_PEER_UID" not in entry and "UDS_PEER_GID" not in entry


def test_a_rule_on_the_number_of_who_is_not_mapped_is_a_mistake(auth):
    auth.policy("allow user root", "allow user nobody", "allow group 65534")
    done = run("/usr/libexec/uds-echod", f"--check-policy={POLICY}")
    assert done.returncode == 78
    assert done.stderr.count("can match nobody") == 2


@pytest.mark.parametrize("kind", ALL)
def test_in_a_container_with_a_wide_map_it_works(daemon, tmp_path, users, kind):
    first = 1_000_000
    Path(tmp_path).chmod(0o711)
    for directory in tmp_path.parents:
        if str(directory).startswith("/tmp/"):
            directory.chmod(0o711)
    policy = tmp_path / "policy"
    policy.write_text("allow user 1000\nallow group 50\n")
    os.chown(policy, first, first)
    server = listening(kind)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    process = daemon([server], f"--policy={policy}", names=["auth"],
                     wrap=[sys.executable, str(CLIENTS / "in_userns.py"), str(first), "65536"])

    def outcome(uid, gid, groups):
        read_end, write_end = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.setgroups(groups)
                os.setresgid(gid, gid, gid)
                os.setresuid(uid, uid, uid)
                client = connect(kind, server.getsockname())
                if kind == DGRAM:
                    client.send(b"Welcome\n")
                os.write(write_end, client.recv(8))
            finally:
                os._exit(0)
        os.close(write_end)
        os.waitpid(child, 0)
        with os.fdopen(read_end, "rb") as pipe:
            return pipe.read()

    assert outcome(first + 1000, first + 1000, []) == b"Welcome\n"
    assert outcome(first + 1001, first + 1001, [first + 50]) == b"Welcome\n"
    assert outcome(first + 1001, first + 1001, []) == b"Access d"
    assert outcome(1000, 1000, [50]) == b"Access d", "1000 outside is nobody there"
    assert "Almost no" not in process.log()
