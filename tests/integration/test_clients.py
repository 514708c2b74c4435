# SPDX-License-Identifier: MIT
"""Clients that nobody here wrote: socat, ncat, and the net libraries of Go, Node.js and Python."""

import asyncio
import os
import shutil
import subprocess

import pytest
from uds import ALL, DGRAM, PATIENCE, SEQPACKET, STREAM, run

HERE = os.path.dirname(os.path.abspath(__file__))


def need(program):
    """A missing program is a skip, but where CI is set it is a failure."""
    if not shutil.which(program):
        reason = f"{program} is not installed"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)


def pipe(data, *command):
    done = subprocess.run(command, input=data, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("kind", ALL)
def test_socat(service, kind):
    need("socat")
    address = {
        STREAM: f"UNIX-CONNECT:{service.path(STREAM)}",
        SEQPACKET: f"UNIX-CONNECT:{service.path(SEQPACKET)},type=5",
        DGRAM: f"UNIX-SENDTO:{service.path(DGRAM)},bind=/tmp/uds-echo-socat.{os.getpid()},umask=0",
    }[kind]
    # -t: how long it waits after the end of its input. Where there is an end to be received it comes earlier.
    assert pipe(b"hello socat\n", "socat", "-t3" if kind == DGRAM else "-t10", "-", address) == b"hello socat\n"


def test_socat_moves_megabytes(service):
    need("socat")
    data = os.urandom(5_000_000)
    assert pipe(data, "socat", "-t10", "-", f"UNIX-CONNECT:{service.path(STREAM)}") == data


def test_ncat(service):
    need("ncat")
    assert pipe(b"hello ncat\n", "ncat", "-U", service.path(STREAM)) == b"hello ncat\n"


def test_go(service, tmp_path):
    need("go")
    environment = {**os.environ, "GOCACHE": str(tmp_path / "cache"), "GO111MODULE": "off", "CGO_ENABLED": "0"}
    program = str(tmp_path / "client")
    built = run("go", "build", "-o", program, f"{HERE}/clients/client.go", env=environment, timeout=600)
    assert built.returncode == 0, built.stderr
    done = run(program, service.path(STREAM), service.path(SEQPACKET), service.path(DGRAM))
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr


def test_node(service):
    need("node")
    done = run("node", f"{HERE}/clients/client.js", service.path(STREAM))
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr


def test_python_asyncio(service):
    async def talk():
        reader, writer = await asyncio.open_unix_connection(service.path(STREAM))
        for piece in (b"one", b"two", b"three"):
            writer.write(piece)
            await writer.drain()
        writer.write_eof()
        assert await reader.read() == b"onetwothree"
        writer.close()

    asyncio.run(asyncio.wait_for(talk(), PATIENCE))
