# SPDX-License-Identifier: MIT
"""The load: "uds-echo bench", for all servers alike, which take turns in it; and what it and the servers'
control groups tell, as one record for each server."""

import json
import os
import statistics
import subprocess

from . import units
from .units import Failure

CLIENT = "uds-echo"
BARE_LOOP = "(bare loop)"


def call(paths, arguments):
    """The points of one run of uds-echo bench at PATHS."""
    command = [CLIENT, "bench", "--json", "--timeout=60s", *arguments, *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failure(done.stderr.strip() or f"{' '.join(command)}: exit status {done.returncode}")
    return json.loads(done.stdout)["points"]


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def record(name, title, result):
    """What there is to say of one server: all times in microseconds, each the median of the rounds."""
    rounds = result["rounds"]
    if not rounds:
        raise Failure(f"{title}: nothing was measured: {result.get('error')}")
    found = {"server": name, "title": title, "per_second": spread([one["messages_per_second"] for one in rounds])}
    for percentile in ("p50", "p99", "p99.9"):
        found[percentile] = spread([one[f"{percentile}_ns"] / 1000 for one in rounds])
    found["echoed"] = result["echoed"]
    return found


def places(apart):
    """The processors of the servers, and the client's, if they are to be APART and there are as many; else None."""
    processors = sorted(os.sched_getaffinity(0))
    return (processors[:-1], processors[-1]) if apart and len(processors) > 1 else (None, None)


def measure(servers, kind, arguments, apart=False):
    """Starts SERVERS, lets them take turns, and stops them. Returns, for each point, a record for each server and
    one for the client by itself. CPU time and memory are of the whole call: the former is there where that has a
    single point, the latter with the last one."""
    started = []
    theirs, mine = places(apart)
    if mine is not None:
        arguments = [*arguments, f"--cpu={mine}"]
    try:
        for server in servers:
            started.append(server)
            server.start(kind, theirs)
        before = [units.cpu_seconds(server.unit(kind)) for server in servers]
        points = call([server.path(kind) for server in servers], arguments)
        spent = [units.cpu_seconds(server.unit(kind)) - cpu for server, cpu in zip(servers, before)]
        peaks = [units.peak_resident(server.unit(kind)) for server in servers]
    finally:
        for server in started:
            server.stop(kind)
    records = [point_records(servers, point) for point in points]
    for i, found in enumerate(records[-1][:len(servers)]):
        found["peak_resident"] = peaks[i]
        if len(points) == 1:
            found["cpu_per_message"] = spent[i] * 1e6 / found["echoed"]
    return records


def point_records(servers, point):
    records = []
    for i, result in enumerate(point["results"]):
        if result["bare_loop"]:
            records.append(record("bare-loop", "client by itself", result))
            continue
        records.append(record(servers[i].name, servers[i].title, result))
    return records
