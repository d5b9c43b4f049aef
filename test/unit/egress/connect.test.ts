import { once } from 'node:events';
import { type AddressInfo, createServer as createPlainServer, type Server, type Socket } from 'node:net';
import { createServer, type TLSSocket } from 'node:tls';
import { expect, it, onTestFinished, vi } from 'vitest';
import type { MediaAddress, ServiceConfig, ServiceTls } from '../../../src/config/types.js';
import { connectTo } from '../../../src/egress/connect.js';
import { type Route, Routes } from '../../../src/egress/routes.js';
import { CA, type CertificateName, certificateOf } from '../../support/certificates.js';

const never = new AbortController().signal;

async function listening(server: Server): Promise<number> {
  const open = new Set<Socket>();
  server.on('connection', (socket: Socket) => open.add(socket.on('error', () => {})));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** A server that shows a certificate, and answers with the name it was asked for. */
function secureServer(name: CertificateName): Promise<number> {
  const { certificate: cert, key } = certificateOf(name);
  const server = createServer({ cert, key }, (socket: TLSSocket) => socket.write(`asked for ${socket.servername}`));
  server.on('tlsClientError', () => {});
  return listening(server);
}

const ROW = 3;

function routes(port: number, host: string, tls: ServiceTls, ca: string | undefined): Routes {
  const service = { name: 'cam', host, ip: '127.0.0.1', port, tls } as ServiceConfig;
  return new Routes([{ row: ROW, vserver: 0, service, leaving: false }], material(ca), { mediaAddresses: [] });
}

const material = (ca: string | undefined) => ({ vservers: {}, services: ca === undefined ? {} : { cam: ca } });

async function greeting(route: Route): Promise<string> {
  const socket = await connectTo(route, never);
  onTestFinished(() => void socket.destroy());
  return String((await once(socket, 'data'))[0]);
}

it.each([
  ['camera.example', {}, 'asked for camera.example'],
  ['127.0.0.1', {}, 'asked for false'],
  ['10.0.0.1', { serverName: 'camera.example' }, 'asked for camera.example'],
])('a server by TLS, configured as %s with %o', async (host, tls, text) => {
  const port = await secureServer('camera');
  expect(await greeting(routes(port, host, { verify: true, ...tls }, CA).to(ROW))).toBe(text);
});

it.each([
  ['camera', 'camera.example', undefined, /unable to verify|unable to get/],
  ['camera', 'edge.example', CA, /does not match certificate's altnames/],
  ['camera', '10.0.0.1', CA, /does not match certificate's altnames/],
  ['stranger', 'camera.example', CA, /self-signed certificate/],
] as const)('%s as %s is refused', async (name, host, ca, message) => {
  const port = await secureServer(name);
  const route = routes(port, host, { verify: true }, ca).to(ROW);
  await expect(connectTo(route, never)).rejects.toThrow(message);
});

it('without verification anybody is believed', async () => {
  const port = await secureServer('stranger');
  expect(await greeting(routes(port, 'nobody.example', { verify: false }, undefined).to(ROW))).toContain('nobody');
});

it('authorities are exchanged in a route that is in use', async () => {
  const port = await secureServer('stranger');
  const all = routes(port, 'camera.example', { verify: true }, CA);
  const route = all.to(ROW);
  all.update(material(certificateOf('stranger').certificate));
  expect(await greeting(route)).toContain('camera.example');
});

it.each([
  ['server', '127.0.0.9', '127.0.0.9'],
  ['client', '127.0.0.9', '127.0.0.1'],
  ['server', '::1', '127.0.0.1'],
] as const)('with the media address %s:%s a server is reached from %s', async (side, address, from) => {
  const server = createPlainServer((socket) => socket.write(String(socket.remoteAddress)));
  const port = await listening(server);
  const service = { name: 'cam', host: '127.0.0.1', ip: '127.0.0.1', port } as ServiceConfig;
  const config = { mediaAddresses: [{ side, address }] as MediaAddress[] };
  const all = new Routes([{ row: ROW, vserver: 0, service, leaving: false }], material(undefined), config);
  expect(await greeting(all.to(ROW))).toBe(from);
  config.mediaAddresses = [];
  all.update(material(undefined));
  expect(await greeting(all.to(ROW))).toBe('127.0.0.1');
});

it('a service that is leaving keeps its route as it was, until it is gone', async () => {
  const port = await secureServer('stranger');
  const all = routes(port, 'camera.example', { verify: true }, certificateOf('stranger').certificate);
  const route = all.to(ROW);
  const service = { name: 'other', host: 'other.example', ip: '127.0.0.1', port: 1 } as ServiceConfig;
  const leaving = { name: 'cam', host: 'camera.example', ip: '127.0.0.1', port } as ServiceConfig;
  const other = { row: 4, vserver: 0, service, leaving: false };
  all.update(material(undefined), [{ row: ROW, vserver: 0, service: leaving, leaving: true }, other]);
  expect(all.to(ROW)).toBe(route);
  expect(await greeting(route)).toContain('camera.example');
  expect(all.to(4)).toEqual({ ip: '127.0.0.1', port: 1 });
  all.update(material(undefined), [other]);
  expect(() => all.to(ROW)).toThrow('no service has row 3');
});

it.each([
  ['accepts and is silent', (_socket: Socket) => {}, 'given up'],
  ['closes', (socket: Socket) => socket.destroy(), /disconnected before secure TLS connection|ECONNRESET/],
  ['speaks no TLS', (socket: Socket) => socket.end('RTSP/1.0 400 Bad Request\r\n\r\n'), /wrong version number/],
])('a server that %s gives no connection', async (_, behave, message) => {
  let peer: Socket | undefined;
  const port = await listening(
    createPlainServer((socket) => {
      peer = socket;
      behave(socket);
    }),
  );
  const abort = new AbortController();
  const connecting = connectTo(routes(port, 'camera.example', { verify: true }, CA).to(ROW), abort.signal);
  connecting.catch(() => {});
  await vi.waitUntil(() => peer);
  if (message === 'given up') abort.abort(new Error('given up'));
  await expect(connecting).rejects.toThrow(message);
  peer?.resume();
  await vi.waitUntil(() => peer?.closed);
});

it('a signal that aborts later means nothing', async () => {
  const port = await secureServer('camera');
  const abort = new AbortController();
  const socket = await connectTo(routes(port, 'camera.example', { verify: true }, CA).to(ROW), abort.signal);
  onTestFinished(() => void socket.destroy());
  abort.abort();
  expect(String((await once(socket, 'data'))[0])).toContain('asked for');
});
