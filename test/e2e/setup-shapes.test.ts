import type { Socket } from 'node:dgram';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { RtspRequest } from '../../src/rtsp/message.js';
import { type Namespace, NET, TestNetwork } from '../support/netns.js';
import { Penstock } from '../support/penstock.js';
import { eventually } from '../support/program.js';
import { listenToy, RtspClient } from '../support/rtsp-client.js';

// Each form that a SETUP can have, with the media that it is for: what RTSP says and where packets go must fit.
const RESEND_MS = 50; // a punch may still be on its way when the first packet of the server comes

/** Two sockets of one side, and what came to each. */
class Ports {
  readonly #came = new Map<Socket, Buffer[]>();

  constructor(
    readonly rtp: Socket,
    readonly rtcp: Socket,
  ) {
    for (const socket of [rtp, rtcp]) {
      const came: Buffer[] = [];
      this.#came.set(socket, came);
      socket.on('message', (packet: Buffer) => came.push(packet));
    }
  }

  static async bind(namespace: Namespace, address: string, rtp = 0, rtcp = 0): Promise<Ports> {
    return new Ports(await namespace.bindUdp(address, rtp), await namespace.bindUdp(address, rtcp));
  }

  got(socket: Socket, packet: Buffer): boolean {
    return this.#came.get(socket)?.some((each) => each.equals(packet)) === true;
  }

  get numbers(): [number, number] {
    return [this.rtp.address().port, this.rtcp.address().port];
  }

  close(): void {
    this.rtp.close();
    this.rtcp.close();
  }
}

interface Shape {
  name: string;
  /** The client's own ports; any by default. */
  ports?: [number, number];
  asked(rtp: number, rtcp: number): string;
  /** The server's answer: what it was shown, and its own ports. */
  reply?(shown: string, rtp: number, rtcp: number): string;
  /** Neither side may say where it sends from: the client shows it by punches. */
  punches?: boolean;
  /** RTCP takes the way of RTP. */
  mux?: boolean;
  /** Of the server, and of the client; the second ports carry RTCP. */
  media?: Buffer;
  reports?: [Buffer, Buffer];
  /** The client sends the media. */
  records?: boolean;
}

const RTP = Buffer.concat([Buffer.from('8060000100000000deadbeef', 'hex'), Buffer.alloc(100, 7)]);
const SENDER_REPORT = Buffer.from(`80c80006deadbeef${'00'.repeat(20)}`, 'hex');
const RECEIVER_REPORT = Buffer.from('80c9000112345678', 'hex');
const PICTURE_LOSS = Buffer.from('81ce000212345678deadbeef', 'hex');
const PUNCH = Buffer.from('cefaedfe', 'hex');
const TRANSPORT_STREAM = Buffer.alloc(7 * 188, 0x47);

const shapes: Shape[] = [
  { name: 'an odd first port', ports: [31_001, 31_002], asked: (a, b) => `RTP/AVP;unicast;client_port=${a}-${b}` },
  { name: 'a swapped pair', ports: [31_005, 31_004], asked: (a, b) => `RTP/AVP;unicast;client_port=${a}-${b}` },
  { name: 'ports apart', ports: [31_010, 35_001], asked: (a, b) => `RTP/AVP/UDP;unicast;client_port=${a}-${b}` },
  { name: 'one port for two', ports: [31_020, 31_021], asked: (a) => `RTP/AVP;unicast;client_port=${a}` },
  { name: 'ports above 9999', ports: [65_534, 65_535], asked: (a, b) => `RTP/AVP;unicast;client_port=${a}-${b}` },
  {
    name: 'ports outside of the pool',
    ports: [9_000, 9_001],
    asked: (a, b) => `RTP/AVP;unicast;client_port=${a}-${b}`,
  },
  { name: 'port zero', punches: true, asked: () => 'RTP/AVP;unicast;client_port=0-0' },
  { name: 'no port', punches: true, asked: () => 'RTP/AVP;unicast' },
  { name: 'a publisher without ports', records: true, asked: () => 'RTP/AVP/UDP;unicast;mode=record' },
  {
    name: 'a publisher, answered without an address',
    records: true,
    asked: (a, b) => `RTP/AVP/UDP;unicast;client_port=${a}-${b};mode="RECORD"`,
    reply: (shown, a, b) => `${shown.replace('"RECORD"', 'receive')};source=0.0.0.0;server_port=${a}-${b}`,
  },
  {
    name: 'the wrong client_port in the answer',
    asked: (a, b) => `RTP/AVP;unicast;client_port=${a}-${b};mode="PLAY"`,
    reply: (_, a, b) => `RTP/AVP;unicast;client_port=1-2;server_port=${a}-${b}`,
  },
  {
    name: 'no server_port in the answer',
    asked: (a, b) => `RTP/AVP;unicast;client_port=${a}-${b}`,
    reply: (shown) => shown,
  },
  {
    name: 'several alternatives, the last one chosen',
    asked: (a, b) =>
      `RTP/SAVPF;unicast;client_port=7000-7001,RTP/AVP/TCP;interleaved=0-1,RTP/AVP;client_port=${a}-${b}`,
    reply: (shown, a, b) => `${shown.split(',').at(-1)};server_port=${a}-${b}`,
  },
  {
    name: 'AVPF, and its feedback',
    asked: (a, b) => `RTP/AVPF;unicast;client_port=${a}-${b}`,
    reports: [SENDER_REPORT, PICTURE_LOSS],
  },
  {
    name: 'SAVP, whose reports are encrypted behind their first words',
    asked: (a, b) => `RTP/SAVP;unicast;client_port=${a}-${b}`,
    reports: [
      Buffer.concat([SENDER_REPORT.subarray(0, 8), Buffer.alloc(34, 0x5a)]),
      Buffer.concat([RECEIVER_REPORT, Buffer.alloc(14, 0xa5)]),
    ],
  },
  {
    name: 'RTP and RTCP on one port',
    mux: true,
    asked: (a) => `RTP/AVP;unicast;client_port=${a};RTCP-mux`,
    reply: (shown, a) => `${shown};server_port=${a}`,
  },
  {
    name: 'an MPEG-2 transport stream on one port',
    media: TRANSPORT_STREAM,
    asked: (a) => `MP2T/H2221/UDP;unicast;client_port=${a}`,
    reply: (shown, a) => `${shown};server_port=${a}`,
    mux: true,
    reports: [Buffer.from('anything'), Buffer.from('x')],
  },
  {
    name: 'raw datagrams on two ports',
    media: Buffer.from('no RTP'),
    asked: (a, b) => `RAW/RAW/UDP;unicast;client_port=${a}-${b}`,
    reports: [Buffer.from('there'), Buffer.from('and back')],
  },
];

let net: TestNetwork;
let appliance: Penstock;
let server: Ports;
let shape: Shape;
let toy: Awaited<ReturnType<typeof listenToy>>;

beforeAll(async () => {
  net = TestNetwork.create();
  server = await Ports.bind(net.serverB, NET.serverB.ip);
  toy = await listenToy(net.serverB, NET.serverB.ip, 8554, answer);
  appliance = await Penstock.start(net.appliance, [
    ...['--listen', `${NET.client.edge}:8554`, '--monitor', 'none'],
    ...['--server', `${NET.serverB.ip}:8554`],
  ]);
});
afterAll(async () => {
  await appliance.stop();
  net.destroy();
});

function answer({ method, headers }: RtspRequest): string {
  const cseq = `RTSP/1.0 200 OK\r\nCSeq: ${headers.get('CSeq')}\r\nSession: ${shapes.indexOf(shape)}\r\n`;
  if (method !== 'SETUP') return `${cseq}\r\n`;
  const echo = (shown: string, rtp: number, rtcp: number) => `${shown};server_port=${rtp}-${rtcp}`;
  const transport = (shape.reply ?? echo)(headers.get('Transport') ?? '', ...server.numbers);
  return `${cseq}Transport: ${transport}\r\n\r\n`;
}

/** Both ports behind a name in a Transport field. */
function portsIn(transport: string, name: string): { rtp: number; rtcp: number } {
  // Of several alternatives the last is the one that the server chose.
  const found = [...transport.matchAll(new RegExp(`${name}=(\\d+)(?:-(\\d+))?`, 'g'))].at(-1);
  return { rtp: Number(found?.[1]), rtcp: Number(found?.[2] ?? found?.[1]) };
}

it.each(shapes)('$name', async (current) => {
  shape = current;
  const { media = RTP, reports = [SENDER_REPORT, RECEIVER_REPORT], mux = false } = shape;
  const client = await Ports.bind(net.client, NET.client.ip, ...(shape.ports ?? [0, 0]));
  const control = await RtspClient.connect(net.client, NET.client.edge, 8554);
  const url = `rtsp://${NET.client.edge}:8554/live`;
  const reply = await control.ok('SETUP', `${url}/track1`, { Transport: shape.asked(...client.numbers) });
  const id = reply.headers.get('Session') ?? '';
  const [seenByServer, seenByClient] = [
    toy.requests.at(-1)?.headers.get('Transport') ?? '',
    reply.headers.get('Transport') ?? '',
  ];
  expect(seenByClient).toContain(`source=${NET.client.edge}`);
  const shown = portsIn(seenByServer, 'client_port');
  const ours = portsIn(seenByClient, 'server_port');
  const second = (ports: Ports) => (mux ? ports.rtp : ports.rtcp);

  const toClient = (packet: Buffer, from: Socket, to: number) => from.send(packet, to, NET.serverB.edge);
  const toServer = (packet: Buffer, from: Socket, to: number) => from.send(packet, to, NET.client.edge);
  const arrives = (what: string, at: Ports, socket: Socket, packet: Buffer, send: () => void) => {
    const timer = setInterval(send, RESEND_MS);
    send();
    return eventually(what, () => at.got(socket, packet) || undefined).finally(() => clearInterval(timer));
  };

  if (shape.punches) {
    toServer(PUNCH, client.rtp, ours.rtp);
    toServer(PUNCH, client.rtcp, ours.rtcp);
  }
  if (shape.records) {
    await arrives('media', server, server.rtp, media, () => toServer(media, client.rtp, ours.rtp));
  } else {
    await arrives('media', client, client.rtp, media, () => toClient(media, server.rtp, shown.rtp));
  }
  // A publisher that named no port shows where its reports go by those that it sends.
  await arrives('reports of the client', server, second(server), reports[1], () =>
    toServer(reports[1], second(client), ours.rtcp),
  );
  await arrives('reports of the server', client, second(client), reports[0], () =>
    toClient(reports[0], second(server), shown.rtcp),
  );
  await control.ok('TEARDOWN', url, { Session: id });
  await control.close();
  client.close();
});
