# SPDX-License-Identifier: MIT
"""systemd, as far as it is needed: units that are started and stopped, and what their control groups
and processes tell of them.
"""

import pathlib
import subprocess

CGROUPS = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
RUNTIME_UNITS = pathlib.Path("/run/systemd/system")


class Failure(Exception):
    """A server or a measurement that did not work, in words for people."""


def run(*command):
    """Runs COMMAND and returns what it writes to standard output; it has to succeed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failure(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def systemctl(*arguments):
    return run("systemctl", *arguments)


def stop(*names):
    """Stops units, be they there or not."""
    subprocess.run(["systemctl", "stop", *names], capture_output=True, check=False)
    subprocess.run(["systemctl", "reset-failed", *names], capture_output=True, check=False)


def show(unit, name):
    return systemctl("show", "--value", "--property", name, unit).strip()


def journal(unit):
    """The last that UNIT has said."""
    return run("journalctl", "--no-pager", "--quiet", "--output=cat", "--lines=5", f"--unit={unit}").strip()


def write_unit(name, text):
    file = RUNTIME_UNITS / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def remove_unit(name):
    (RUNTIME_UNITS / name).unlink(missing_ok=True)


def cgroup_of(unit):
    """The directory of UNIT in the unified hierarchy, where there is CPU time without any controller."""
    group = show(unit, "ControlGroup")
    for base in CGROUPS:
        directory = pathlib.Path(base + group)
        if group and (directory / "cpu.stat").exists():
            return directory
    raise Failure(f"{unit} has no control group in a unified hierarchy (looked for {group or 'none'})")


def cpu_seconds(unit):
    """CPU time of all processes that UNIT has, and had."""
    for line in (cgroup_of(unit) / "cpu.stat").read_text(encoding="ascii").splitlines():
        name, value = line.split()
        if name == "usage_usec":
            return int(value) / 1e6
    raise Failure(f"{unit}: there is no usage_usec in its cpu.stat")


def processes(unit):
    found = []
    for file in cgroup_of(unit).rglob("cgroup.procs"):
        try:
            found += [int(word) for word in file.read_text(encoding="ascii").split()]
        except OSError:
            pass  # a group that has just gone
    return found


def status_field(pid, name, thread=None):
    """A number of /proc/PID/status, or of that of one of its threads; None if there is none."""
    file = f"/proc/{pid}/status" if thread is None else f"/proc/{pid}/task/{thread}/status"
    try:
        for line in pathlib.Path(file).read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key == name:
                return int(value.split()[0])
    except OSError:
        pass
    return None


def peak_resident(unit):
    """Bytes: the highest resident set (VmHWM) of each process that UNIT has now, added up. Not memory.peak,
    which is not there without the memory controller, and in which the kernel's buffers count, too.
    """
    peaks = [status_field(pid, "VmHWM") for pid in processes(unit)]
    return sum(peak for peak in peaks if peak is not None) * 1024


def context_switches(unit):
    """Of all threads of all processes, voluntary or not: how often one of them was woken or displaced."""
    count = 0
    for pid in processes(unit):
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            for name in ("voluntary_ctxt_switches", "nonvoluntary_ctxt_switches"):
                count += status_field(pid, name, task.name) or 0
    return count
