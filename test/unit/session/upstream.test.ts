import { Socket } from 'node:net';
import { expect, it, onTestFinished, vi } from 'vitest';
import type { Service } from '../../../src/router/service.js';
import { makeRequest } from '../../../src/rtsp/status.js';
import { Dialer } from '../../../src/session/dialer.js';
import { Upstream } from '../../../src/session/upstream.js';
import { answer, ScriptedServer } from '../../support/peer.js';

const dialled = vi.hoisted(() => ({ socket: undefined as Socket | undefined }));

vi.mock('node:net', async (original) => {
  const net = await original<typeof import('node:net')>();
  return { ...net, connect: (options: never) => dialled.socket ?? net.connect(options) };
});

const handler = () => ({ onServerRequest: vi.fn(), onFrame: vi.fn(), onUpstreamClose: vi.fn() });
const serviceAt = (port: number) => ({ name: 'cam', ip: '127.0.0.1', port }) as Service;
const dialTo = (port: number, timeoutMs: number) => {
  const dialer = new Dialer({ to: () => ({ ip: '127.0.0.1', port }) }, { connectTimeoutMs: timeoutMs });
  return (service: Service) => dialer.dial(service);
};
const options = (cseq: number) => makeRequest('OPTIONS', '*', { CSeq: String(cseq) });

async function opened() {
  const server = await ScriptedServer.listen();
  onTestFinished(() => server.close());
  const events = handler();
  const upstream = await Upstream.open(serviceAt(server.port), events, dialTo(server.port, 1_000));
  return { server: await server.accepted(), upstream, events };
}

it('gives a connection up that is not there in time', async () => {
  dialled.socket = new Socket();
  onTestFinished(() => {
    dialled.socket = undefined;
  });
  await expect(Upstream.open(serviceAt(1), handler(), dialTo(1, 5))).rejects.toMatchObject({
    code: 'PENSTOCK_ERR_SERVICE_UNREACHABLE',
    message: 'cam (127.0.0.1:1): no connection within 5 ms',
  });
  expect(dialled.socket.destroyed).toBe(true);
});

it('sends the next request when the one before is answered, and closes when all are', async () => {
  const { server, upstream, events } = await opened();
  const answers = [1, 2].map((cseq) => upstream.request(options(cseq), 60_000));
  upstream.closeWhenIdle();
  for (const cseq of [1, 2]) {
    expect(await server.message()).toContain(`CSeq: ${cseq}\r\n`);
    expect(server.pending).toBe('');
    server.send(answer(cseq));
    expect(await answers[cseq - 1]).toMatchObject({ status: 200 });
  }
  expect(await server.rest()).toBe('');
  server.socket.end();
  await vi.waitFor(() => expect(events.onUpstreamClose).toHaveBeenCalledOnce());
});

it('fails every request that waits when the connection is lost, and each later one', async () => {
  const { server, upstream } = await opened();
  const waiting = [1, 2, 3].map((cseq) => upstream.request(options(cseq), 60_000));
  await server.message();
  server.socket.resetAndDestroy();
  const lost = { code: 'PENSTOCK_ERR_SERVICE_UNREACHABLE' };
  for (const request of waiting) await expect(request).rejects.toMatchObject(lost);
  await expect(upstream.request(options(4), 60_000)).rejects.toMatchObject(lost);
});

it('closes after a request that was not answered in time: a late answer would be taken for the next one', async () => {
  const { server, upstream } = await opened();
  const waiting = [1, 2].map((cseq) => upstream.request(options(cseq), 5));
  await expect(waiting[0]).rejects.toMatchObject({ code: 'PENSTOCK_ERR_SERVICE_TIMEOUT' });
  await expect(waiting[1]).rejects.toMatchObject({ code: 'PENSTOCK_ERR_SERVICE_UNREACHABLE' });
  await server.rest();
});
