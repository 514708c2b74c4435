# SPDX-License-Identifier: MIT
"""What pytest finds by itself: the common parts are in fixtures.py."""

import pytest

# What they assert is to be shown, too.
pytest.register_assert_rewrite("benchmark", "doctor", "doors", "fixtures", "messages", "people", "uds")

from fixtures import daemon, eight, pytest_configure, pytest_runtest_setup, service, units  # noqa: E402, F401
