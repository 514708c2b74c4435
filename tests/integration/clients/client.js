// SPDX-License-Identifier: MIT

// A client of the stream socket with Node's net library, which knows no other type: client.js STREAM
'use strict';

const net = require('net');

const client = net.createConnection({ path: process.argv[2], allowHalfOpen: true });
let received = '';

client.setTimeout(10000, () => client.destroy(new Error('no answer in 10 s')));
client.on('connect', () => {
  for (const piece of ['one', 'two', 'three']) {
    client.write(piece);
  }
  client.end();
});
client.on('data', (data) => { received += data; });
client.on('error', (error) => { console.error(error.message); process.exit(1); });
client.on('end', () => {
  if (received !== 'onetwothree') {
    console.error(`received "${received}"`);
    process.exit(1);
  }
  console.log('ok');
  process.exit(0);
});
