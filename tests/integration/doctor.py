# SPDX-License-Identifier: MIT
"""uds-echo check, as people and as programs ask it; sockets to be checked, and users to check them as."""

import contextlib
import functools
import grp
import json
import os
import pwd
import shutil
import socket
import tempfile
import threading
from pathlib import Path

import pytest
from uds import CLIENT, PATIENCE, listening, run, under_systemd

OK, WRONG, REFUSED, UNREACHABLE, USAGE = 0, 1, 2, 3, 64
VISITOR = "check-visitor"
GROUP = grp.getgrgid(4).gr_name  # adm, usually: one that the user is not in

systemd = pytest.mark.systemd
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be several users")


@functools.cache
def visitor():
    """The ordinary user's name and uid. A bus takes no client without a name; outside of a throw-away
    machine none is made, and the number has to do."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid()).pw_name, os.geteuid()
    if not under_systemd():
        return "4242", 4242
    run("useradd", "--system", "--user-group", VISITOR)
    return VISITOR, pwd.getpwnam(VISITOR).pw_uid


def ordinary(*groups):
    """The prefix to be an ordinary user, in these supplementary groups."""
    name = visitor()[0]
    if os.geteuid() != 0:
        return []
    return ["setpriv", f"--reuid={name}", f"--regid={name}",
            f"--groups={','.join(groups)}" if groups else "--clear-groups"]


def say(*arguments, prefix=None, **variables):
    """What is said to people."""
    return run(*(ordinary() if prefix is None else prefix), CLIENT, "check", *map(str, arguments),
               env={**os.environ, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", **variables})


def check(*arguments, prefix=None, **variables):
    """The exit status, and what is said to programs."""
    done = say("--json", *arguments, prefix=prefix, **variables)
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1
    return done.returncode, json.loads(done.stdout)


def well(*arguments, **more):
    status, facts = check(*arguments, **more)
    assert (status, facts["ok"]) == (OK, True), facts
    assert facts["cause"] is facts["message"] is facts["advice"] is None
    assert facts["steps"] and all(step["ok"] for step in facts["steps"])
    assert facts["round_trip_usec"] > 0
    return facts


def wrong(status, cause, *arguments, **more):
    """Checks that this is what is found, and that it is the last step; returns what is said."""
    got, facts = check(*arguments, **more)
    assert (got, facts["cause"], facts["ok"]) == (status, cause, False), facts
    assert facts["steps"][-1] == {"ok": False, "text": facts["message"]}
    assert all(step["ok"] for step in facts["steps"][:-1])
    assert facts["message"].endswith(".") and facts["advice"]
    return facts


def steps(facts):
    return [step["text"] for step in facts["steps"]]


@pytest.fixture
def ground():
    """A directory that everybody may enter."""
    path = Path(tempfile.mkdtemp(prefix="uds-echo-check-"))
    path.chmod(0o755)
    yield path
    run("chmod", "-R", "u+rwx", str(path))
    shutil.rmtree(path)


def open_door(kind, path):
    """A socket that everybody may connect to."""
    server = listening(kind, str(path))
    os.chmod(path, 0o666)
    return server


@contextlib.contextmanager
def serving(server, answer):
    """A service of one client, which hears answer(message), and then the end."""

    def serve():
        with contextlib.suppress(OSError):
            if server.type == socket.SOCK_DGRAM:
                message, sender = server.recvfrom(1000)
                server.sendto(answer(message), sender)
                return
            client = server.accept()[0]
            reply = answer(client.recv(1000))
            if reply is not None:
                client.sendall(reply)
            client.close()

    server.settimeout(PATIENCE)
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield server
    finally:
        thread.join()
        server.close()


def guarded(daemon, ground, tmp_path, kind, uid):
    """The path of a service that admits the user with this uid."""
    (tmp_path / "policy").write_text(f"allow user {uid}\n")
    server = open_door(kind, ground / "x.sock")
    server.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)  # as PassCredentials=yes does
    daemon([server], f"--policy={tmp_path / 'policy'}", names=["auth"])
    return ground / "x.sock"
