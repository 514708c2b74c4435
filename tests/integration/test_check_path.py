# SPDX-License-Identifier: MIT
"""uds-echo check: what is well, and each thing that may be wrong on the way along a path."""

import errno
import grp
import os
import pwd
import shutil
import socket
import struct

import pytest
from doctor import (GROUP, REFUSED, UNREACHABLE, as_root, ground, guarded, open_door, ordinary, steps, visitor, well,
                    wrong)  # noqa: F401
from uds import ALL, DGRAM, STREAM, TYPES, listening, under_systemd

# --- All well. --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ALL)
def test_a_service_that_echoes_is_well_and_its_type_is_found_out(daemon, ground, kind):
    path = ground / "x.sock"
    daemon([open_door(kind, path)])
    facts = well(path)
    assert (facts["socket"], facts["type"], facts["unit"]) == (str(path), kind, None)
    assert f"{ground} is a directory that you may enter" in steps(facts)
    assert f"{path} is a socket" in steps(facts)
    assert well(f"--type={kind}", path)["type"] == kind


@pytest.mark.parametrize("kind", ALL)
def test_abstract_names_are_found_under_each_type(daemon, kind):
    server = listening(kind)
    daemon([server])
    assert well("@" + server.getsockname()[1:].decode())["type"] == kind


@pytest.mark.parametrize("scheme,kind", [("tcp", STREAM), ("udp", DGRAM)])
def test_internet_sockets_are_checked_too(daemon, scheme, kind):
    server = socket.socket(socket.AF_INET, TYPES[kind])
    server.bind(("127.0.0.1", 0))
    if kind == STREAM:
        server.listen()
    daemon([server])
    facts = well(f"{scheme}:127.0.0.1:{server.getsockname()[1]}")
    assert (facts["type"], facts["unit"]) == (kind, None)


def test_relative_paths_are_walked_from_here(daemon, ground, monkeypatch):
    (ground / "a").mkdir()
    daemon([open_door(STREAM, ground / "a" / "x.sock")])
    monkeypatch.chdir(ground)
    assert well("./a/../a//x.sock")["type"] == STREAM
    assert steps(well("a/x.sock"))[:3] == [". is a directory that you may enter", "a is a directory that you may enter",
                                           "a/x.sock is a socket"]


def test_who_is_admitted_is_told_so(daemon, ground, tmp_path):
    facts = well(guarded(daemon, ground, tmp_path, STREAM, visitor()[1]))
    assert "The service has admitted you: \"Welcome\"" in steps(facts)


def test_symbolic_links_are_followed_and_said(daemon, ground):
    (ground / "real").mkdir()
    daemon([open_door(STREAM, ground / "real" / "x.sock")])
    (ground / "directory").symlink_to("real")
    (ground / "link").symlink_to(ground / "directory" / "x.sock")
    facts = well(ground / "link")
    assert f"{ground}/link is a symbolic link to {ground}/directory/x.sock" in steps(facts)
    assert f"{ground}/directory is a symbolic link to real" in steps(facts)
    assert f"{ground}/real/x.sock is a socket" in steps(facts)
    assert len(set(steps(facts))) == len(steps(facts)), "nothing is said twice"


# --- The way along the path. ------------------------------------------------------------------------------------


def test_a_directory_that_is_not_there_is_named(ground):
    facts = wrong(UNREACHABLE, "no-directory", ground / "a" / "b" / "x.sock")
    assert facts["message"] == f"There is no directory {ground}/a."
    assert f"{ground} is a directory that you may enter" in steps(facts)


def test_what_is_no_directory_is_named(ground, daemon):
    (ground / "a").write_text("")
    facts = wrong(UNREACHABLE, "not-a-directory", ground / "a" / "x.sock")
    assert facts["message"] == f"{ground}/a is a regular file, so the path cannot lead through it."
    daemon([open_door(STREAM, ground / "x.sock")])
    wrong(UNREACHABLE, "not-a-directory", f"{ground}/x.sock/")


def test_a_directory_that_may_not_be_entered_is_named_with_who_may(ground):
    closed = ground / "a" / "closed"
    (closed / "b").mkdir(parents=True)
    listening(STREAM, str(closed / "b" / "x.sock"))
    closed.chmod(0o600)
    facts = wrong(REFUSED, "directory-forbidden", closed / "b" / "x.sock")
    owner = pwd.getpwuid(os.geteuid()).pw_name
    group = grp.getgrgid(os.getegid()).gr_name
    assert facts["message"].startswith(
        f"You may not enter the directory {closed}: owner {owner}, group {group}, mode 0600; you are ")
    assert f"(uid {visitor()[1]}), in the group" in facts["message"]


@as_root
def test_the_group_that_may_enter_is_named_and_its_members_may(ground, daemon):
    closed = ground / "closed"
    closed.mkdir()
    daemon([open_door(STREAM, closed / "x.sock")])
    shutil.chown(closed, group=GROUP)
    closed.chmod(0o710)
    facts = wrong(REFUSED, "directory-forbidden", closed / "x.sock")
    name, uid = visitor()
    assert f"group {GROUP}, mode 0710; you are {name} (uid {uid}), in the group {name}." in facts["message"]
    assert f"The members of the group {GROUP} may." in facts["advice"]
    assert (f"usermod --append --groups {GROUP} {name}" if under_systemd() else "has no name") in facts["advice"]
    well(closed / "x.sock", prefix=ordinary(GROUP))


@as_root
def test_a_current_directory_that_may_not_be_entered_is_said(ground, monkeypatch):
    monkeypatch.chdir(ground)
    ground.chmod(0o700)
    facts = wrong(REFUSED, "directory-forbidden", "x.sock")
    assert facts["message"].startswith("You may not enter the directory .: owner root, group root, mode 0700; you are ")


def test_links_in_a_circle_end(ground):
    (ground / "a").symlink_to("b")
    (ground / "b").symlink_to("a")
    wrong(UNREACHABLE, "link-loop", ground / "a")


def test_a_file_that_is_not_there_is_named(ground):
    facts = wrong(UNREACHABLE, "no-file", ground / "x.sock")
    assert facts["message"] == f"There is no file {ground}/x.sock."
    assert facts["type"] is None


def test_a_link_that_leads_nowhere_is_named(ground):
    (ground / "link").symlink_to("gone.sock")
    facts = wrong(UNREACHABLE, "no-file", ground / "link")
    assert facts["message"] == f"There is no file {ground}/gone.sock."
    assert f"The symbolic link {ground}/link leads there" in facts["advice"]


def test_what_is_no_socket_is_said_to_be_what_it_is(ground):
    (ground / "file").write_text("")
    os.mkfifo(ground / "fifo")
    for path, kind in ((ground / "file", "a regular file"), (ground / "fifo", "a FIFO"), (ground, "a directory"),
                       ("/dev/null", "a device"), ("/", "a directory")):
        assert wrong(UNREACHABLE, "not-a-socket", path)["message"] == f"{path} is no socket but {kind}."


@pytest.mark.parametrize("kind", ALL)
def test_a_socket_that_one_may_not_write_to_is_shown_with_who_may(ground, kind):
    path = ground / "x.sock"
    server = listening(kind, str(path))
    path.chmod(0o400)
    facts = wrong(REFUSED, "file-forbidden", path)
    assert ", mode 0400; you are " in facts["message"]
    assert f"(uid {visitor()[1]}), in the group" in facts["message"]
    assert ("Only root may." if os.geteuid() == 0 else "chmod u+w") in facts["advice"]
    server.close()


@as_root
def test_the_group_to_join_is_named(ground, daemon):
    path = ground / "x.sock"
    daemon([open_door(STREAM, path)])
    shutil.chown(path, group=GROUP)
    path.chmod(0o660)
    facts = wrong(REFUSED, "file-forbidden", path)
    name, uid = visitor()
    assert f"owner root, group {GROUP}, mode 0660; you are {name} (uid {uid})" in facts["message"]
    assert f"The members of the group {GROUP} may." in facts["advice"]
    assert (f"usermod --append --groups {GROUP} {name}" if under_systemd() else "has no name") in facts["advice"]
    well(path, prefix=ordinary(GROUP))
    path.chmod(0o606)
    facts = wrong(REFUSED, "file-forbidden", path, prefix=ordinary(GROUP))
    assert "You are in its group" in facts["advice"], "others may, but the group may not"


@as_root
def test_what_the_mode_does_not_explain_is_said_to_be_elsewhere(ground):
    path = ground / "x.sock"
    with open_door(STREAM, path):
        # acl(5) as setxattr(2) takes it: (tag, permissions, id), and an entry for this one user.
        entries = [(1, 6, -1), (2, 0, visitor()[1]), (4, 6, -1), (16, 6, -1), (32, 6, -1)]
        value = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
        try:
            os.setxattr(path, "system.posix_acl_access", value)
        except OSError as error:
            pytest.skip(f"no access control lists there: {error}")
        assert "access control list" in wrong(REFUSED, "file-forbidden", path)["advice"]


@as_root
def test_users_and_groups_without_a_name_are_numbers(ground):
    with listening(STREAM, str(ground / "x.sock")):
        os.chmod(ground / "x.sock", 0o660)
        os.chown(ground / "x.sock", 4243, 4244)
        facts = wrong(REFUSED, "file-forbidden", ground / "x.sock",
                      prefix=["setpriv", "--reuid=4242", "--regid=4242", "--groups=4245,4242"])
    assert facts["message"].endswith("owner 4243, group 4244, mode 0660; "
                                     "you are 4242 (uid 4242), in the groups 4242, 4245.")


def test_what_else_the_kernel_says_is_passed_on(ground):
    (ground / "link").symlink_to("x" * 300)
    assert os.strerror(errno.ENAMETOOLONG) in wrong(UNREACHABLE, "system-error", ground / "link")["message"]
