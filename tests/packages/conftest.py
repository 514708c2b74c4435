# SPDX-License-Identifier: MIT
"""The packages that are tested, those of the version before, and a clean Debian for them.

tools/test-packages makes what is needed here and calls this.
"""

import re
import subprocess

import pytest

pytest.register_assert_rewrite("host")

from host import TOP, Host  # noqa: E402

PACKAGES = TOP / "build/packages"
ROOT = TOP / "build/test-packages/root"
PREVIOUS = "0.0.9-1"


@pytest.fixture(scope="session")
def packages():
    """Those of the services and of the client, for apt-get install."""
    found = [next(PACKAGES.glob(f"{name}_*.deb")) for name in ("uds-echo-services", "uds-echo")]
    return [path.resolve() for path in found]


@pytest.fixture(scope="session")
def services(packages):
    return packages[0]


def make_previous(package, directory):
    """The package as that of an earlier version: with a lower number, and with another text in the policy."""
    tree = directory / package.stem
    subprocess.run(["dpkg-deb", "--raw-extract", package, tree], check=True)
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"(?m)^Version: .*", f"Version: {PREVIOUS}", control.read_text()))
    policy = tree / "etc/uds-echo/policy"
    if policy.exists():
        policy.write_text(f"# Of version {PREVIOUS}.\n{policy.read_text()}")
    previous = directory / f"{package.name.split('_')[0]}_{PREVIOUS}.deb"
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", tree, previous], check=True, stdout=subprocess.DEVNULL)
    return previous


@pytest.fixture(scope="session")
def previous(packages):
    """The packages of the version before. Where the source tree is, because that is seen from inside."""
    directory = TOP / "build/test-packages/previous"
    subprocess.run(["rm", "-rf", directory], check=True)
    directory.mkdir(parents=True)
    return [make_previous(package, directory) for package in packages]


@pytest.fixture
def host():
    """A clean Debian that has just booted."""
    host = Host(ROOT)
    yield host
    host.close()


@pytest.fixture
def installed(host, packages):
    """The same, with the packages installed."""
    host.install(*packages)
    return host


@pytest.fixture
def outdated(host, previous):
    """The same, with the packages of the version before."""
    host.install(*previous)
    return host
