# SPDX-License-Identifier: MIT
"""echo_asyncio.py stream|dgram PATH: an echo server as Python's documentation has it."""

import asyncio
import socket
import sys


async def serve(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


class Datagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.transport.sendto(data, addr)


async def main(kind, path):
    if kind == "dgram":
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(Datagrams, local_addr=path, family=socket.AF_UNIX)
        await asyncio.Event().wait()
    server = await asyncio.start_unix_server(serve, path, backlog=4096)
    await server.serve_forever()


asyncio.run(main(sys.argv[1], sys.argv[2]))
