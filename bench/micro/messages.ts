// How many messages one core parses, rewrites and writes in a second of its time. Prints `{"CASE": messages per second, …}`.
// node messages.js SECONDS
import { randomBytes } from 'node:crypto';
import type { RtspMessage, RtspResponse } from '../../src/rtsp/message.js';
import { RtspParser } from '../../src/rtsp/parser.js';
import { serialize } from '../../src/rtsp/serializer.js';
import { type Faces, rewriteReply, rewriteRequest } from '../../src/session/rewriter.js';
import { SessionCodec } from '../../src/session/session-codec.js';
import { matchReply, planRequest, toClient, toServer } from '../../src/session/transport-negotiator.js';
import { DESCRIBE_REPLY, PLAY_REPLY, SETUP_REPLY, SETUP_REQUEST } from './texts.js';

const SERVER = { ip: '10.77.2.2', port: 8554 };
const APPLIANCE_IP = '10.77.1.1';
const PORTS = { rtp: 20_000, rtcp: 20_001 };
const FRAMES = 40;
const FRAME_BYTES = 1200;
/** Until the compiler has seen it all. */
const WARM_UP_TURNS = 20_000;
const AT_ONCE = 100;

const codec = new SessionCodec({ mode: 'sealed', keys: [randomBytes(32)], isMember: () => true });
const faces: Faces = {
  isServer: ({ host }) => host === SERVER.ip,
  leadsHere: ({ host }) => host === SERVER.ip,
  appliance: { scheme: 'rtsp', authority: `${APPLIANCE_IP}:8554` },
  serverIp: SERVER.ip,
  applianceIp: APPLIANCE_IP,
  encodeId: (id) => codec.encode(SERVER, id),
};

/** Each does one message, but for frames. */
const CASES: Record<string, { run(): void; count: number }> = {
  'parse SETUP': { run: () => void parse(SETUP_REQUEST), count: 1 },
  'parse DESCRIBE reply': { run: () => void parse(DESCRIBE_REPLY), count: 1 },
  'SETUP, both ways': { run: setUp, count: 2 },
  'DESCRIBE reply': { run: () => void reply(DESCRIBE_REPLY), count: 1 },
  'PLAY reply': { run: () => void reply(PLAY_REPLY), count: 1 },
  'interleaved frames, split': { run: frames(), count: FRAMES },
};

function parse(bytes: Buffer): RtspMessage {
  let found: RtspMessage | undefined;
  const parser = new RtspParser({
    onMessage: (message) => {
      found = message;
    },
    onFrame: () => undefined,
  });
  parser.push(bytes);
  if (!found) throw new Error('no message');
  return found;
}

function parseReply(bytes: Buffer): RtspResponse {
  const message = parse(bytes);
  if (message.kind !== 'response') throw new Error('no answer');
  return message;
}

function reply(bytes: Buffer): Buffer {
  const message = parseReply(bytes);
  rewriteReply(message, faces);
  return serialize(message);
}

/** The whole work on a SETUP but its sockets. */
function setUp(): void {
  const request = parse(SETUP_REQUEST);
  if (request.kind !== 'request') throw new Error('no request');
  const id = codec.decode(codec.encode(SERVER, '0123456789abcdef'))?.serverId;
  rewriteRequest(request, id);
  const plan = planRequest(request.headers.get('Transport') ?? '');
  request.headers.set('Transport', toServer(plan, [PORTS]));
  serialize(request);
  const answer = parseReply(SETUP_REPLY);
  rewriteReply(answer, faces);
  const match = matchReply(plan, [PORTS], answer.headers.get('Transport'));
  answer.headers.set('Transport', toClient(match, { source: APPLIANCE_IP, serverPorts: PORTS }));
  serialize(answer);
}

function frames(): () => void {
  const frame = Buffer.alloc(4 + FRAME_BYTES, 1);
  frame.writeUInt8(0x24, 0);
  frame.writeUInt8(0, 1);
  frame.writeUInt16BE(FRAME_BYTES, 2);
  const chunk = Buffer.concat(Array.from({ length: FRAMES }, () => frame));
  const parser = new RtspParser({ onMessage: () => undefined, onFrame: () => undefined });
  return () => parser.push(chunk);
}

/** By CPU time: others may use the machine meanwhile. */
function perSecond({ run, count }: { run(): void; count: number }, seconds: number): number {
  for (let i = 0; i < WARM_UP_TURNS; i++) run();
  const before = cpuSeconds();
  let turns = 0;
  while (cpuSeconds() - before < seconds) {
    for (let i = 0; i < AT_ONCE; i++) run();
    turns += AT_ONCE;
  }
  return (turns * count) / (cpuSeconds() - before);
}

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

const seconds = Number(process.argv[2]);
const results: Record<string, number> = {};
for (const [name, one] of Object.entries(CASES)) {
  results[name] = perSecond(one, seconds);
}
process.stdout.write(`${JSON.stringify(results)}\n`);
