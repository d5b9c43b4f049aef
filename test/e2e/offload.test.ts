import type { Socket } from 'node:dgram';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { MediaListenerReport, SessionReport } from '../../src/admin/source.js';
import { Capture } from '../support/capture.js';
import { checksumsRight } from '../support/checksums.js';
import { announcedIn, bytesOf, flow, flows, udpFrom } from '../support/flows.js';
import { MEDIA } from '../support/media.js';
import { MEDIA_SERVER_PORT, MediaServer, sequenceOf } from '../support/media-server.js';
import { NET, TestNetwork } from '../support/netns.js';
import type { Packet } from '../support/pcap.js';
import { type Played, playFfmpeg, playGst, startGstServer } from '../support/peers.js';
import { Penstock } from '../support/penstock.js';
import { eventually } from '../support/program.js';
import { TestSession } from '../support/rtsp-client.js';

// Tier offload end to end: the kernel relays, and everybody sees what tier gso would have shown them.
const LISTEN = `${NET.client.edge}:8554`;
const URL = `rtsp://${LISTEN}/test`;
const TTL = 64; // of a socket of the appliance
const EVERY_MS = 4;

let net: TestNetwork;
let appliance: Penstock;

beforeAll(() => {
  net = TestNetwork.create();
  // Packets of a virtual network carry half a checksum, for a network card that never comes. Without it
  // the kernel finishes them as they leave, so that a capture at the client shows whether they are right.
  net.appliance.exec('ethtool', ['-K', 'client', 'tx', 'off']);
});
afterAll(() => net.destroy());

async function start(server: string, ...more: string[]): Promise<void> {
  appliance = await Penstock.start(net.appliance, ['--listen', LISTEN, '--server', server, ...more]);
}

async function counted(name: string): Promise<number> {
  return (await appliance.show('stat')).find((stat) => stat.name === name)?.value ?? Number.NaN;
}

/** Waits until the media of all sessions is in that tier, for that reason if there is one. */
async function inTier(tier: SessionReport['tier'], tierReason?: string): Promise<void> {
  await eventually(`tier ${tier}, ${tierReason ?? 'no reason'}`, async () => {
    const sessions = await appliance.show('session');
    return (sessions.length > 0 && sessions.every((s) => s.tier === tier && s.tierReason === tierReason)) || undefined;
  });
}

async function listener(side: 'client' | 'server'): Promise<MediaListenerReport> {
  const all = await appliance.show('listener');
  const found = all.find((row) => row.kind === 'media' && row.side === side && row.part === 'rtp');
  if (found?.kind !== 'media') throw new Error(`no listener of the ${side} side`);
  return found;
}

describe('real players', () => {
  const SECONDS = 6;
  const FRAMES = SECONDS * MEDIA.framesPerSecond - 2;
  const options = { transport: 'udp', seconds: SECONDS } as const;
  const players: Record<string, (url: string) => Promise<Played | undefined>> = {
    ffmpeg: async (url) => await playFfmpeg(net.client, url, options),
    rtspsrc: async (url) => (await playGst(net.client, [url], options))[0],
  };
  const families = {
    IPv4: { client: NET.client.ip, edge: NET.client.edge, server: NET.serverA.ip, serverEdge: NET.serverA.edge },
    IPv6: { client: NET.client.ip6, edge: NET.client.edge6, server: NET.serverB.ip6, serverEdge: NET.serverB.edge6 },
  };

  beforeAll(async () => {
    await startGstServer(net.serverA, { address: '0.0.0.0' });
    await startGstServer(net.serverB, { address: '::' });
  });
  afterEach(async () => await appliance.stop());

  it.each([
    { player: 'ffmpeg', family: 'IPv4', checksums: 'on' },
    { player: 'ffmpeg', family: 'IPv6', checksums: 'off' },
    { player: 'rtspsrc', family: 'IPv4', checksums: 'off' },
    { player: 'rtspsrc', family: 'IPv6', checksums: 'on' },
  ] as const)('$player, $family, the server with checksum offload $checksums', async (the) => {
    const { client, edge, server, serverEdge } = families[the.family];
    const serverNamespace = the.family === 'IPv4' ? net.serverA : net.serverB;
    serverNamespace.exec('ethtool', ['-K', 'eth0', 'tx', the.checksums]);
    const host = (address: string) => (the.family === 'IPv6' ? `[${address}]` : address);
    const listen = `${host(edge)}:8554`;
    appliance = await Penstock.start(net.appliance, ['--listen', listen, '--server', `${host(server)}:8554`]);
    const captures = [await Capture.start(net.client), await Capture.start(serverNamespace)] as const;
    const played = await players[the.player]?.(`rtsp://${listen}/test`);
    const clientSide = await captures[0].stop();
    const serverSide = await captures[1].stop();

    expect(played?.error).toBeUndefined();
    expect(played?.frames).toBeGreaterThanOrEqual(FRAMES);
    expect(await counted('offload_entered')).toBe(2);
    expect(await counted('offload_packets')).toBeGreaterThan(await counted('forwarded'));
    const near = announcedIn(clientSide, client, edge);
    const far = announcedIn(serverSide, serverEdge, server);
    expect(near).toHaveLength(2);
    for (const [track, { toClient }] of near.entries()) {
      sameBytes(bytesOf(serverSide, far[track]?.toClient[0]), bytesOf(clientSide, toClient[0]));
    }
    const sent = udpFrom(clientSide, edge);
    const announced = near.flatMap(({ toClient }) => toClient);
    expect(flows(sent).filter((text) => !announced.includes(text))).toEqual([]);
    soundPackets(sent);
  });

  /** What the server sends after the TEARDOWN was on its way goes nowhere. */
  function sameBytes(sent: Buffer, received: Buffer): void {
    expect(received.length).toBeGreaterThan(sent.length * 0.95);
    expect(received.equals(sent.subarray(0, received.length))).toBe(true);
  }

  function soundPackets(packets: Packet[]): void {
    expect(packets.length).toBeGreaterThan(100);
    expect(packets.filter((packet) => !checksumsRight(packet)).map(flow)).toEqual([]);
    const v4 = (packets[0]?.ip[0] ?? 0) >> 4 === 4;
    expect(packets.filter(({ ip }) => ip[v4 ? 8 : 7] !== TTL).map(flow)).toEqual([]);
  }
});

describe('a stream', () => {
  let server: MediaServer;
  let session: TestSession;
  let received: number[];

  beforeEach(async () => {
    server = await MediaServer.start(net.serverA, NET.serverA.ip, NET.serverA.edge);
    await start(`${NET.serverA.ip}:${MEDIA_SERVER_PORT}`);
    session = await TestSession.play(net.client, URL, { transport: 'udp', address: NET.client.ip });
    received = [];
    rtp().on('message', (packet: Buffer) => received.push(sequenceOf(packet)));
    server.stream(EVERY_MS);
    await inTier('offload');
  });
  afterEach(async () => {
    session.abandon();
    await server.close();
    await appliance.stop(/ended: SIGKILL; starting another/);
  });

  const stream = () => {
    const [only] = session.streams;
    if (!only) throw new Error('no stream');
    return only;
  };
  const rtp = (): Socket => {
    if (!stream().pair) throw new Error('not over UDP');
    return stream().pair?.rtp as Socket;
  };
  const upTo = (count: number): number[] => Array.from({ length: count }, (_, sequence) => sequence);

  /** Ends the stream and waits until all of it has come: in order, nothing twice, nothing missing. */
  async function allCame(): Promise<void> {
    server.pause();
    await eventually('the last packet', () => received.at(-1) === server.sent - 1 || undefined);
    expect(received).toEqual(upTo(server.sent));
  }

  it('moves between sockets and kernel, and no packet is lost, doubled or overtaken', async () => {
    const policy = ['dir', 'out', 'src', '192.0.2.0/24', 'dst', '192.0.2.0/24'];
    for (let i = 0; i < 3; i++) {
      await stream().more(20);
      net.appliance.ip('xfrm', 'policy', 'add', ...policy);
      await inTier('gso', 'IPsec policies');
      await stream().more(20);
      net.appliance.ip('xfrm', 'policy', 'del', ...policy);
      await inTier('offload');
    }
    await allCame();
    await eventually('all packets are counted', async () => {
      return (await listener('server')).rx.packets === server.sent || undefined;
    });
    expect((await listener('client')).tx).toEqual((await listener('server')).rx);
    expect((await appliance.show('session'))[0]?.toClient.packets).toBe(server.sent);
    const [forwarded, relayed] = [await counted('forwarded'), await counted('offload_packets')];
    expect(forwarded + relayed).toBe(server.sent);
    expect(relayed).toBeGreaterThan(60);
    expect([await counted('offload_entered'), await counted('offload_withdrawn')]).toEqual([4, 3]);
  });

  it('what the kernel must leave alone takes the sockets', async () => {
    server.pause();
    const before = await counted('offload_packets');
    const fallen = await counted('offload_fallen');
    server.send(3000); // in fragments
    await stream().more(1);
    net.appliance.ip('link', 'set', 'client', 'mtu', '900');
    server.send(1000); // larger than the way out takes
    await stream().more(1);
    net.appliance.ip('link', 'set', 'client', 'mtu', '1500');
    await allCame();
    expect(await counted('offload_fallen')).toBe(fallen + 2);
    expect(await counted('offload_packets')).toBeGreaterThanOrEqual(before);
  });

  it('follows a client that changes its port', async () => {
    const target = { port: stream().serverPort, address: NET.client.edge };
    const punch = (from: Socket) => from.send(Buffer.alloc(4, 0xce), target.port, target.address);
    punch(rtp());
    await eventually('the client is known', async () => (await listener('client')).state === 'latched' || undefined);
    const moved = await net.client.bindUdp(NET.client.ip);
    const arrived = new Promise<void>((resolve) => moved.once('message', () => resolve()));
    for (let i = 0; i < 5; i++) punch(moved);
    await arrived;
    const old = stream().rtp;
    await new Promise<void>((resolve) => moved.once('message', () => resolve()));
    await inTier('offload');
    expect((await listener('client')).remote).toBe(`${NET.client.ip}:${moved.address().port}`);
    expect(await counted('offload_withdrawn')).toBe(0); // changed in one step
    expect(stream().rtp).toBe(old);
    moved.close();
  });

  it('follows a server that changes its port', async () => {
    // Only the kernel sees the SSRC by which it will be known.
    server.ssrc++;
    await stream().more(5);
    server.pause();
    const moved = await net.serverA.bindUdp(NET.serverA.ip);
    const before = server.sent;
    for (let i = 0; i < 20; i++) server.send(1000, moved);
    await eventually('the last packet', () => received.at(-1) === server.sent - 1 || undefined);
    // Five packets prove it; of those only the last is passed on.
    expect(received.slice(received.indexOf(before - 1) + 1)).toEqual(upTo(server.sent).slice(before + 4));
    await inTier('offload');
    const relayed = await counted('offload_packets');
    server.send(1000, moved);
    await stream().more(1);
    await eventually('it was relayed', async () => (await counted('offload_packets')) > relayed || undefined);
    moved.close();
  });

  it('strangers send nothing through it', async () => {
    net.appliance.exec('sysctl', ['-qw', 'net.ipv4.conf.client.rp_filter=1', 'net.ipv4.conf.all.rp_filter=1']);
    server.pause();
    await allCame();
    // Another host, another port of the right host, and somebody who writes the server's address from elsewhere.
    net.client.ip('addr', 'add', `${NET.serverA.ip}/32`, 'dev', 'lo');
    const strangers = [
      await net.client2.bindUdp(NET.client2.ip),
      await net.serverA.bindUdp(NET.serverA.ip),
      await net.client.bindUdp(NET.serverA.ip, server.pair.port),
    ];
    const refused = (await listener('server')).refused;
    const { sent } = server;
    for (const stranger of strangers) {
      for (let i = 0; i < 3; i++) server.send(1000, stranger);
    }
    await eventually('two are refused', async () => (await listener('server')).refused === refused + 6 || undefined);
    // The third never came further than the reverse path filter.
    server.send();
    await stream().more(1);
    expect(received).toEqual([...upTo(sent), server.sent - 1]);
    net.client.ip('addr', 'del', `${NET.serverA.ip}/32`, 'dev', 'lo');
    for (const stranger of strangers) stranger.close();
  });

  it('flows through an interface that goes down and comes up', async () => {
    net.appliance.ip('link', 'set', 'client', 'down');
    await inTier('gso', 'no route to a host');
    net.appliance.ip('link', 'set', 'client', 'up');
    await inTier('offload');
    await stream().more(20);
  });

  it.each(['client', 'serverA'] as const)('goes on when another interface takes the place of %s', async (peer) => {
    net.replug(peer);
    net.appliance.exec('ethtool', ['-K', 'client', 'tx', 'off']);
    const gone = 'an interface is gone: its media takes the sockets';
    if (peer === 'serverA') await appliance.log(gone, (line) => line.interface === peer);
    await stream().more(20);
    await inTier('offload');
    const relayed = await counted('offload_packets');
    await eventually('the kernel relays', async () => (await counted('offload_packets')) > relayed || undefined);
    await stream().more(20);
  });

  it('outlives the engine: nothing is lost, nothing stays uncounted', async () => {
    const engine = async () => (await appliance.show('process')).find(({ name }) => name === 'engine');
    const victim = await engine();
    if (!victim) throw new Error('no engine');
    // One that stands still relays nothing, so what comes now is the kernel's.
    process.kill(victim.pid, 'SIGSTOP');
    await stream().more(50);
    process.kill(victim.pid, 'SIGKILL');
    await eventually('a successor', async () => {
      const now = await engine();
      return (now !== undefined && now.pid !== victim.pid && now.state === 'ready') || undefined;
    });
    await stream().more(50);
    process.stdout.write(`${JSON.stringify({ measured: 'longest gap, ms', longestGap: stream().longestGap })}\n`);
    await inTier('offload');
    expect(await counted('offload_inherited')).toBe(1);
    await allCame();
    await eventually('all packets are counted', async () => {
      return (await listener('server')).rx.packets === server.sent || undefined;
    });
  });

  it('ends with the primary, however that ends', async () => {
    await appliance.killPrimary();
    server.pause();
    const capture = await Capture.start(net.client);
    const before = received.length;
    for (let i = 0; i < 20; i++) server.send();
    expect(udpFrom(await capture.stop(), NET.client.edge)).toEqual([]);
    expect(received.length).toBe(before);
  });

  it('ends: the kernel relays nothing any more, and its ports rest before others get them', async () => {
    const answered = session.client.request('TEARDOWN', URL, { Session: session.id });
    expect((await answered).status).toBe(200);
    await eventually('the flow is withdrawn', async () => (await counted('offload_withdrawn')) === 1 || undefined);
    server.pause();
    const late = await counted('late');
    const relayed = await counted('offload_packets');
    const before = received.length;
    const owned = async () => (await appliance.show('listener')).filter(({ kind }) => kind === 'media').length;
    for (let i = 0; i < 10; i++) server.send();
    await eventually('they are late', async () => (await counted('late')) >= late + 10 || undefined);
    await eventually('the ports are free', async () => (await owned()) === 0 || undefined);
    expect(received.length).toBe(before);
    expect(await counted('offload_packets')).toBe(relayed);
  });
});
