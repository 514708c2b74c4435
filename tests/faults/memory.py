# SPDX-License-Identifier: MIT
"""How much memory a service uses, with the kernel's on its behalf: buffers of its sockets, their files and inodes."""

import contextlib
import tempfile
from pathlib import Path

from uds import run


@contextlib.contextmanager
def accounted(units):
    """accounted(units) as used: used() is in KiB, or None if that cannot be known here."""
    if units.show(units.service, "MemoryCurrent").isdigit():
        yield lambda: int(units.show(units.service, "MemoryCurrent")) // 1024
        return
    with contextlib.ExitStack() as stack:
        group = stack.enter_context(own_group(units.pid()))
        yield (lambda: int((group / "memory.usage_in_bytes").read_text()) // 1024) if group else (lambda: None)


@contextlib.contextmanager
def own_group(pid):
    """Where the service manager has no controller for memory (a container on a host with cgroup v1): the process in a
    group that is made for it. None if there is no such hierarchy either."""
    with tempfile.TemporaryDirectory() as top:
        if run("mount", "-t", "cgroup", "-o", "memory", "memory", top).returncode != 0:
            yield None
            return
        group = Path(tempfile.mkdtemp(prefix="uds-echo-faults-", dir=top))
        try:
            (group / "cgroup.procs").write_text(str(pid))
            yield group
        finally:
            for member in (group / "cgroup.procs").read_text().split():
                Path(top, "cgroup.procs").write_text(member)
            group.rmdir()
            run("umount", top)
