import { readdirSync, readlinkSync } from 'node:fs';
import { expect, onTestFinished, vi } from 'vitest';
import type { Config, Method, ProxyHeaderVersion } from '../../../../src/config/types.js';
import { FakeWireEngine } from '../../../support/fake-wire-engine.js';
import { freshRegion } from '../../../support/fresh-region.js';
import { answer, type Peer, request, ScriptedServer } from '../../../support/peer.js';

export { answer, request };

import { type HarnessOptions, ProxyHarness } from '../../../support/proxy-harness.js';

/** What the client types. Nobody resolves it: a Request-URI passes as it is. */
export const URL = 'rtsp://edge.example:8554/live';

export interface Farm {
  /** The worker; after `takeOver` its successor. */
  proxy: ProxyHarness;
  servers: ScriptedServer[];
  wireEngine: FakeWireEngine | undefined;
  connect(): Promise<Peer>;
  /** The worker dies. */
  kill(): Promise<void>;
  /** It dies unless it did already, and another one goes on in its place. */
  takeOver(): Promise<void>;
}

export interface FarmOptions extends Partial<Pick<HarnessOptions, 'config' | 'sockets'>> {
  servers?: number;
  names?: string[];
  /** Connections move to an engine. */
  wires?: boolean;
  /** Of every server. */
  mediaSources?: string[];
  /** Of every server. */
  proxyProtocol?: ProxyHeaderVersion;
}

/** Servers and a proxy between them and clients. At the end of the test everything ends, and nothing may stay open. */
export async function startFarm({
  servers: count = 1,
  names = [],
  wires = false,
  mediaSources = [],
  proxyProtocol = 'none',
  ...options
}: FarmOptions = {}): Promise<Farm> {
  const before = openSockets();
  const servers = await Promise.all(Array.from({ length: count }, () => ScriptedServer.listen()));
  const services = servers.map(({ host, port }, index) => {
    const name = names[index];
    return { host, port, mediaSources, proxyProtocol, ...(name !== undefined && { name }) };
  });
  const region = freshRegion({ services: services.length, sessionsPerWorker: 16, streamsPerWorker: 32 });
  const wireEngine = wires ? new FakeWireEngine(region) : undefined;
  const wired = wireEngine ? { wireEngine } : {};
  const workers: ProxyHarness[] = [];
  const start = async (): Promise<ProxyHarness> => {
    const worker = new ProxyHarness({ services, region, predecessor: workers.at(-1), ...wired, ...options });
    workers.push(worker);
    await worker.listen();
    return worker;
  };
  const farm: Farm = {
    proxy: await start(),
    servers,
    wireEngine,
    connect: () => farm.proxy.connect(),
    async kill() {
      await farm.proxy.die();
      wireEngine?.workerDied();
    },
    async takeOver() {
      if (!farm.proxy.dead) await farm.kill();
      farm.proxy = await start();
      farm.proxy.keeper.adopt();
      farm.proxy.proxy.adopt();
    },
  };
  onTestFinished(async () => {
    await Promise.all([...workers.map((worker) => worker.close()), ...servers.map((server) => server.close())]);
    await vi.waitFor(() => expect(openSockets(), 'descriptors of sockets').toBe(before), {
      interval: 1,
      timeout: 4_000,
    });
    const { proxy } = farm;
    expect(proxy.proxy.connections, 'client connections').toBe(0);
    await vi.waitFor(() => expect(wireEngine?.wires.size ?? 0, 'wires').toBe(0), { timeout: 4_000 });
    farm.proxy.table.freeReleased();
    expect(proxy.engine.streams.size, 'streams of the engine').toBe(0);
    expect([...proxy.media], 'media sockets').toEqual([]);
    expect(proxy.table.stats(), 'rows').toMatchObject({ sessions: 0, streams: 0 });
    for (const service of proxy.services) expect(service.load(), `load of ${service.name}`).toBe(0);
  });
  return farm;
}

/** A farm that balances by another method. */
export function balancedBy(method: Method): Partial<Config> {
  return { vservers: [{ name: 'main', listen: [], method, services: [] }] };
}

/** One request and its answer: what the server gets of the one, and the client of the other. */
export async function pass(client: Peer, server: Peer, request: string, answer: string): Promise<[string, string]> {
  client.send(request);
  const asked = await server.message();
  server.send(answer);
  return [asked, await client.message()];
}

/** The value of a field in a message. */
export function field(message: string, name: string): string {
  const value = new RegExp(`^${name}: (.*)\r$`, 'm').exec(message)?.[1];
  if (value === undefined) throw new Error(`no ${name} in ${message}`);
  return value;
}

export interface SetUp {
  cseq?: number;
  uri?: string;
  /** The client's own field. */
  transport?: string;
  /** The public id, for one more stream. */
  session?: string;
  /** What the server calls the session. */
  serverId?: string;
  /** What the server adds to its Transport; by default ports of its own. */
  reply?: string;
}

/** A SETUP that the server grants: the Transport it was shown, the public id and Transport that the client got. */
export async function setUp(
  client: Peer,
  server: Peer,
  { cseq = 1, uri = `${URL}/track1`, session, serverId = 'S1', ...rest }: SetUp = {},
): Promise<{ asked: string; session: string; transport: string }> {
  const offered = rest.transport ?? 'RTP/AVP;unicast;client_port=20500-20501';
  const session1 = session === undefined ? [] : [`Session: ${session}`];
  client.send(request('SETUP', uri, cseq, [`Transport: ${offered}`, ...session1]));
  const asked = field(await server.message(), 'Transport');
  server.send(answer(cseq, [`Transport: ${asked}${rest.reply ?? ';server_port=20600-20601'}`, `Session: ${serverId}`]));
  const reply = await client.message();
  return { asked, session: field(reply, 'Session'), transport: field(reply, 'Transport') };
}

export const INTERLEAVED = { transport: 'RTP/AVP/TCP;unicast;interleaved=0-1', reply: '' };

/** A connected client, and its connection to the first server, made by an OPTIONS. */
export async function meet(farm: Farm, index = 0): Promise<{ client: Peer; server: Peer }> {
  const client = await farm.connect();
  client.send(request('OPTIONS', '*', 0));
  const server = await (farm.servers[index] as ScriptedServer).accepted();
  await server.message();
  server.send(answer(0));
  await client.message();
  return { client, server };
}

export function frame(channel: number, payload: string): Buffer {
  const bytes = Buffer.from(`$\0\0\0${payload}`, 'latin1');
  bytes[1] = channel;
  bytes.writeUInt16BE(payload.length, 2);
  return bytes;
}

function openSockets(): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith('socket:');
    } catch {
      return false; // the descriptor of the listing itself is gone by now
    }
  }).length;
}
