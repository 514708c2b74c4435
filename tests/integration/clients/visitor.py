# SPDX-License-Identifier: MIT
"""visitor.py DIRECTORY [TYPE…]: knocks at the sockets in DIRECTORY and prints what each says.

A line TYPE=OUTCOME each: "welcome" (and what was sent came back), "denied" (and then the end), or what else
happened. It runs as any user, in any unit.
"""

import socket
import sys

TYPES = {"stream": socket.SOCK_STREAM, "seqpacket": socket.SOCK_SEQPACKET, "dgram": socket.SOCK_DGRAM}
MESSAGE = b"knock knock"


def receive(client, length):
    """From a stream LENGTH bytes, or fewer if the end comes first; else a message."""
    data = client.recv(length if client.type == socket.SOCK_STREAM else 1000)
    while client.type == socket.SOCK_STREAM and 0 < len(data) < length:
        more = client.recv(length - len(data))
        if not more:
            break
        data += more
    return data


def knock(kind, path):
    client = socket.socket(socket.AF_UNIX, TYPES[kind])
    client.settimeout(20)
    if kind == "dgram":
        client.bind("")
    client.connect(path)
    if kind == "dgram":
        client.send(MESSAGE)
        answer = client.recv(1000)
        return "welcome" if answer == MESSAGE else "denied" if answer == b"Access denied\n" else repr(answer)
    first = client.recv(8)
    if first == b"Welcome\n":
        client.send(MESSAGE)
        return "welcome" if receive(client, len(MESSAGE)) == MESSAGE else "welcome, and no echo"
    first += receive(client, 6) if kind == "stream" else b""
    if kind == "seqpacket":
        return "denied" if first == b"Access d" and client.recv(100) == b"" else repr(first)
    return "denied" if first == b"Access denied\n" and client.recv(100) == b"" else repr(first)


for wanted in sys.argv[2:] or list(TYPES):
    try:
        outcome = knock(wanted, f"{sys.argv[1]}/{wanted}.sock")
    except OSError as error:
        outcome = f"{error!r}"
    print(f"{wanted}={outcome}")
