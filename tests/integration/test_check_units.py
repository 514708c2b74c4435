# SPDX-License-Identifier: MIT
"""uds-echo check, with systemd: which unit it is, and how that is."""

import contextlib
import json
import os
import pwd
import re
import shutil
import time
from pathlib import Path

import pytest
from doctor import (REFUSED, UNREACHABLE, WRONG, ground, open_door, ordinary, say, steps, systemd, visitor,
                    well, wrong)  # noqa: F401
from uds import ALL, CLIENT, SEQPACKET, STREAM, Units, connect, eventually, run

STREAM_SOCKET = "/run/uds-echo/stream.sock"
MEMBER = "uds-echo"


def found(facts):
    """The unit in the facts without the state of its service, which not every check looks at."""
    return {key: value for key, value in facts["unit"].items() if key != "service_state"}


def unit(state, service="uds-echo.service", name="uds-echo.socket", manager="system", sub=None):
    return {"name": name, "manager": manager, "state": state, "sub_state": sub or state, "service": service}


@systemd
def test_a_unit_that_is_inactive_is_named_and_not_started(units):
    shutil.rmtree(units.directory, ignore_errors=True)
    facts = wrong(UNREACHABLE, "no-directory")
    assert facts["socket"] == STREAM_SOCKET, "the default"
    assert found(facts) == unit("inactive", sub="dead")
    assert "uds-echo.socket is to listen there, but is inactive." in facts["advice"]
    assert "systemctl start uds-echo.socket" in facts["advice"].splitlines()
    assert units.state(units.socket) == "inactive"
    units.directory.mkdir()
    assert found(wrong(UNREACHABLE, "no-file", "/var/run/uds-echo//dgram.sock")) == unit("inactive", sub="dead")
    open_door(STREAM, STREAM_SOCKET).close()
    facts = wrong(UNREACHABLE, "nobody-listening")
    assert "systemctl start uds-echo.socket" in facts["advice"].splitlines()


@systemd
@pytest.mark.parametrize("kind", ALL)
def test_a_unit_that_is_well_is_named(units, kind, monkeypatch):
    units.systemctl("start", units.socket)
    facts = well(units.path(kind), prefix=ordinary(MEMBER))
    assert found(facts) == unit("active", sub="listening")
    assert "uds-echo.socket owns it, and is active" in steps(facts)
    monkeypatch.chdir("/run/systemd")
    assert found(well(f"../uds-echo/{kind}.sock", prefix=ordinary(MEMBER))) == unit("active", sub="running")


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
    assert found(facts) == unit("failed")
    lines = facts["advice"].splitlines()
    assert "systemctl status uds-echo.socket uds-echo.service" in lines
    assert "systemctl reset-failed uds-echo.socket uds-echo.service" in lines
    (units.directory.parent / f"systemd/system/{units.socket}.d/test.conf").unlink()
    units.systemctl("daemon-reload")
    for line in lines:
        if line.startswith("systemctl "):
            run(*line.split())
    well(prefix=ordinary(MEMBER))


def break_service(units, command, more=""):
    """Has the service do this instead; it never says that it is ready."""
    units.override(units.service, f"[Unit]\n{more}\n[Service]\nExecStart=\nExecStart=/bin/sh -c '{command}'\n"
                                  "Restart=no\n")


@systemd
@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("prefix", [[], None], ids=("root", "visitor"))
def test_a_service_that_fails_at_each_start_is_said_with_its_status(units, kind, prefix):
    # As the daemon does for a wrong policy: it pauses, fails, and is started again for the client that waits.
    break_service(units, "sleep 1; exit 78")
    units.systemctl("start", units.socket)
    prefix = ordinary(MEMBER) if prefix is None else prefix
    facts = wrong(UNREACHABLE, "service-failed", "--timeout=2500ms", units.path(kind), prefix=prefix)
    assert "uds-echo.service" in facts["message"] and "exit status 78" in facts["message"]
    assert facts["unit"]["service_state"]["exit_status"] == 78
    lines = facts["advice"].splitlines()
    assert "journalctl -u uds-echo.service -e" in lines
    assert "systemctl status uds-echo.socket uds-echo.service" in lines
    assert "systemctl reset-failed uds-echo.socket uds-echo.service" in lines


@systemd
def test_a_service_that_crashes_is_said_with_the_signal(units):
    units.ends.add("code=killed, status=11/SEGV")
    break_service(units, "sleep 1; kill -SEGV $$$$")
    units.systemctl("start", units.socket)
    assert "killed by signal 11 (SIGSEGV)" in wrong(UNREACHABLE, "service-failed", "--timeout=2500ms",
                                                      prefix=ordinary(MEMBER))["message"]


@systemd
def test_a_socket_that_its_service_took_down_is_said_with_the_way_back(units):
    break_service(units, "exit 78", "StartLimitBurst=3\nStartLimitIntervalSec=1min")
    units.systemctl("start", units.socket)
    with contextlib.suppress(OSError):
        connect(STREAM, STREAM_SOCKET)
    assert eventually(lambda: units.state(units.socket) == "failed")
    facts = wrong(UNREACHABLE, "no-file")
    assert "service-start-limit-hit" in facts["advice"]
    assert "uds-echo.service fails at its start" in facts["advice"] and "exit status 78" in facts["advice"]
    lines = facts["advice"].splitlines()
    assert "journalctl -u uds-echo.service -e" in lines
    (units.directory.parent / f"systemd/system/{units.service}.d/test.conf").unlink()
    units.systemctl("daemon-reload")
    for line in lines:
        if line.startswith("systemctl "):
            run(*line.split())
    well(prefix=ordinary(MEMBER))


@systemd
def test_a_socket_whose_service_already_runs_is_said_with_the_way_round(units, request):
    path = Path("/run/systemd/system/check-second.socket")
    path.write_text("[Socket]\nListenStream=/run/check-second.sock\nService=uds-echo.service\nRemoveOnStop=yes\n")
    request.addfinalizer(lambda: (run("systemctl", "stop", path.name), path.unlink(), run("systemctl", "daemon-reload")))
    units.systemctl("daemon-reload")
    units.systemctl("start", units.socket)
    well(prefix=ordinary(MEMBER))
    assert run("systemctl", "start", path.name).returncode != 0
    facts = wrong(UNREACHABLE, "no-file", "/run/check-second.sock")
    assert "already active, refusing" in facts["advice"]
    lines = facts["advice"].splitlines()
    assert lines[-2:] == ["systemctl stop uds-echo.service", "systemctl start check-second.socket"]
    for line in lines[-2:]:
        assert run(*line.split()).returncode == 0, line
    well("/run/check-second.sock", prefix=[])


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
    assert found(well("@hidden-echo")) == unit("active", "uds-echo@hidden.service", "hidden.socket", sub="listening")


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
    assert found(facts) == unit("inactive", manager="user", sub="dead")
    assert "To start it:\nsystemctl --user start uds-echo.socket" in facts["advice"]

    def systemctl(*arguments):
        return run(*prefix, "systemctl", "--user", *arguments, env={**os.environ, "XDG_RUNTIME_DIR": runtime})

    assert systemctl("is-active", "uds-echo.socket", "dbus.service").stdout.split() == ["inactive"] * 2, "by asking"
    assert systemctl("start", "uds-echo.socket").returncode == 0
    facts = well(path, prefix=prefix, XDG_RUNTIME_DIR=runtime)
    assert found(facts) == unit("active", manager="user", sub="listening")
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
