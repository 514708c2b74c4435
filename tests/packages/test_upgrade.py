# SPDX-License-Identifier: MIT
"""What an upgrade leaves as it was: connections, and whatever the administrator has decided."""

import json
import time

import pytest

SYSTEM = "/etc/systemd/system"
DURATION = 20  # seconds that a load takes; an upgrade is to be over by then
RATE = 2000
CONNECTIONS = 32
LOAD = (f"uds-echo bench --json --rounds=1 --duration={DURATION}s --rate={RATE} --connections={CONNECTIONS} --sizes=1K "
        f"--timeout={DURATION}s")


def test_an_upgrade_under_load_keeps_connections(outdated, packages):
    sockets = {"stream": "echo/stream", "seqpacket": "echo/seqpacket", "datagram": "echo/dgram", "auth": "auth/stream"}
    outdated.run("systemctl start uds-echo.socket uds-auth.socket")
    began = time.monotonic()
    for name, path in sockets.items():
        outdated.start(name, f"{LOAD} /run/uds-{path}.sock")
    outdated.run("sleep 1; systemctl is-active uds-echo.service uds-auth.service")
    before = [outdated.main_process(service) for service in ("uds-echo.service", "uds-auth.service")]

    outdated.install(*packages)

    after = [outdated.main_process(service) for service in ("uds-echo.service", "uds-auth.service")]
    assert 0 not in after and not set(before) & set(after)
    assert outdated.is_program_of_now("uds-echo.service") and outdated.is_program_of_now("uds-auth.service")
    assert time.monotonic() - began < DURATION - 1, "the load was over before the upgrade"
    for name in sockets:
        status, said = outdated.end(name)
        assert (name, status) == (name, 0), said
        found = json.loads(said)["points"][0]["results"][0]
        assert found["unsent"] == 0 and abs(found["messages"] - RATE * DURATION) <= CONNECTIONS, said


def test_an_upgrade_starts_nothing_that_did_not_run(outdated, packages):
    outdated.run("systemctl enable uds-auth.socket && systemctl start uds-echo.socket")
    outdated.install(*packages)
    active = outdated.run("systemctl list-units --no-legend --plain --state=active 'uds-*'")
    assert [line.split()[0] for line in active.splitlines()] == ["uds-echo.socket"]
    assert outdated.run("systemctl is-enabled uds-auth.socket uds-echo.socket || true").split() == [
        "enabled", "disabled"]


def test_an_upgrade_restarts_the_services_of_sockets_of_ones_own(outdated, packages):
    outdated.run(f"printf '[Socket]\nListenStream=/run/my-echo.sock\nService=uds-echo@my-echo.service\n' "
                 f">{SYSTEM}/my-echo.socket && systemctl daemon-reload && systemctl start my-echo.socket")
    count = 20 * DURATION
    ping = f"uds-echo ping --json --interval=50ms --count={count} --timeout={DURATION}s"
    outdated.start("ping", f"{ping} /run/my-echo.sock")
    outdated.run("sleep 1")
    outdated.install(*packages)
    assert outdated.is_program_of_now("uds-echo@my-echo.service")
    assert outdated.is_running("ping")
    status, said = outdated.end("ping")
    assert (status, json.loads(said)["checked"]) == (0, count), said


def test_an_upgrade_brings_a_new_policy_if_nobody_has_edited_it(outdated, packages):
    assert "# Of version" in outdated.run("cat /etc/uds-echo/policy")
    outdated.install(*packages)
    assert "# Of version" not in outdated.run("cat /etc/uds-echo/policy")


def test_an_edited_policy_survives_and_stays_in_force(outdated, packages):
    outdated.run("echo 'allow user daemon' >/etc/uds-echo/policy && systemctl start uds-auth.socket")
    outdated.install(*packages, options="--option=Dpkg::Options::=--force-confold")
    assert outdated.run("cat /etc/uds-echo/policy") == "allow user daemon"
    assert "allow group uds-echo" in outdated.run("cat /etc/uds-echo/policy.dpkg-dist")
    check = "uds-echo check /run/uds-auth/stream.sock"
    outdated.run(f"setpriv --reuid=daemon --regid=daemon --clear-groups {check}")
    assert outdated.status(check)[0] == 2


def test_a_masked_unit_stays_masked_and_hinders_no_other(outdated, packages):
    outdated.run("systemctl mask uds-auth.socket uds-auth.service && systemctl start uds-echo.socket")
    outdated.run("uds-echo ping -c 1")
    outdated.install(*packages)
    for unit in ("uds-auth.socket", "uds-auth.service"):
        assert outdated.run(f"readlink {SYSTEM}/{unit}") == "/dev/null"
    assert outdated.is_program_of_now("uds-echo.service")


def test_units_that_are_overridden_stay_so_and_outlive_a_purge(outdated, packages):
    outdated.run(f"mkdir {SYSTEM}/uds-echo.socket.d && printf '[Socket]\nSocketMode=0606\n' "
                 f">{SYSTEM}/uds-echo.socket.d/override.conf")
    outdated.run(f"sed 's/^ExecStart=.*/& --log-level=debug/' /lib/systemd/system/uds-echo.service "
                 f">{SYSTEM}/uds-echo.service && systemctl daemon-reload && systemctl start uds-echo.socket")
    outdated.run("uds-echo ping -c 1")
    outdated.install(*packages)
    assert outdated.run("stat --format=%a /run/uds-echo/stream.sock") == "606"
    assert outdated.property("uds-echo.service", "FragmentPath") == f"{SYSTEM}/uds-echo.service"
    assert outdated.is_program_of_now("uds-echo.service")
    arguments = outdated.run(f"tr '\\0' ' ' </proc/{outdated.main_process('uds-echo.service')}/cmdline")
    assert "--log-level=debug" in arguments
    outdated.purge()
    outdated.run(f"[ -e {SYSTEM}/uds-echo.service ] && [ -e {SYSTEM}/uds-echo.socket.d/override.conf ]")


@pytest.mark.parametrize("lost_by", ["groupdel uds-echo", "groupdel uds-echo; rm -r /var/lib/uds-echo"])
def test_a_group_that_was_lost_comes_back(outdated, packages, lost_by):
    outdated.run(lost_by)
    assert outdated.status("systemctl start uds-echo.socket")[0] != 0
    outdated.install(*packages)
    outdated.run("systemctl start uds-echo.socket && uds-echo ping -c 1")
