# SPDX-License-Identifier: MIT
"""What the figures were measured on."""

import os
import re
import subprocess

PROGRAMS = {
    "uds-echo": ("uds-echo", "--version"),
    "systemd": ("systemctl", "--version"),
    "go": ("go", "version"),
    "node": ("node", "--version"),
    "python": ("/usr/bin/python3", "--version"),
    "socat": ("socat", "-V"),
    "s6": ("dpkg-query", "--show", "--showformat=${Version}", "s6"),
}


def version_of(command):
    """The first number with a dot in what COMMAND writes, or the first number."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    found = re.search(r"\d+(\.\d+)+", done.stdout) or re.search(r"\d+", done.stdout)
    return found.group() if found else None


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Model"):
                return " ".join(value.split())
    return os.uname().machine


def describe():
    versions = {name: version_of(command) for name, command in PROGRAMS.items()}
    return {"kernel": os.uname().release, "cpus": os.cpu_count(), "processor": processor(), "versions": versions}
