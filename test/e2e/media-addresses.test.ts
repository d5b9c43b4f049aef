import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Capture } from '../support/capture.js';
import { MEDIA } from '../support/media.js';
import { type Namespace, NET, TestNetwork } from '../support/netns.js';
import { type GstServer, playFfmpeg, playGst, publishFfmpeg, startGstServer } from '../support/peers.js';
import { Penstock } from '../support/penstock.js';
import { eventually } from '../support/program.js';
import { RtspClient } from '../support/rtsp-client.js';

// Media at other addresses than RTSP, and behind a NAT that maps one address to another.

const SECONDS = 3;
const FRAMES = SECONDS * MEDIA.framesPerSecond - 2;
const OUTSIDE = '203.0.113.7';
const OUTSIDE6 = '2001:db8:7::7';
const CLIENT_SIDE = '10.77.1.9';
const SERVER_SIDE = '10.77.2.9';

let net: TestNetwork;
let gst: GstServer;
let appliance: Penstock;

beforeAll(async () => {
  net = TestNetwork.create();
  gst = await startGstServer(net.serverA, { address: '::' });
  net.appliance.ip('addr', 'add', `${CLIENT_SIDE}/24`, 'dev', 'client');
  net.appliance.ip('addr', 'add', `${SERVER_SIDE}/24`, 'dev', 'serverA');
});
afterEach(async () => await appliance.stop());
afterAll(() => net.destroy());

const SERVER = ['--server', `${NET.serverA.ip}:8554`];

async function start(args: string[]): Promise<void> {
  appliance = await Penstock.start(net.appliance, [...SERVER, ...args]);
}

async function plays(from: Namespace, url: string): Promise<void> {
  const options = { transport: 'udp', seconds: SECONDS } as const;
  for (const played of [await playFfmpeg(from, url, options), ...(await playGst(from, [url], options))]) {
    expect(played.error).toBeUndefined();
    expect(played.frames).toBeGreaterThanOrEqual(FRAMES);
  }
}

/** The addresses between which UDP passed, or TCP of that port. */
async function addressesOf(capture: Capture, port: number): Promise<{ udp: Set<string>; tcp: Set<string> }> {
  const packets = await capture.stop();
  const of = (protocol: string) =>
    new Set(
      packets
        .filter((one) => one.protocol === protocol && (protocol === 'udp' || [one.sport, one.dport].includes(port)))
        .flatMap(({ src, dst }) => [src, dst]),
    );
  return { udp: of('udp'), tcp: of('tcp') };
}

it('media of clients comes from an address of its own', async () => {
  await start(['--listen', `${NET.client.edge}:8554`, '--media-address', CLIENT_SIDE]);
  const capture = await Capture.start(net.client);
  await plays(net.client, `rtsp://${NET.client.edge}:8554/test`);
  const { udp, tcp } = await addressesOf(capture, 8554);
  expect(udp).toEqual(new Set([CLIENT_SIDE, NET.client.ip]));
  expect(tcp).toEqual(new Set([NET.client.edge, NET.client.ip]));
});

it('servers are spoken to, checked and heard from an address of its own', async () => {
  const capture = await Capture.start(net.serverA);
  await start(['--listen', `${NET.client.edge}:8554`, '--media-address', `server:${SERVER_SIDE}`]);
  await plays(net.client, `rtsp://${NET.client.edge}:8554/test`);
  const { udp, tcp } = await addressesOf(capture, 8554);
  expect(udp).toEqual(new Set([SERVER_SIDE, NET.serverA.ip]));
  expect(tcp).toEqual(new Set([SERVER_SIDE, NET.serverA.ip]));
});

describe('behind a static NAT', () => {
  const families = [
    { family: 'ip', inside: NET.client.edge, outside: OUTSIDE },
    { family: 'ip6', inside: NET.client.edge6, outside: OUTSIDE6 },
  ];

  /** The NAT is in the client's own host: to it the appliance has the outer addresses, and no others. */
  beforeAll(() => {
    const rules = families.map(
      ({ family, inside, outside }) => `
      table ${family} nat {
        chain out { type nat hook output priority -100; ${family} daddr ${outside} dnat to ${inside}; }
        chain in { type nat hook input priority 100; ${family} saddr ${inside} snat to ${outside}; }
      }
      table ${family} inner {
        chain out { type filter hook output priority -200; ${family} daddr ${inside} drop; }
      }`,
    );
    for (const text of rules) net.client.exec('nft', [text]);
  });
  afterAll(() => net.client.exec('nft', ['flush ruleset']));

  it.each([
    { name: 'IPv4', inside: NET.client.edge, outside: OUTSIDE, url: `${OUTSIDE}:8554` },
    { name: 'IPv6', inside: NET.client.edge6, outside: OUTSIDE6, url: `[${OUTSIDE6}]:8554` },
  ])('$name: clients are told the outer address, and play and publish', async ({ inside, outside, url }) => {
    const listen = inside.includes(':') ? `[${inside}]:8554` : `${inside}:8554`;
    await start(['--listen', listen, '--media-address', `${inside}=${outside}`]);
    const client = await RtspClient.connect(net.client, outside, 8554);
    const description = await client.ok('DESCRIBE', `rtsp://${url}/test`, { Accept: 'application/sdp' });
    expect(`${description.headers.get('Content-Base')} ${description.body}`).not.toContain(inside);
    const transport = { Transport: 'RTP/AVP;unicast;client_port=31000-31001' };
    const answer = await client.ok('SETUP', `rtsp://${url}/test/stream=0`, transport);
    expect(answer.headers.get('Transport')).toContain(`;source=${outside}`);
    await client.ok('TEARDOWN', `rtsp://${url}/test`, { Session: answer.headers.get('Session') ?? '' });
    await client.close();
    await plays(net.client, `rtsp://${url}/test`);
    const before = gst.state.video;
    await publishFfmpeg(net.client, `rtsp://${url}/record`, { transport: 'udp', seconds: SECONDS });
    await eventually('all frames are recorded', () => gst.state.video - before >= FRAMES || undefined);
  });
});
