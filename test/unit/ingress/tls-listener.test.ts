import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { type ConnectionOptions, type TLSSocket, connect as tlsConnect } from 'node:tls';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { ClientCertificates } from '../../../src/config/types.js';
import { TlsListener } from '../../../src/ingress/tls-listener.js';
import { CA, type CertificateName, certificateOf } from '../../support/certificates.js';

const material = (...names: CertificateName[]) => ({ certificates: names.map(certificateOf), clientCa: CA });

interface Fixture {
  listener: TlsListener;
  accepted: Socket[];
  /** What became of the accepted sockets, in order. */
  secured: Promise<TLSSocket>[];
  connect(): Socket;
  /** A client; resolves when its side of the handshake is done. */
  secure(options?: ConnectionOptions): Promise<TLSSocket>;
}

async function listen(
  clients: ClientCertificates,
  names: CertificateName | CertificateName[],
  { handshakeTimeoutMs }: { handshakeTimeoutMs?: number } = {},
): Promise<Fixture> {
  const listener = new TlsListener(clients, material(...[names].flat()), handshakeTimeoutMs);
  const accepted: Socket[] = [];
  const secured: Promise<TLSSocket>[] = [];
  const sockets: Socket[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.push(socket.on('error', () => {}));
    accepted.push(socket);
    const stream = listener.secure(socket);
    stream.catch(() => {});
    secured.push(stream);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const connectPlain = () => {
    const socket = connect(port, '127.0.0.1').on('error', () => {});
    sockets.push(socket);
    return socket;
  };
  return {
    listener,
    accepted,
    secured,
    connect: connectPlain,
    async secure(options = {}) {
      const client = tlsConnect({ socket: connectPlain(), ca: CA, host: 'edge.example', ...options });
      client.on('error', () => {});
      await once(client, 'secureConnect');
      return client;
    },
  };
}

/** The outcome of the first handshake as the listener saw it. */
async function outcome({ secured }: Fixture): Promise<TLSSocket> {
  await vi.waitFor(() => expect(secured.length).toBe(1));
  return await (secured[0] as Promise<TLSSocket>);
}

async function closed(socket: Socket): Promise<void> {
  socket.resume();
  await vi.waitUntil(() => socket.closed);
}

const shownTo = (client: TLSSocket): string => String(client.getPeerCertificate().subject.CN);

describe('certificates', () => {
  it.each([
    ['edge.example', 'penstock test edge'],
    ['a.other.example', 'penstock test other'],
    ['a.b.other.example', 'penstock test edge'],
    ['nobody.example', 'penstock test edge'],
    [undefined, 'penstock test edge'],
  ])('a client that asks for %s is shown %s', async (servername, shown) => {
    const fixture = await listen('none', ['edge', 'other']);
    const client = await fixture.secure({
      ...(servername ? { servername } : {}),
      checkServerIdentity: () => undefined,
    });
    expect(shownTo(client)).toBe(shown);
  });

  it('are exchanged for the next handshake; a connection that stands goes on', async () => {
    const fixture = await listen('none', 'edge');
    const before = await fixture.secure();
    const ours = await outcome(fixture);
    fixture.listener.update(material('stranger', 'other'));
    const after = await fixture.secure({ ca: certificateOf('stranger').certificate });
    expect(shownTo(after)).toBe('penstock test stranger');
    expect(shownTo(await fixture.secure({ servername: 'a.other.example', host: 'a.other.example' }))).toContain(
      'other',
    );
    before.write('still here');
    expect(String((await once(ours, 'data'))[0])).toBe('still here');
  });
});

describe('client certificates', () => {
  it.each([
    ['none', undefined],
    ['none', 'stranger'],
    ['optional', undefined],
    ['optional', 'viewer'],
    ['required', 'viewer'],
  ] as const)('%s takes a client with %s', async (clients, name) => {
    const fixture = await listen(clients, 'edge');
    const own = name && { cert: certificateOf(name).certificate, key: certificateOf(name).key };
    const client = await fixture.secure(own);
    const ours = await outcome(fixture);
    client.write('hello');
    expect(String((await once(ours, 'data'))[0])).toBe('hello');
  });

  it.each([
    ['optional', 'stranger', 'DEPTH_ZERO_SELF_SIGNED_CERT'],
    ['required', 'stranger', 'DEPTH_ZERO_SELF_SIGNED_CERT'],
    // Signed by the right authority, for another use.
    ['required', 'camera', 'INVALID_PURPOSE'],
    ['required', undefined, 'the client showed no certificate'],
  ] as const)('%s refuses a client with %s', async (clients, name, why) => {
    const fixture = await listen(clients, 'edge');
    const own = name && { cert: certificateOf(name).certificate, key: certificateOf(name).key };
    const client = await fixture.secure(own);
    await expect(outcome(fixture)).rejects.toMatchObject({
      code: 'PENSTOCK_ERR_TLS',
      message: expect.stringContaining(why),
    });
    await closed(client);
  });

  it('optional takes back a session that began with a certificate', async () => {
    const fixture = await listen('optional', 'edge');
    const own = { cert: certificateOf('viewer').certificate, key: certificateOf('viewer').key };
    const first = await fixture.secure(own);
    const [session] = (await once(first, 'session')) as [Buffer];
    const again = await fixture.secure({ ...own, session });
    expect(again.isSessionReused()).toBe(true);
    await expect(fixture.secured[1]).resolves.toBeDefined();
  });
});

describe('a handshake', () => {
  it('that is no TLS is refused, and the connection closed', async () => {
    const fixture = await listen('none', 'edge');
    const client = fixture.connect();
    client.write('OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n');
    await expect(outcome(fixture)).rejects.toMatchObject({ code: 'PENSTOCK_ERR_TLS' });
    await closed(client);
  });

  it('that the client breaks off is over', async () => {
    const fixture = await listen('none', 'edge');
    const client = fixture.connect();
    await once(client, 'connect');
    client.write(Buffer.from([0x16, 0x03]));
    await vi.waitUntil(() => fixture.accepted[0]?.bytesRead === 2);
    client.resetAndDestroy();
    await expect(outcome(fixture)).rejects.toMatchObject({ code: 'PENSTOCK_ERR_TLS' });
  });

  it('that does not come about in its time is given up', async () => {
    const fixture = await listen('none', 'edge', { handshakeTimeoutMs: 20 });
    const client = fixture.connect();
    client.write(Buffer.from([0x16, 0x03]));
    await expect(outcome(fixture)).rejects.toThrow('TLS handshake timeout');
    await closed(client);
  });
});
