// The simplest relay in Node: one socket per stream, each packet goes on as it comes.
// node dgram-relay.js IP CLIENT_IP FIRST-LAST:CLIENT_PORT …
import { createSocket } from 'node:dgram';

const RECEIVE_BUFFER = 4 << 20;
const [ip = '', clientIp = '', ...blocks] = process.argv.slice(2);

for (const block of blocks) {
  const [first = 0, last = 0, clientPort = 0] = block.split(/[-:]/).map(Number);
  for (let port = first; port <= last; port++) relay(port, clientPort);
}

function relay(port: number, clientPort: number): void {
  const socket = createSocket({ type: 'udp4', recvBufferSize: RECEIVE_BUFFER });
  socket.on('message', (packet) => socket.send(packet, clientPort, clientIp));
  socket.bind(port, ip);
}
