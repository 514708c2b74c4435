# SPDX-License-Identifier: MIT
"""The laboratory as a fixture, and the table of what was tried in it, which is printed at the end."""

import pytest

# What they assert is to be shown, too.
pytest.register_assert_rewrite("fixtures", "journal", "laboratory", "swarms", "uds")

import table  # noqa: E402
from fixtures import daemon, pytest_configure, pytest_runtest_setup, service, units  # noqa: E402, F401
from laboratory import Laboratory  # noqa: E402

ROWS = pytest.StashKey()


def pytest_addoption(parser):
    parser.addoption("--table", metavar="FILE", help="writes the table of what was tried there, as Markdown")


def rows_of(config):
    return config.stash.setdefault(ROWS, [])


@pytest.fixture
def laboratory(units, request):
    """The installed echo service, not started yet; see Laboratory."""
    return Laboratory(units, rows_of(request.config))


def pytest_terminal_summary(terminalreporter, config):
    rows = rows_of(config)
    if not rows:
        return
    terminalreporter.section("what was tried")
    terminalreporter.write_line(table.text(rows))
    if config.getoption("table"):
        with open(config.getoption("table"), "w", encoding="utf-8") as file:
            file.write(table.markdown(rows))
