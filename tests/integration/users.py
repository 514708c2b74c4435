# SPDX-License-Identifier: MIT
"""Several users in one test, which takes root."""

import contextlib
import os

from uds import connect

ALICE, BOB = 61001, 61002


@contextlib.contextmanager
def user(uid):
    """What is connected or sent in here is this user's."""
    os.setresuid(uid, uid, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


def connect_as(uid, kind, server):
    with user(uid):
        return connect(kind, server.getsockname())
