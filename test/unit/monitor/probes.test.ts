import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { MonitorConfig } from '../../../src/config/types.js';
import { systemClock } from '../../../src/monitor/clock.js';
import { Monitors } from '../../../src/monitor/monitors.js';
import { createProbe } from '../../../src/monitor/probes/index.js';

const never = new AbortController().signal;
const servers = new Set<RtspServer>();

/** A server that answers each request with the given bytes; without bytes it accepts and stays silent. */
class RtspServer {
  readonly #server: Server;
  readonly sockets = new Set<Socket>();
  readonly requests: string[] = [];
  answer: string | undefined;

  constructor(answer?: string) {
    this.answer = answer;
    this.#server = createServer((socket) => {
      this.sockets.add(socket);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => this.sockets.delete(socket));
      socket.on('data', (chunk) => {
        this.requests.push(chunk.toString('latin1'));
        if (this.answer === 'close') socket.end();
        else if (this.answer !== undefined) socket.write(this.answer, 'latin1');
      });
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async listen(port = 0, ip = '127.0.0.1'): Promise<this> {
    servers.add(this);
    this.#server.listen(port, ip);
    await once(this.#server, 'listening');
    return this;
  }

  async close(): Promise<void> {
    servers.delete(this);
    for (const socket of this.sockets) socket.destroy();
    if (!this.#server.listening) return;
    this.#server.close();
    await once(this.#server, 'close');
  }

  /** Resolves when every client has gone. */
  async empty(): Promise<void> {
    while (this.sockets.size > 0) await new Promise((resolve) => setImmediate(resolve));
  }
}

afterEach(async () => {
  for (const server of servers) await server.close();
});

function probe(server: RtspServer, kind: MonitorConfig['kind'], expected = [200], ip = '127.0.0.1') {
  return createProbe({ kind, path: '/cam?channel=1', expect: expected }, { ip, port: server.port });
}

async function closedPort(): Promise<number> {
  const server = await new RtspServer().listen();
  const { port } = server;
  await server.close();
  return port;
}

describe('the tcp probe', () => {
  it('is content with a server that accepts', async () => {
    const server = await new RtspServer().listen();
    expect(await probe(server, 'tcp')(never)).toBe('connected');
    await server.empty();
  });

  it.each(['tcp', 'options', 'describe'] as const)('sees a refused connection (%s)', async (kind) => {
    const target = { ip: '127.0.0.1', port: await closedPort() };
    await expect(createProbe({ kind, path: '/', expect: [200] }, target)(never)).rejects.toThrow('ECONNREFUSED');
  });

  it('does not even connect when it is aborted before', async () => {
    const server = await new RtspServer().listen();
    await expect(probe(server, 'tcp')(AbortSignal.abort(new Error('stopped')))).rejects.toThrow('stopped');
    expect(server.sockets.size).toBe(0);
  });
});

describe('the options probe', () => {
  it('asks for the URL of the service', async () => {
    const server = await new RtspServer('RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: DESCRIBE\r\n\r\n').listen();
    expect(await probe(server, 'options')(never)).toBe('OPTIONS 200');
    await server.empty();
    expect(server.requests.join('')).toBe(
      `OPTIONS rtsp://127.0.0.1:${server.port}/cam?channel=1 RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: penstock\r\n\r\n`,
    );
  });

  it('writes an IPv6 address in brackets', async () => {
    const server = await new RtspServer('RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n').listen(0, '::1');
    expect(await probe(server, 'options', [200], '::1')(never)).toBe('OPTIONS 200');
    expect(server.requests.join('')).toContain(`OPTIONS rtsp://[::1]:${server.port}/cam?channel=1 RTSP/1.0\r\n`);
  });

  it.each([401, 403, 404, 405, 454, 501])('takes %i for a living server', async (status) => {
    const server = await new RtspServer(`RTSP/1.0 ${status} Whatever\r\n\r\n`).listen();
    expect(await probe(server, 'options')(never)).toBe(`OPTIONS ${status}`);
  });

  it.each([500, 503, 505])('takes %i for a server in trouble', async (status) => {
    const server = await new RtspServer(`RTSP/1.0 ${status} Trouble\r\nCSeq: 1\r\n\r\n`).listen();
    await expect(probe(server, 'options')(never)).rejects.toThrow(`${status} Trouble`);
    await server.empty();
  });

  it.each([
    ['another protocol', 'SSH-2.0-OpenSSH_9.2\r\n\r\n'],
    ['HTTP', 'HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n'],
  ])('refuses %s', async (_, answer) => {
    const server = await new RtspServer(answer).listen();
    await expect(probe(server, 'options')(never)).rejects.toThrow();
    await server.empty();
  });

  it('refuses a server that closes without an answer', async () => {
    const server = await new RtspServer('close').listen();
    await expect(probe(server, 'options')(never)).rejects.toThrow('closed without a complete RTSP answer');
    await server.empty();
  });

  it('leaves a silent server with the reason it was aborted for', async () => {
    const server = await new RtspServer().listen();
    const abort = new AbortController();
    const running = probe(server, 'options')(abort.signal);
    const failed = expect(running).rejects.toThrow('no answer within');
    while (server.requests.length === 0) await new Promise((resolve) => setImmediate(resolve));
    abort.abort(new Error('no answer within 400 ms'));
    await failed;
    await server.empty();
  });
});

describe('the describe probe', () => {
  const ok = 'RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n';

  it('asks for SDP and accepts the expected statuses', async () => {
    const server = await new RtspServer(ok).listen();
    expect(await probe(server, 'describe')(never)).toBe('DESCRIBE 200');
    expect(server.requests.join('')).toContain('\r\nAccept: application/sdp\r\n');
    server.answer = 'RTSP/1.0 401 Unauthorized\r\nCSeq: 1\r\nWWW-Authenticate: Digest realm="x", nonce="y"\r\n\r\n';
    expect(await probe(server, 'describe', [200, 401])(never)).toBe('DESCRIBE 401');
    await server.empty();
  });

  it('refuses another status', async () => {
    const server = await new RtspServer('RTSP/1.0 404 Stream Not Found\r\nCSeq: 1\r\n\r\n').listen();
    await expect(probe(server, 'describe', [200, 401])(never)).rejects.toThrow('404 Stream Not Found, not 200 or 401');
    await server.empty();
  });

  it('refuses an answer that ends before its body', async () => {
    const server = await new RtspServer(ok.slice(0, -3)).listen();
    const running = probe(server, 'describe')(never);
    const failed = expect(running).rejects.toThrow('closed without a complete RTSP answer');
    while (server.requests.length === 0) await new Promise((resolve) => setImmediate(resolve));
    for (const socket of server.sockets) socket.end();
    await failed;
    await server.empty();
  });

  it('waits through a 100 and frames for the answer itself', async () => {
    const server = await new RtspServer(`RTSP/1.0 100 Continue\r\nCSeq: 1\r\n\r\n$\x00\x00\x02hi${ok}`).listen();
    expect(await probe(server, 'describe')(never)).toBe('DESCRIBE 200');
  });
});

describe('monitors of real servers', () => {
  const config = (kind: MonitorConfig['kind']): MonitorConfig => ({
    kind,
    intervalMs: 20,
    timeoutMs: 200,
    rise: 2,
    fall: 2,
    jitter: 0.2,
    path: '/cam',
    expect: [200],
  });

  /** Changes of one service, waited for one by one. */
  function watch(port: number, kind: MonitorConfig['kind']) {
    const changes: string[] = [];
    let wake = () => {};
    const monitors = new Monitors({
      onChange: (service, verdict, reason) => {
        changes.push(`${service.name} ${verdict}: ${reason}`);
        wake();
      },
    });
    const next = async (): Promise<string> => {
      while (changes.length === 0) await new Promise<void>((resolve) => (wake = resolve));
      return changes.shift() ?? '';
    };
    monitors.watch({
      index: 7,
      name: 'cam',
      ip: '127.0.0.1',
      port,
      monitor: config(kind),
      route: { ip: '127.0.0.1', port },
    });
    monitors.start();
    return { monitors, next, changes };
  }

  it('notice that a server dies and returns', async () => {
    const server = await new RtspServer('RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n').listen();
    const { port } = server;
    const { monitors, next } = watch(port, 'options');
    expect(await next()).toBe('cam up: OPTIONS 200');
    await server.close();
    expect(await next()).toMatch(/^cam down: 2 failures .*ECONNREFUSED/);
    const successor = await new RtspServer('RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n').listen(port);
    expect(await next()).toBe('cam up: OPTIONS 200');
    await monitors.stop();
    await successor.empty();
  });

  it('notice that a server goes on accepting but falls silent, or answers wrongly', async () => {
    const server = await new RtspServer('RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n').listen();
    const { monitors, next } = watch(server.port, 'describe');
    expect(await next()).toBe('cam up: DESCRIBE 200');
    server.answer = undefined;
    expect(await next()).toMatch(/^cam down: .*no answer within 200 ms/);
    server.answer = 'RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n';
    expect(await next()).toBe('cam up: DESCRIBE 200');
    server.answer = 'RTSP/1.0 404 Not Found\r\nCSeq: 1\r\n\r\n';
    expect(await next()).toMatch(/^cam down: .*404 Not Found/);
    await monitors.stop();
    await server.empty();
  });

  it('close the socket of a check that is under way when they stop', async () => {
    const server = await new RtspServer().listen();
    const { monitors, changes } = watch(server.port, 'options');
    while (server.requests.length === 0) await new Promise((resolve) => setImmediate(resolve));
    await monitors.stop();
    await server.empty();
    const seen = server.requests.length;
    await new Promise<void>((resolve) => systemClock.after(60, resolve));
    expect(server.requests.length).toBe(seen);
    expect(changes).toEqual([]);
  });

  it('take an unmonitored service for up, until clients fail on it', async () => {
    const { monitors, next } = watch(await closedPort(), 'none');
    expect(await next()).toBe('cam up: not checked');
    monitors.reportFailure(7, 'connect ECONNREFUSED');
    monitors.reportFailure(7, 'connect ECONNREFUSED');
    monitors.reportFailure(8, 'not ours');
    expect(await next()).toMatch(/^cam down: 2 failures/);
    expect(await next()).toBe('cam up: not checked');
    monitors.reportSuccess(7);
    expect(monitors.view(7)).toMatchObject({ verdict: 'up', passiveFailures: 2 });
    expect(monitors.view(8)).toBeUndefined();
    await monitors.stop();
  });
});
