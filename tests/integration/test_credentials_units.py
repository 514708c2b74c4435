# SPDX-License-Identifier: MIT
"""The units of the authenticating services: reload, a policy with mistakes, and how they are installed."""

import os
import time
from pathlib import Path

import pytest
from doors import EVERYWHERE_DENIED, EVERYWHERE_WELCOME, POLICY, answer_to, as_user, auth, users, visit  # noqa: F401
from uds import ALL, CONNECTED, PATIENCE, STREAM, echoes, eventually, open_socket, run

pytestmark = pytest.mark.systemd


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
