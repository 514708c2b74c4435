# SPDX-License-Identifier: MIT
"""Who comes in: the installed services under a real systemd, with real users, groups and units."""

import ctypes
import grp
import os
import pwd
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from uds import (ALL, CONNECTED, DGRAM, PATIENCE, STREAM, connect, echoes, eventually, listening, open_socket,
                 receive_exactly, run, Units)

pytestmark = pytest.mark.systemd

CLIENTS = Path(__file__).parent / "clients"
POLICY = Path("/etc/uds-echo/policy")
VISITOR = ["/usr/bin/python3", str(CLIENTS / "visitor.py"), "/run/uds-auth"]
GATE_GROUP = "gate-keepers"


@pytest.fixture(scope="module")
def users():
    """alice and mallory; bob, whom the user database has in GATE_GROUP."""
    run("groupadd", "--system", GATE_GROUP)
    for name in ("alice", "bob", "mallory"):
        run("useradd", "--system", "--user-group", name)
    run("usermod", "--append", "--groups", GATE_GROUP, "bob")
    return {name: pwd.getpwnam(name).pw_uid for name in ("alice", "bob", "mallory")}


class Auth(Units):
    """uds-auth, and the policy that it and uds-whoami read."""

    def __init__(self):
        super().__init__("uds-auth")
        self.packaged = POLICY.read_text()

    def policy(self, *rules):
        POLICY.write_text("".join(f"{rule}\n" for rule in rules))

    def begin(self, *rules):
        self.policy(*rules)
        self.start()

    def reset(self):
        super().reset()
        run("systemctl", "stop", "uds-whoami.socket", "uds-whoami.service")
        run("systemctl", "reset-failed", "uds-whoami.socket", "uds-whoami.service")


@pytest.fixture
def auth(users):
    auth = Auth()
    auth.reset()
    yield auth
    POLICY.write_text(auth.packaged)
    auth.reset()


def visit(*prefix, kinds=()):
    """What a visitor hears that PREFIX starts: {"stream": "welcome", …}."""
    done = run(*prefix, *VISITOR, *kinds)
    assert done.returncode == 0, done.stderr
    return dict(line.split("=", 1) for line in done.stdout.splitlines())


EVERYWHERE_WELCOME = {kind: "welcome" for kind in ALL}
EVERYWHERE_DENIED = {kind: "denied" for kind in ALL}


def as_user(name, *groups, gid=None):
    """The prefix to be NAME with these groups and no others."""
    return ["setpriv", f"--reuid={name}", f"--regid={name if gid is None else gid}",
            f"--groups={','.join(groups)}" if groups else "--clear-groups"]


def in_unit(*properties, unit=None):
    """The prefix to be in a transient service."""
    return ["systemd-run", "--quiet", "--wait", "--pipe", "--collect", *([f"--unit={unit}"] if unit else []),
            *(f"--property={entry}" for entry in properties)]


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


def connect_and_die(kind, path, number=None):
    """A connection, or a datagram's socket, of a process that is gone, and its pid."""
    client = open_socket(kind)
    client.settimeout(None)
    child = fork(number)
    if child == 0:
        status = 1
        try:
            client.connect(path)
            if kind == DGRAM:
                client.send(b"of a process that is gone")
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    client.settimeout(PATIENCE)
    return client, child


class CloneArguments(ctypes.Structure):
    """struct clone_args of clone(2)."""

    _fields_ = [(name, ctypes.c_uint64) for name in (
        "flags", "pidfd", "child_tid", "parent_tid", "exit_signal", "stack", "stack_size", "tls", "set_tid",
        "set_tid_size")]


def fork(number=None):
    """fork(2), on request with that pid (set_tid of clone(2))."""
    if number is None:
        return os.fork()
    wanted = (ctypes.c_int * 1)(number)
    arguments = CloneArguments(exit_signal=signal.SIGCHLD, set_tid=ctypes.addressof(wanted), set_tid_size=1)
    libc = ctypes.CDLL(None, use_errno=True)
    pid = libc.syscall(435, ctypes.byref(arguments), ctypes.sizeof(arguments))
    assert pid >= 0, f"clone3: {os.strerror(ctypes.get_errno())}"
    return pid


def answer_to(client, kind):
    return receive_exactly(client, 8) if kind == STREAM else client.recv(100)[:8]


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
    batch, done = 200, 0
    while done < connections:
        pid = auth.pid()
        os.kill(pid, signal.SIGSTOP)
        clients, sleepers = [], []
        try:
            for number in range(20_000, 20_000 + batch):
                client, _ = connect_and_die(kind, auth.path(kind), number=number)
                clients.append(client)
            for number in range(20_000, 20_000 + batch):
                sleeper = fork(number)
                if sleeper == 0:
                    try:
                        join_trusted()
                        signal.pause()
                    finally:
                        os._exit(0)
                sleepers.append(sleeper)
            assert eventually(lambda: all(len(path.read_text().split()) >= batch for path in trusted))
            os.kill(pid, signal.SIGCONT)
            for client in clients:
                assert answer_to(client, kind) == b"Access d"
                client.close()
        finally:
            os.kill(pid, signal.SIGCONT)
            for sleeper in sleepers:
                os.kill(sleeper, signal.SIGKILL)
                os.waitpid(sleeper, 0)
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
    log = auth.journal(since)
    assert "Almost no user id is mapped here (2; is PrivateUsers= on?)" in log
    assert "such clients are refused." in log
    assert "Refused a uid that is not known here (gid not known, pid " in log
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


# --- Whoami. ----------------------------------------------------------------------------------------------------


@pytest.fixture
def whoami(auth):
    """whoami(prefix…): the lines that a client hears which is started so."""
    auth.policy("allow unit mirror.service", "allow user alice")
    auth.systemctl("start", "uds-whoami.socket")

    def ask(*prefix):
        return run(*prefix, "socat", "-u", "UNIX-CONNECT:/run/uds-whoami/stream.sock", "-").stdout

    return ask


def test_whoami_shows_what_the_kernel_says(auth, users, whoami):
    alice = pwd.getpwnam("alice")
    gate = grp.getgrnam(GATE_GROUP).gr_gid
    lines = whoami(*as_user("alice", GATE_GROUP)).splitlines()
    assert [line.split("=")[0] for line in lines] == ["UID", "GID", "GROUPS", "PID", "VERDICT"]
    assert lines[:3] == [f"UID={alice.pw_uid}", f"GID={alice.pw_gid}", f"GROUPS={gate}"]
    assert lines[-1] == "VERDICT=allow"
    lines = dict(line.split("=", 1) for line in whoami(*in_unit("DynamicUser=yes", unit="mirror.service")).splitlines())
    assert (lines["UNIT"], lines["VERDICT"]) == ("mirror.service", "allow")
    assert 61184 <= int(lines["UID"]) <= 65519
    assert whoami(*as_user("mallory")).endswith("\nVERDICT=deny\n")


def test_whoami_says_nothing_of_a_process_that_is_gone_but_what_the_socket_knows(auth, whoami):
    assert "PID=" in whoami()
    pid = int(auth.show("uds-whoami.service", "MainPID"))
    os.kill(pid, signal.SIGSTOP)  # it looks only when the client is gone
    try:
        client, _ = connect_and_die(STREAM, "/run/uds-whoami/stream.sock")
    finally:
        os.kill(pid, signal.SIGCONT)
    text = receive_exactly(client, 1 << 16).decode()
    assert text.startswith("UID=0\nGID=0\nGROUPS=")
    assert "PID=" not in text and "UNIT=" not in text
    assert text.endswith("\nVERDICT=deny\n")


def test_a_reload_of_auth_reloads_the_mirror(auth, whoami):
    assert whoami().endswith("VERDICT=deny\n")
    auth.systemctl("start", auth.socket)
    visit()
    auth.policy("allow user root")
    auth.systemctl("reload", auth.service)
    assert eventually(lambda: whoami().endswith("VERDICT=allow\n"))


# --- The journal. -----------------------------------------------------------------------------------------------


def test_each_decision_is_an_entry_with_fields_and_a_sentence(auth, users):
    auth.begin("# who may come in", "deny user mallory", "allow unit herald.service")
    since = time.time()
    visit(*as_user("mallory"))
    visit(*as_user("alice"), kinds=[STREAM])
    visit(*in_unit("DynamicUser=yes", unit="herald.service"), kinds=[STREAM])
    refusals = auth.entries(since, "UDS_VERDICT=deny")
    assert len(refusals) == 4
    uid, gid = pwd.getpwnam("mallory").pw_uid, pwd.getpwnam("mallory").pw_gid
    for entry in refusals[:3]:
        assert entry["UDS_PEER_UID"] == str(uid)
        assert entry["UDS_PEER_GID"] == str(gid)
        assert entry["UDS_ROLE"] == "auth"
        assert entry["UDS_POLICY_LINE"] == "2"
        assert entry["PRIORITY"] == "5"
        assert entry["MESSAGE_ID"] == "ce2db681064441c1afd4c51a7fba51ca"
        assert entry["MESSAGE"].startswith(f"Refused uid {uid} (gid {gid}, pid {entry['UDS_PEER_PID']}")
        assert entry["MESSAGE"].endswith("socket: line 2 of the policy says so.")
    assert "UDS_POLICY_LINE" not in refusals[3]
    assert refusals[3]["MESSAGE"].endswith("no line of the policy admits it.")
    (admission,) = auth.entries(since, "UDS_VERDICT=allow")
    assert admission["UDS_PEER_UNIT"] == "herald.service"
    assert admission["UDS_POLICY_LINE"] == "3"
    assert admission["PRIORITY"] == "6"


def test_the_catalog_explains_the_entries(auth, users):
    auth.begin("allow user root")
    since = time.time()
    visit(*as_user("mallory"), kinds=[STREAM])
    assert auth.entries(since, "UDS_VERDICT=deny")
    text = run("journalctl", "-x", f"--since=@{since:.6f}", "UDS_VERDICT=deny", "--no-pager").stdout
    assert f"Subject: A client was refused (uid {users['mallory']})" in text
    assert "systemctl reload uds-auth.service" in text
    for message_id in ("143f92e4d248425d829803acccfc85c5", "dac55c9dacd74dbeacd7fbe90c6a5315",
                       "6692ebf4b7c949149041fc3949e75335"):
        assert "uds-echo" in run("journalctl", "--dump-catalog", message_id).stdout


def test_a_client_cannot_fill_the_journal(auth, users):
    auth.begin("allow user alice")
    since = time.time()
    for _ in range(500):
        assert connect(STREAM, auth.path(STREAM)).recv(8) == b"Access d"
    visit(*as_user("mallory"), kinds=[STREAM])
    auth.systemctl("stop", auth.service)
    refusals = auth.entries(since, "UDS_VERDICT=deny", "UDS_PEER_UID=0")
    assert len(refusals) == 101
    assert refusals[-1]["UDS_LEFT_OUT"] == "400"
    assert len(auth.entries(since, f"UDS_PEER_UID={users['mallory']}")) == 1, "another user's is not lost in it"


# --- Reload. ----------------------------------------------------------------------------------------------------


def test_a_reload_applies_to_who_comes_after_and_throws_nobody_out(auth, users):
    auth.begin("allow user root")
    early = {kind: auth.connect(kind) for kind in CONNECTED}
    for kind, client in early.items():
        assert answer_to(client, kind) == b"Welcome\n"
    auth.policy("allow user alice")
    auth.systemctl("reload", auth.service)
    assert eventually(lambda: visit() == EVERYWHERE_DENIED)
    assert visit(*as_user("alice")) == EVERYWHERE_WELCOME
    assert all(echoes(client) for client in early.values())


def test_a_bad_policy_makes_the_reload_fail_and_changes_nothing(auth):
    auth.begin("allow user root")
    early = auth.connect(STREAM)
    assert answer_to(early, STREAM) == b"Welcome\n"
    since = time.time()
    auth.policy("allow user root", "alow user alice", "deny group no-such-group")
    done = run("systemctl", "reload", auth.service)
    assert done.returncode != 0
    log = auth.journal(since)
    assert f'{POLICY}:2: "alow" is neither allow nor deny.' in log
    assert f'{POLICY}:3: "no-such-group" is no group here.' in log
    assert "Reload failed for uds-auth.service" in log
    assert auth.state() == "active"
    assert visit() == EVERYWHERE_WELCOME
    assert echoes(early)


def test_a_client_that_waits_is_served_when_a_bad_policy_is_mended(auth):
    auth.begin("allow everybody")
    client = auth.connect(STREAM)
    client.settimeout(3)
    with pytest.raises(TimeoutError):
        client.recv(8)
    assert auth.state(auth.socket) == "active", "trying again and again does not wear the socket out"
    auth.policy("allow user root")
    client.settimeout(PATIENCE)
    assert answer_to(client, STREAM) == b"Welcome\n"


def test_a_bad_policy_at_the_start_keeps_the_door_shut(auth):
    auth.policy("allow everybody")
    since = time.time()
    auth.systemctl("start", auth.socket)
    assert run("systemctl", "start", auth.service).returncode != 0
    assert auth.show(auth.service, "ExecMainStatus") == "78"
    assert f'{POLICY}:1: "everybody" is not user, group, unit or label.' in auth.journal(since)
    for kind in CONNECTED:
        client = open_socket(kind)
        client.settimeout(1)
        try:
            client.connect(auth.path(kind))
            assert client.recv(8) == b""
        except (ConnectionError, FileNotFoundError, TimeoutError):
            pass


# --- The units. -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["uds-auth", "uds-whoami"])
def test_verify_has_nothing_to_say(auth, name):
    done = run("systemd-analyze", "verify", f"{name}.socket", f"{name}.service")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.plain  # the sanitizers need system calls that the unit forbids
@pytest.mark.parametrize("name", ["uds-auth", "uds-whoami"])
def test_the_exposure_is_small(auth, name):
    done = run("systemd-analyze", "security", "--no-pager", f"{name}.service")
    assert float(done.stdout.rsplit(": ", 1)[1].split()[0]) <= 0.6


def test_the_sockets_are_open_to_all_and_gone_after_the_stop(auth):
    auth.start()
    auth.systemctl("start", "uds-whoami.socket")
    for path in [auth.path(kind) for kind in ALL] + ["/run/uds-whoami/stream.sock"]:
        status = os.stat(path)
        assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (0, 0, 0o666)
    assert visit(*as_user("mallory")) == EVERYWHERE_DENIED
    auth.systemctl("stop", auth.socket, "uds-whoami.socket")
    assert not list(auth.directory.iterdir()) and not list(Path("/run/uds-whoami").iterdir())


def test_the_status_counts_who_was_refused(auth):
    auth.begin("allow user alice")
    visit(kinds=CONNECTED)
    assert eventually(lambda: auth.status() == "Echoing: 0 connections now, 0 messages so far; 2 refused by the policy.")
    auth.systemctl("start", "uds-whoami.socket")
    run("socat", "-u", "UNIX-CONNECT:/run/uds-whoami/stream.sock", "-")
    assert eventually(lambda: auth.show("uds-whoami.service", "StatusText") == "Telling clients who they are: 1 so far.")
