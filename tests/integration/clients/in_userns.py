# SPDX-License-Identifier: MIT
"""in_userns.py FIRST COUNT COMMAND…: runs COMMAND as root of a user namespace whose ids from 0 on are the ids
FIRST to FIRST + COUNT - 1 outside (user_namespaces(7)). Takes root."""

import ctypes
import os
import sys

CLONE_NEWUSER = 0x10000000

first, count, command = sys.argv[1], sys.argv[2], sys.argv[3:]
read_end, write_end = os.pipe()
process = os.getpid()
helper = os.fork()
if helper == 0:
    # Still outside, where it may write the maps.
    os.read(read_end, 1)
    for kind in ("uid", "gid"):
        with open(f"/proc/{process}/{kind}_map", "w", encoding="ascii") as file:
            file.write(f"0 {first} {count}\n")
    os._exit(0)
if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER) != 0:
    sys.exit(f"unshare: {os.strerror(ctypes.get_errno())}")
os.write(write_end, b"x")
if os.waitstatus_to_exitcode(os.waitpid(helper, 0)[1]) != 0:
    sys.exit("the maps could not be written")
os.setgroups([])
os.setresgid(0, 0, 0)
os.setresuid(0, 0, 0)
os.execvp(command[0], command)
