# SPDX-License-Identifier: MIT
"""A journal that has no room."""

import contextlib
import os
import socket

from uds import run

DIRECTORY = "/run/log/journal"
SIZE = 10 << 20  # enough for the service that keeps the journal to begin one
NOISE = 2000  # entries that fill what it has begun


def restart():
    """Also if that has been done often."""
    run("systemctl", "reset-failed", "systemd-journald.service")
    assert run("systemctl", "restart", "systemd-journald.service").returncode == 0


def write(identifier, text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.connect("/run/systemd/journal/socket")
        journal.send(f"SYSLOG_IDENTIFIER={identifier}\nMESSAGE={text}\n".encode())


def is_written(identifier, text):
    write(identifier, text)
    run("journalctl", "--sync")
    return text in run("journalctl", f"--identifier={identifier}", "--output=cat").stdout


def fill():
    with contextlib.suppress(OSError), open(f"{DIRECTORY}/fill", "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    for _ in range(NOISE):
        write("noise", os.urandom(4000).hex())


@contextlib.contextmanager
def full_disk():
    """No entry is kept meanwhile."""
    assert run("mount", "-t", "tmpfs", "-o", f"size={SIZE}", "full", DIRECTORY).returncode == 0
    try:
        restart()
        fill()
        assert not is_written("laboratory", "nobody reads this")
        yield
        assert not is_written("laboratory", "nor this")
    finally:
        run("umount", "--lazy", DIRECTORY)
        restart()
    assert is_written("laboratory", "there is room again")
