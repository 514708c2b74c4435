# SPDX-License-Identifier: MIT
"""Swarms of clients (swarm.c), each a process of its own."""

import json
import os
import select
import subprocess
import tempfile

SWARM = os.environ.get("UDS_ECHO_SWARM", "swarm")
# Who leaves politely reads all that it is owed: of these nothing may be missing.
FAIR = ("echo", "half-close", "largest", "empty", "trickle", "passing", "late")
PATIENCE = 300.0  # seconds for what takes seconds, also where a sanitizer slows everything down


class Swarm:
    def __init__(self, conduct, path, kind, **options):
        """Options are those of the program: clients=5, connected=True."""
        self.conduct, self.kind = conduct, kind
        self.is_fair = conduct in FAIR  # a test may say otherwise
        self.clients = options.get("clients")  # at once
        self.errors = tempfile.TemporaryFile()
        words = [f"--{name.replace('_', '-')}" + ("" if value is True else f"={value}")
                 for name, value in options.items()]
        self.process = subprocess.Popen([SWARM, conduct, path, f"--type={kind}", *words], stdout=subprocess.PIPE,
                                        stderr=self.errors, text=True)
        self.facts = None

    def __str__(self):
        return f"{self.conduct} on {self.kind}: {self.facts}\n{self.complaints()}"

    def complaints(self):
        return os.pread(self.errors.fileno(), 2000, 0).decode()

    def ready(self):
        """Waits until there has been a client in each place, and each, if it reads, has had an answer."""
        assert select.select([self.process.stdout], [], [], PATIENCE)[0], f"is not ready: {self}"
        assert self.process.stdout.readline() == "ready\n", str(self)
        return self

    def wait(self):
        """What has become of all clients. Those that wait in vain are told to give up, and say what they miss."""
        if self.facts is None:
            try:
                output, _ = self.process.communicate(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.terminate()
                output, _ = self.process.communicate(timeout=PATIENCE)
            assert self.process.returncode == 0, str(self)
            self.facts = json.loads(output.splitlines()[-1])
        return self.facts

    def stop(self):
        self.process.terminate()
        return self.wait()

    def kill(self):
        """As with kill -9: in the middle of anything. Nothing is known of its clients then."""
        self.process.kill()
        self.process.communicate()
        self.facts = {}

    def lost_connections(self):
        return sum(self.facts.get(name, 0) for name in ("lost", "refused", "unreachable"))

    def lost_bytes(self):
        return self.facts.get("lost_bytes", 0)

    def wrong_bytes(self):
        return sum(self.facts.get(name, 0) for name in ("repeated_bytes", "swapped_bytes", "changed_bytes"))
