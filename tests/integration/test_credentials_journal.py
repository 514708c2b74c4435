# SPDX-License-Identifier: MIT
"""What the journal and whoami say of who comes in."""

import grp
import os
import pwd
import signal
import time

import pytest
from doors import GATE_GROUP, as_user, auth, connect_and_die, in_unit, users, visit  # noqa: F401
from uds import STREAM, connect, eventually, receive_exactly, run

pytestmark = pytest.mark.systemd


# --- Whoami. ----------------------------------------------------------------------------------------------------


@pytest.fixture
def whoami(auth):
    """whoami(prefix…): the lines that a client hears which is started so."""
    auth.policy("allow unit mirror.service", "allow user alice")
    auth.systemctl("start", "uds-whoami.socket")

    def ask(*prefix):
        return run(*prefix, "socat", "-u", "UNIX-CONNECT:/run/uds-whoami/stream.sock", "-").stdout

    return ask


def test_whoami_shows_what_the_kernel_says(auth, users, whoami):
    alice = pwd.getpwnam("alice")
    gate = grp.getgrnam(GATE_GROUP).gr_gid
    lines = whoami(*as_user("alice", GATE_GROUP)).splitlines()
    assert [line.split("=")[0] for line in lines] == ["UID", "GID", "GROUPS", "PID", "VERDICT"]
    assert lines[:3] == [f"UID={alice.pw_uid}", f"GID={alice.pw_gid}", f"GROUPS={gate}"]
    assert lines[-1] == "VERDICT=allow"
    lines = dict(line.split("=", 1) for line in whoami(*in_unit("DynamicUser=yes", unit="mirror.service")).splitlines())
    assert (lines["UNIT"], lines["VERDICT"]) == ("mirror.service", "allow")
    assert 61184 <= int(lines["UID"]) <= 65519
    assert whoami(*as_user("mallory")).endswith("\nVERDICT=deny\n")


def test_whoami_says_nothing_of_a_process_that_is_gone_but_what_the_socket_knows(auth, whoami):
    assert "PID=" in whoami()
    pid = int(auth.show("uds-whoami.service", "MainPID"))
    os.kill(pid, signal.SIGSTOP)  # it looks only when the client is gone
    try:
        client, _ = connect_and_die(STREAM, "/run/uds-whoami/stream.sock")
    finally:
        os.kill(pid, signal.SIGCONT)
    text = receive_exactly(client, 1 << 16).decode()
    assert text.startswith("UID=0\nGID=0\nGROUPS=")
    assert "PID=" not in text and "UNIT=" not in text
    assert text.endswith("\nVERDICT=deny\n")


def test_a_reload_of_auth_reloads_the_mirror(auth, whoami):
    assert whoami().endswith("VERDICT=deny\n")
    auth.systemctl("start", auth.socket)
    visit()
    auth.policy("allow user root")
    auth.systemctl("reload", auth.service)
    assert eventually(lambda: whoami().endswith("VERDICT=allow\n"))


# --- The journal. -----------------------------------------------------------------------------------------------


def test_each_decision_is_an_entry_with_fields_and_a_sentence(auth, users):
    auth.begin("# who may come in", "deny user mallory", "allow unit herald.service")
    since = time.time()
    visit(*as_user("mallory"))
    visit(*as_user("alice"), kinds=[STREAM])
    visit(*in_unit("DynamicUser=yes", unit="herald.service"), kinds=[STREAM])
    # They are written when the clients have been told.
    assert eventually(lambda: len(auth.entries(since, "UDS_VERDICT=deny")) == 4)
    assert eventually(lambda: len(auth.entries(since, "UDS_VERDICT=allow")) == 1)
    refusals = auth.entries(since, "UDS_VERDICT=deny")
    uid, gid = pwd.getpwnam("mallory").pw_uid, pwd.getpwnam("mallory").pw_gid
    for entry in refusals[:3]:
        assert entry["UDS_PEER_UID"] == str(uid)
        assert entry["UDS_PEER_GID"] == str(gid)
        assert entry["UDS_ROLE"] == "auth"
        assert entry["UDS_POLICY_LINE"] == "2"
        assert entry["PRIORITY"] == "5"
        assert entry["MESSAGE_ID"] == "ce2db681064441c1afd4c51a7fba51ca"
        assert entry["MESSAGE"].startswith(f"Refused uid {uid} (gid {gid}, pid {entry['UDS_PEER_PID']}")
        assert entry["MESSAGE"].endswith("socket: line 2 of the policy says so.")
    assert "UDS_POLICY_LINE" not in refusals[3]
    assert refusals[3]["MESSAGE"].endswith("no line of the policy admits it.")
    (admission,) = auth.entries(since, "UDS_VERDICT=allow")
    assert admission["UDS_PEER_UNIT"] == "herald.service"
    assert admission["UDS_POLICY_LINE"] == "3"
    assert admission["PRIORITY"] == "6"


def test_the_catalog_explains_the_entries(auth, users):
    auth.begin("allow user root")
    since = time.time()
    visit(*as_user("mallory"), kinds=[STREAM])
    assert eventually(lambda: auth.entries(since, "UDS_VERDICT=deny"))
    text = run("journalctl", "-x", f"--since=@{since:.6f}", "UDS_VERDICT=deny", "--no-pager").stdout
    assert f"Subject: A client was refused (uid {users['mallory']})" in text
    assert "systemctl reload uds-auth.service" in text
    for message_id in ("143f92e4d248425d829803acccfc85c5", "dac55c9dacd74dbeacd7fbe90c6a5315",
                       "6692ebf4b7c949149041fc3949e75335"):
        assert "uds-echo" in run("journalctl", "--dump-catalog", message_id).stdout


def test_a_client_cannot_fill_the_journal(auth, users):
    auth.begin("allow user alice")
    since = time.time()
    for _ in range(500):
        assert connect(STREAM, auth.path(STREAM)).recv(8) == b"Access d"
    visit(*as_user("mallory"), kinds=[STREAM])
    auth.systemctl("stop", auth.service)
    refusals = auth.entries(since, "UDS_VERDICT=deny", "UDS_PEER_UID=0")
    assert len(refusals) == 101
    assert refusals[-1]["UDS_LEFT_OUT"] == "400"
    assert len(auth.entries(since, f"UDS_PEER_UID={users['mallory']}")) == 1, "another user's is not lost in it"
