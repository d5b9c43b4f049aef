import { pino } from 'pino';
import { expect, it, onTestFinished, vi } from 'vitest';
import type { Service } from '../../../src/router/service.js';
import { Dialer } from '../../../src/session/dialer.js';
import { TeardownSender } from '../../../src/session/teardown.js';
import { answer, request, ScriptedServer } from '../../support/peer.js';

const SESSIONS = 150;
const AT_A_TIME = 64;

async function farm() {
  const server = await ScriptedServer.listen();
  onTestFinished(() => server.close());
  const dialer = new Dialer({ to: () => ({ ip: server.host, port: server.port }) }, { connectTimeoutMs: 1_000 });
  const sender = new TeardownSender({ replyTimeoutMs: 60_000 }, dialer, pino({ level: 'silent' }));
  const service = { name: 'cam', ip: server.host, port: server.port } as Service;
  for (let n = 0; n < SESSIONS; n++) sender.send(service, `rtsp://edge/${n}`, `S${n}`);
  return { server, sender };
}

it('tells a server of each session, over so many connections at a time and no more', async () => {
  const { server, sender } = await farm();
  await vi.waitFor(() => expect(server.connections).toBe(AT_A_TIME));
  for (let n = 0; n < SESSIONS; n++) {
    const peer = await server.accepted();
    expect(await peer.message()).toBe(request('TEARDOWN', `rtsp://edge/${n}`, 1, [`Session: S${n}`]));
    expect(server.connections).toBeLessThanOrEqual(AT_A_TIME + n);
    peer.send(answer(1));
    expect(await peer.rest()).toBe('');
    peer.socket.end();
  }
  await vi.waitFor(() => expect(sender).toMatchObject({ sent: SESSIONS, failed: 0, pending: 0 }));
});

it('counts those that failed and goes on', async () => {
  const { server, sender } = await farm();
  for (let n = 0; n < SESSIONS; n++) (await server.accepted()).socket.resetAndDestroy();
  await vi.waitFor(() => expect(sender).toMatchObject({ sent: 0, failed: SESSIONS, pending: 0 }));
});
