// SPDX-License-Identifier: MIT

// node echo.js PATH: an echo server on a stream socket as Node.js's documentation has it.
const net = require('node:net');

const server = net.createServer((connection) => {
  connection.on('error', () => connection.destroy());
  connection.pipe(connection);
});

server.listen({ path: process.argv[2], backlog: 4096 });
