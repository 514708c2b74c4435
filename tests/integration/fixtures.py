# SPDX-License-Identifier: MIT
"""What test modules of all directories have in common: where they can run, and the services that they talk to.

Under a real systemd (tools/machine) the sockets are those of the installed units. Elsewhere systemd-socket-activate
stands in, and tests marked "systemd" are skipped with the reason, or fail where CI is set: a test that could not run is
no success there.
"""

import contextlib
import os

import pytest
from uds import Activated, Daemon, Units, under_systemd


def pytest_configure(config):
    config.addinivalue_line("markers", "systemd: needs the units under a real systemd")
    config.addinivalue_line("markers", "plain: says something only of a build without sanitizers")
    # What fails in a thread fails the test.
    config.addinivalue_line("filterwarnings", "error::pytest.PytestUnhandledThreadExceptionWarning")


def pytest_runtest_setup(item):
    if item.get_closest_marker("systemd") and not under_systemd():
        reason = "no systemd can be booted here: " + os.environ.get("UDS_ECHO_NO_MACHINE", "tests run outside one")
        if os.environ.get("CI"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


@pytest.fixture
def service():
    """The echo service with its three sockets: service.connect("stream"), service.pid()."""
    service = Units() if under_systemd() else Activated()
    service.start()
    yield service
    service.stop()


@pytest.fixture
def units():
    """The installed units under a real systemd, stopped before and after."""
    units = Units()
    units.reset()
    yield units
    units.stop()


@pytest.fixture
def daemon():
    """daemon(sockets, *arguments): an uds-echod that is handed these sockets as systemd would do it."""
    started = []

    def start(sockets, *arguments, **more):
        process = Daemon(sockets, *arguments, **more)
        started.append(process)
        return process

    yield start
    with contextlib.ExitStack() as stack:
        for process in started:
            stack.callback(process.end)


@pytest.fixture
def eight(daemon):
    """As the fixture daemon, with eight workers."""
    return lambda sockets, *arguments, **more: daemon(sockets, *arguments, "--workers=8", **more)
