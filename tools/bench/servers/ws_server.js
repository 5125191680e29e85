// npm `ws`, with its native masking (bufferutil). Limits are its defaults; it sends no pings by itself.
//
// A fan-out makes the frame once and writes the same buffer to every socket, the cheapest that ws offers
// in place of a broadcast; where it compresses, each connection has its own context, so each is sent to.
// Its documentation leaves the settings of zlib to the user: these were the cheapest of those tried.
'use strict';

const http = require('http');
const path = require('path');

const modules = path.join(__dirname, '..', 'build', 'node', 'node_modules');
const { WebSocket, WebSocketServer, Sender } = require(path.join(modules, 'ws'));

const options = { host: '127.0.0.1', port: '0', role: 'echo' };
for (let at = 2; at + 1 < process.argv.length; at += 2) {
  options[process.argv[at].replace(/^--/, '')] = process.argv[at + 1];
}

const deflate = options.role === 'deflate';
const subscribers = new Set();

function echo(socket) {
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
}

function publish(data) {
  if (deflate) {
    for (const each of subscribers) each.send(data, { binary: false });
    return;
  }
  const parts = Sender.frame(data, { fin: true, rsv1: false, opcode: 1, mask: false, readOnly: true });
  const frame = Buffer.concat(parts);
  for (const each of subscribers) each._socket.write(frame);
}

function fanOut(socket) {
  subscribers.add(socket);
  socket.on('close', () => subscribers.delete(socket));
  socket.on('message', publish);
}

const server = http.createServer();
const zlibSettings = {
  zlibDeflateOptions: { level: 3, memLevel: 5 },
  serverMaxWindowBits: 12,
  threshold: 512,
};
const acceptor = new WebSocketServer({ server, perMessageDeflate: deflate && zlibSettings });
acceptor.on('connection', (socket, request) => {
  socket.on('error', () => socket.terminate());
  if (request.url === '/fanout') fanOut(socket);
  else echo(socket);
});
server.listen({ host: options.host, port: Number(options.port), backlog: 4096 }, () => {
  console.log(`listening on ${server.address().port}`);
});
