// Runs inside a network namespace and makes sockets there for the test process (see netns.ts).
import dgram from 'node:dgram';
import net from 'node:net';

function reply(message, handle, close) {
  process.send(message, handle, (error) => {
    if (error) process.stderr.write(`socket-helper: ${error.message}\n`);
    close?.();
  });
}

const operations = {
  connect({ id, host, port, localAddress }) {
    const socket = new net.Socket();
    socket.pause(); // the first bytes belong to the receiver of the handle
    const fail = (error) => reply({ id, error: error.code });
    socket.once('error', fail);
    socket.connect({ host, port, ...(localAddress ? { localAddress } : {}) }, () => {
      socket.off('error', fail);
      reply({ id }, socket);
    });
  },
  udp({ id, address, port }) {
    const socket = dgram.createSocket(address.includes(':') ? 'udp6' : 'udp4');
    socket.once('error', (error) => reply({ id, error: error.code }));
    socket.bind(port, address, () => reply({ id }, socket, () => socket.close()));
  },
  listen({ id, address, port }) {
    const server = net.createServer();
    server.once('error', (error) => reply({ id, error: error.code }));
    server.listen(port, address, () => reply({ id }, server, () => server.close()));
  },
};

process.on('message', (message) => operations[message.op](message));
process.on('disconnect', () => process.exit(0));
