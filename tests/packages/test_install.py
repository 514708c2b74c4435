# SPDX-License-Identifier: MIT
"""What the packages do to a clean Debian when they come, and when they go."""

import re
import subprocess

import pytest

from host import SOURCE, TOP, wait_for

SOCKETS = "uds-echo.socket uds-auth.socket uds-whoami.socket"


def fields(package, name):
    return subprocess.run(["dpkg-deb", "--field", package, name], check=True, text=True, capture_output=True).stdout


def test_the_services_need_nothing_but_systemds_library_and_the_c_library(host, services):
    needed = {entry.split()[0] for entry in fields(services, "Depends").split(",")}
    # The last is an essential package: there is no Debian without it.
    assert needed == {"libc6", "libsystemd0", "init-system-helpers"}
    simulated = host.install(services, options="--simulate")
    assert re.findall(r"(?m)^Inst (\S+)", simulated) == ["uds-echo-services"]


def test_an_installation_enables_and_starts_nothing(installed):
    assert installed.run(f"systemctl is-enabled {SOCKETS} || true").split() == ["disabled"] * 3
    assert installed.run("systemctl list-units --no-legend 'uds-*'") == ""
    assert installed.run("find /run -maxdepth 1 -name 'uds-*'") == ""
    assert installed.run("find /etc/systemd -name 'uds-*'") == ""


def test_the_autopkgtest_passes(installed):
    said = installed.run(f"cd {SOURCE}/packaging && AUTOPKGTEST_TMP=$(mktemp -d) debian/tests/services")
    assert "and nobody else" in said


def test_the_log_is_explained(installed):
    installed.run("systemctl start uds-auth.socket && uds-echo check /run/uds-auth/stream.sock")
    assert "A client was admitted" in installed.run("journalctl --sync; journalctl --catalog UDS_VERDICT=allow")


def test_a_user_has_an_echo_service_of_their_own(installed):
    installed.run("useradd --create-home alice && loginctl enable-linger alice")
    user = "setpriv --reuid=alice --regid=alice --clear-groups env XDG_RUNTIME_DIR=/run/user/$(id -u alice)"
    installed.run(wait_for("[ -S /run/user/$(id -u alice)/systemd/private ]"))
    installed.run(f"{user} systemctl --user start uds-echo.socket")
    assert installed.run(f"{user} uds-echo send /run/user/$(id -u alice)/uds-echo/stream.sock hello") == "hello"
    installed.purge()
    assert installed.status("pgrep uds-echod")[0] == 1
    assert installed.status("[ -e /run/user/$(id -u alice)/uds-echo/stream.sock ]")[0] == 1


def test_a_purge_leaves_nothing(host, previous, packages):
    before = host.files()
    host.install(*previous)
    host.run(f"systemctl enable --now {SOCKETS} && systemctl --global enable uds-echo.socket")
    host.run(f"{SOURCE}/packaging/debian/tests/services && systemctl start {SOCKETS} && uds-echo ping -c 1")
    host.install(*packages)
    assert host.files() - before
    host.purge()
    assert host.status("pgrep uds-echod")[0] == 1
    assert host.run("find /run -maxdepth 1 -name 'uds-*'") == ""
    host.run("systemctl daemon-reload")
    units = host.run("systemctl list-units --all --no-legend 'uds-*'")
    assert units == "", host.run("journalctl --sync; journalctl --output=short-precise --unit='uds-*'")
    after = host.files()
    assert {"left": sorted(after - before), "lost": sorted(before - after)} == {"left": [], "lost": []}


def test_a_removal_keeps_the_configuration_and_an_installation_takes_it_up(installed, packages):
    installed.run("echo 'allow user daemon' >/etc/uds-echo/policy && systemctl enable --now uds-echo.socket")
    installed.run("apt-get remove --yes uds-echo-services")
    assert installed.status("pgrep uds-echod")[0] == 1
    assert installed.run("cat /etc/uds-echo/policy") == "allow user daemon"
    installed.install(*packages)
    assert installed.run("cat /etc/uds-echo/policy") == "allow user daemon"
    assert installed.run("systemctl is-enabled uds-echo.socket") == "enabled"


def test_a_removal_stops_sockets_of_ones_own_even_if_a_client_waits(installed):
    for name in ("busy", "idle"):
        installed.run(f"printf '[Socket]\nListenStream=/run/{name}.sock\nService=uds-echo@{name}.service\n' "
                      f">/etc/systemd/system/{name}.socket && systemctl daemon-reload && systemctl start {name}.socket")
    installed.start("ping", "uds-echo ping --reconnect --interval=5ms /run/busy.sock")
    installed.run(wait_for("systemctl is-active uds-echo@busy.service"))
    installed.run("apt-get remove --yes uds-echo-services")
    assert installed.is_running("ping")
    assert installed.status("pgrep uds-echod")[0] == 1
    assert installed.run("systemctl is-active busy.socket idle.socket || true").split() == ["inactive"] * 2


def test_a_removal_that_fails_leaves_the_sockets_that_are_enabled_as_they_were(installed):
    installed.run("printf '[Socket]\nListenStream=/run/my.sock\nService=uds-echo@my.service\n"
                  "[Install]\nWantedBy=sockets.target\n' >/etc/systemd/system/my.socket && systemctl daemon-reload")
    installed.run("systemctl enable --now uds-echo.socket my.socket")
    installed.run("echo 'exit 1' >>/var/lib/dpkg/info/uds-echo-services.prerm")
    assert installed.status("apt-get remove --yes uds-echo-services")[0] != 0
    installed.run("uds-echo ping -c 1 && uds-echo ping -c 1 /run/my.sock")
    assert installed.run("systemctl is-active uds-auth.socket || true") == "inactive"


def test_a_group_of_the_administrators_own_is_taken_as_it_is_and_stays(host, packages):
    host.run("groupadd --gid 4242 uds-echo")
    host.install(*packages)
    host.run("systemctl start uds-echo.socket")
    assert host.run("stat --format=%g /run/uds-echo/stream.sock") == "4242"
    host.purge()
    assert host.run("getent group uds-echo").split(":")[2] == "4242"


def test_without_systemd_sysusers_the_group_is_made_by_its_next_run(host, packages):
    host.run("mv /usr/bin/systemd-sysusers /usr/bin/systemd-sysusers.away")
    host.install(*packages)
    assert host.status("getent group uds-echo")[0] != 0
    host.run("mv /usr/bin/systemd-sysusers.away /usr/bin/systemd-sysusers && systemd-sysusers")
    host.run("systemctl start uds-echo.socket && uds-echo ping -c 1")
    # Who has made it, the package cannot know.
    host.purge()
    host.run("getent group uds-echo")


@pytest.mark.parametrize("used_by", [
    "useradd alice && usermod --append --groups uds-echo alice", "useradd --gid uds-echo alice"])
def test_a_group_that_somebody_is_in_stays(installed, used_by):
    installed.run(used_by)
    installed.purge()
    installed.run("getent group uds-echo && [ ! -e /var/lib/uds-echo ]")


def stated(what):
    """The size in KiB that the documentation states."""
    text = (TOP / "docs/packages.md").read_text()
    return int(re.search(rf"\| {re.escape(what)} \| (\d+) KiB \|", text)[1])


def is_about(size, expected):
    return 0.9 * expected <= size <= 1.1 * expected


def test_the_sizes_that_are_stated_are_true(packages, tmp_path):
    for package in packages:
        assert is_about(int(fields(package, "Installed-Size")), stated(f"`{fields(package, 'Package').strip()}`"))
    subprocess.run(["dpkg-deb", "--extract", packages[0], tmp_path], check=True)
    daemon = (tmp_path / "usr/libexec/uds-echod").stat().st_size / 1024
    assert is_about(daemon, stated("the daemon in it"))
    assert daemon < 150
