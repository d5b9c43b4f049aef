import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { MediaClient } from '../support/media-client.js';
import { type Namespace, NET, TestNetwork } from '../support/netns.js';
import { Penstock } from '../support/penstock.js';
import { eventually } from '../support/program.js';
import { type ServedStream, SilentServer } from '../support/silent-server.js';
import { ofStranger, Sprayer } from '../support/sprayer.js';
import { bindPair } from '../support/udp.js';

// RTP bleed and injection: whoever sprays our media ports, without spoofing, must neither get media nor replace it.
// The table in docs/security.md says what happens in each latching mode; here each of its cells happens, on the
// wire, with the packets of the stream relayed by the sockets (gso) and by the kernel (offload).

const PORTS = { min: 20_000, max: 20_039 };
const RANGE = `${PORTS.min}-${PORTS.max}`;
const SESSIONS = 12;
const PORT = 8554;
const ROUNDS = 5;

type Mode = 'off' | 'same-ip' | 'any';
const MODES: readonly Mode[] = ['off', 'same-ip', 'any'];
const TIERS = ['gso', 'offload'] as const;

let net: TestNetwork;
beforeAll(() => {
  net = TestNetwork.create();
});
afterAll(() => net.destroy());

/** Who sprays, and what: the ports that face the client, or those that face the server. */
interface Attack {
  who: string;
  from: () => { namespace: Namespace; address: string };
  side: 'client' | 'server';
  /** The client has punched, and not told its SSRC by any report. */
  anonymous?: true;
  /**
   * Whether the attacker gets in: `never`; `early`, until the rightful one is heard, who then takes its place at
   * once; `always`, where it also takes the place of one that was heard.
   */
  gets: Record<Mode, 'never' | 'early' | 'always'>;
}

const stranger = () => ({ namespace: net.client2, address: NET.client2.ip });
const client = () => ({ namespace: net.client, address: NET.client.ip });
const server = () => ({ namespace: net.serverA, address: NET.serverA.ip });
const everybody = { off: 'never', 'same-ip': 'never', any: 'early' } as const;
const neighbour = { off: 'never', 'same-ip': 'early', any: 'early' } as const;

const ATTACKS: readonly Attack[] = [
  { side: 'client', who: 'a stranger', from: stranger, gets: everybody },
  { side: 'client', who: 'another port of its address', from: client, gets: neighbour },
  {
    ...{ side: 'client', who: 'another port of its address, before its first report', from: client, anonymous: true },
    gets: { off: 'never', 'same-ip': 'always', any: 'always' },
  },
  { side: 'server', who: 'a stranger', from: stranger, gets: everybody },
  { side: 'server', who: 'another port of its address', from: server, gets: neighbour },
];

class Scene {
  readonly #appliance: Penstock;
  readonly #server: SilentServer;
  readonly #closing: { close(): void }[] = [];

  private constructor(appliance: Penstock, server: SilentServer) {
    this.#appliance = appliance;
    this.#server = server;
  }

  static async start(mode: Mode, tier: (typeof TIERS)[number], more: string[] = []): Promise<Scene> {
    const server = await SilentServer.listen(net.serverA, {
      ...{ address: NET.serverA.ip, peer: NET.serverA.edge, port: PORT, sessions: SESSIONS },
    });
    const starting = Penstock.start(net.appliance, [
      ...['--listen', `${NET.client.edge}:${PORT}`, '--server', `${NET.serverA.ip}:${PORT}`],
      ...['--workers', '1', '--monitor', 'none'],
      ...['--media-ports', RANGE, '--port-policy', 'pool', '--quarantine', '0.2'],
      ...['--latching', mode, '--packet-path', tier, ...more],
    ]);
    starting.catch(() => server.close());
    return new Scene(await starting, server);
  }

  get stream(): ServedStream {
    return this.#server.newest;
  }

  async spray({ from, side }: Attack): Promise<Sprayer> {
    const { namespace, address } = from();
    const target = side === 'client' ? NET.client.edge : NET.serverA.edge;
    return this.closing(await Sprayer.start(namespace, address, target, PORTS));
  }

  async client(): Promise<MediaClient> {
    return this.closing(await MediaClient.setUp(net.client, NET.client.ip, NET.client.edge, PORT));
  }

  closing<T extends { close(): void }>(thing: T): T {
    this.#closing.push(thing);
    return thing;
  }

  async client2(): Promise<MediaClient> {
    return this.closing(await MediaClient.setUp(net.client2, NET.client2.ip, NET.client.edge, PORT));
  }

  /** Media of the server goes the way that this test is about. */
  async settled(tier: (typeof TIERS)[number]): Promise<void> {
    await eventually(`media goes by ${tier}`, async () => {
      const legs = await this.#appliance.show('listener');
      return legs.some((leg) => leg.kind === 'media' && leg.tier === tier) || undefined;
    });
  }

  async stat(name: string): Promise<number> {
    const stats = await this.#appliance.show('stat');
    return stats.find((stat) => stat.name === name)?.value ?? Number.NaN;
  }

  /** The engine has judged what was sent until now. */
  async refused(): Promise<number> {
    const names = ['not_latched_source', 'other_address', 'other_port', 'relearning', 'late'];
    const values = await Promise.all(names.map((name) => this.stat(name)));
    return values.reduce((sum, value) => sum + value, 0);
  }

  async stop(): Promise<void> {
    for (const thing of this.#closing) thing.close();
    await this.#server.close();
    await this.#appliance.stop();
  }
}

describe.each(TIERS)('tier %s', (tier) => {
  describe.each(MODES)('latching %s', (mode) => {
    let scene: Scene;
    beforeAll(async () => {
      scene = await Scene.start(mode, tier);
    });
    afterAll(() => scene?.stop());

    it.each(ATTACKS)('$side: $who', async (attack) => {
      const gets = attack.gets[mode];
      const sprayer = await scene.spray(attack);
      await sprayer.more(ROUNDS);
      const client = await scene.client();
      await client.play();
      await sprayer.more(ROUNDS);
      const { stream } = scene;
      // What the attacker wins: media of the session, or a place in it.
      const won = () => [...sprayer.received, ...ofStranger(client.received), ...ofStranger(stream.received)];

      // The one whose ports are sprayed has not been heard on them.
      if (attack.side === 'client') stream.start();
      if (gets !== 'never') await eventually('the attacker gets in', () => won().length > 0 || undefined);
      if (gets === 'always') sprayer.pause();
      if (attack.side === 'server') stream.start();
      client.punch(attack.anonymous ? 0 : 1);
      await client.more(10);
      if (gets === 'never') expect(won()).toEqual([]);

      // Both were heard. The client says nothing more; in the end the server does not either.
      sprayer.pause();
      await scene.settled(tier);
      await client.more(20);
      for (const heard of [sprayer.received, client.rtp, client.rtcp, stream.received]) heard.length = 0;
      const before = await scene.refused();
      sprayer.resume();
      if (gets === 'always') {
        await eventually('the attacker gets in again', () => sprayer.received.length > 0 || undefined);
      } else {
        await sprayer.more(ROUNDS);
        await client.more(20);
        stream.stop();
        await sprayer.more(ROUNDS);
        await eventually('the attacker was refused', async () => (await scene.refused()) > before || undefined);
        expect(won()).toEqual([]);
      }
      sprayer.pause();
      stream.stop();
      await client.teardown();
    });
  });

  it('late packets of an old port change nothing', async () => {
    const scene = await Scene.start('same-ip', tier);
    onTestFinished(() => scene.stop());
    const client = await scene.client();
    await client.play();
    client.punch();
    scene.stream.start();
    await client.more(10);
    await scene.settled(tier);
    // A NAT gives the client new ports, and what was sent from the old ones arrives now.
    await client.move(net.client);
    client.rtp.length = client.rtcp.length = 0;
    await eventually('both new ports are followed', () => {
      client.punch();
      return (client.rtp.length > 0 && client.rtcp.length > 0) || undefined;
    });
    await scene.settled(tier);
    client.astray.length = 0;
    for (let i = 0; i < 20; i++) {
      client.punchLate();
      client.punch();
      await client.more(2);
    }
    expect(client.astray).toEqual([]);
  });

  it('late packets of a former client, and of its server, do not reach who gets its ports next', async () => {
    const scene = await Scene.start('same-ip', tier, ['--media-ports', `${PORTS.min}-${PORTS.min + 3}`]);
    onTestFinished(() => scene.stop());
    // One pair is left on each side.
    for (const address of [NET.client.edge, NET.serverA.edge]) {
      const taken = await bindPair(net.appliance, address, PORTS.min);
      for (const socket of [taken.rtp, taken.rtcp]) scene.closing(socket);
    }
    const former = await scene.client();
    await former.play();
    former.punch();
    scene.stream.start();
    await former.more(10);
    await former.teardown();
    const old = scene.stream;
    const late = await scene.stat('late');
    former.rtp.length = former.rtcp.length = 0;
    // The server did not hear the TEARDOWN: as long as it sends, nobody gets the ports.
    await expect(scene.client2()).rejects.toThrow('453');
    await eventually('packets came late', async () => (await scene.stat('late')) > late || undefined);
    await expect(scene.client2()).rejects.toThrow('453');
    old.stop();
    const next = await eventually('the ports are free', () => scene.client2().catch(() => undefined));
    expect(next.serverPorts).toEqual(former.serverPorts);
    await next.play();
    scene.stream.start();
    const before = await scene.refused();
    await eventually('the former client is refused', async () => {
      former.punch();
      return (await scene.refused()) > before || undefined;
    });
    next.punch();
    await next.more(50);
    expect(former.received).toEqual([]);
    expect(ofStranger(old.received)).toEqual([]);
  });
});
