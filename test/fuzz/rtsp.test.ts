import { ok, deepStrictEqual as same } from 'node:assert';
import { PenstockError } from '../../src/errors.js';
import { mapRtpInfoUrls } from '../../src/rtsp/headers/rtp-info.js';
import { formatSession, mapSessionId, parseSession } from '../../src/rtsp/headers/session.js';
import { formatTransport, parseTransport } from '../../src/rtsp/headers/transport.js';
import { parseRtspUrl, replaceOrigin } from '../../src/rtsp/headers/url.js';
import { DEFAULT_LIMITS } from '../../src/rtsp/limits.js';
import { mediaSections, rewriteSdp, sessionControl } from '../../src/rtsp/sdp.js';
import { SessionCodec } from '../../src/session/session-codec.js';
import { matchReply, planRequest, toClient, toServer } from '../../src/session/transport-negotiator.js';
import { loadCorpus } from '../rtsp/corpus.js';
import { record, skippedBetween } from '../rtsp/recorder.js';
import { fuzz } from './campaign.js';
import { Random } from './random.js';

const RTSP = /\/src\/rtsp\//;
const messages = loadCorpus().flatMap((conversation) => conversation.messages.map(({ bytes }) => bytes));
const WORDS = [
  'RTSP/1.0',
  'OPTIONS ',
  ' 200 OK',
  '\r\n',
  '\n',
  '\r\n\r\n',
  ': ',
  'Content-Length: 3\r\n',
  '$\0\0\x03',
  '\r\n\t',
  '\0',
];

/** Pieces that are cut where the input itself says. */
function cut(bytes: Buffer): Buffer[] {
  const random = new Random(bytes.length + (bytes[0] ?? 0) * 256 + 1);
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + 1 + random.below(1 + random.below(80));
    pieces.push(bytes.subarray(at, end));
    at = end;
  }
  return pieces;
}

fuzz({
  name: 'parser',
  seeds: messages,
  words: WORDS,
  sources: RTSP,
  run(input) {
    const whole = record([input]);
    const pieces = record(cut(input));
    same(pieces.events, whole.events);
    same(pieces.error, whole.error);
    ok(pieces.maxBuffered <= Math.max(DEFAULT_LIMITS.head + DEFAULT_LIMITS.body, 4 + 0xffff));
    if (whole.error === undefined) ok(skippedBetween(input, whole.elements, whole.buffered) >= 0, 'bytes were lost');
  },
});

const values = (name: string): Buffer[] =>
  [
    ...new Set(
      messages.flatMap((bytes) =>
        [...bytes.toString('latin1').matchAll(new RegExp(`^${name}: *(.*)\r$`, 'gim'))].map((match) => match[1] ?? ''),
      ),
    ),
  ].map((text) => Buffer.from(text, 'latin1'));

/** Only what is raised on purpose may be raised. */
function coded<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (error instanceof PenstockError) return undefined;
    throw error;
  }
}

const OURS = { rtp: 40_000, rtcp: 40_001 };
const FOREIGN = /^\s*(?:destination|source)\s*=/i;

fuzz({
  name: 'transport',
  seeds: values('Transport'),
  words: [
    'RTP/AVP',
    '/UDP',
    '/TCP',
    ';',
    ',',
    '=',
    '"',
    'client_port=',
    'server_port=',
    'destination=',
    'source=',
    'interleaved=',
    '0-1',
    'mode=',
    'multicast',
    'unicast',
    'RTCP-mux',
  ],
  sources: RTSP,
  run(input) {
    const text = input.toString('latin1').replace(/[\r\n\0]/g, '');
    const specs = parseTransport(text);
    same(
      parseTransport(formatTransport(specs)),
      parseTransport(formatTransport(parseTransport(formatTransport(specs)))),
    );
    const plan = coded(() => planRequest(text));
    if (!plan) return;
    const ports = plan.map(({ kind }) => (kind === 'udp' ? OURS : undefined));
    const asked = toServer(plan, ports);
    // As a server reads it that knows no quotes: nothing leads elsewhere.
    for (const part of asked.split(/[;,]/)) ok(!FOREIGN.test(part), asked);
    for (const [, port] of asked.matchAll(/[;,]\s*client_port\s*=\s*"?(\d*)/gi)) same(port, String(OURS.rtp));
    const match = coded(() => matchReply(plan, ports, text));
    if (match) toClient(match, { source: '192.0.2.1', serverPorts: OURS });
  },
});

fuzz({
  name: 'session',
  seeds: [...values('Session'), Buffer.from(' ;timeout=60'), Buffer.from('a ; timeout = 5 ;x="y"')],
  words: [';', 'timeout=', ' ', '"', '='],
  sources: RTSP,
  run(input) {
    const text = input.toString('latin1');
    const header = parseSession(text);
    same(
      mapSessionId(text, (id) => id),
      text,
    );
    same(parseSession(formatSession(header)), header);
    same(parseSession(mapSessionId(text, () => 'other')).id, 'other');
  },
});

const EDGE = { scheme: 'rtsp', authority: 'edge:1' } as const;
const URL_WORDS = ['rtsp://', 'rtsps://', '@', ':', '[', ']', '/', '?', '#', '%', '::', '127.0.0.1', 'example', '*'];

fuzz({
  name: 'url',
  seeds: ['rtsp://10.0.0.1:554/a', 'rtsp://user:pw@[2001:db8::1]:8554/a?b=c#d', 'rtspu://host', '*', 'rtsp://h:/'].map(
    (text) => Buffer.from(text),
  ),
  words: URL_WORDS,
  sources: RTSP,
  run(input) {
    const text = input.toString('latin1');
    same(
      replaceOrigin(text, () => false, { scheme: 'rtsps', authority: '' }),
      text,
    );
    const url = parseRtspUrl(text);
    const replaced = replaceOrigin(text, () => true, { scheme: 'rtsps', authority: 'edge.example:8554' });
    if (url === undefined) return same(replaced, text);
    const { scheme, host, port, path, userInfo } = parseRtspUrl(replaced) ?? {};
    return same([scheme, host, port, path, userInfo], ['rtsps', 'edge.example', 8554, url.path, url.userInfo]);
  },
});

fuzz({
  name: 'rtp-info',
  seeds: values('RTP-Info'),
  words: [...URL_WORDS, 'url=', ';seq=', ';rtptime=', ',', '"'],
  sources: RTSP,
  run(input) {
    const text = input.toString('latin1');
    same(
      mapRtpInfoUrls(text, (url) => url),
      text,
    );
    mapRtpInfoUrls(text, (url) => replaceOrigin(url, () => true, EDGE));
  },
});

const SERVER = '10.77.2.2';
const sdps = messages
  .filter((bytes) => bytes.includes('\r\n\r\nv=0'))
  .map((bytes) => bytes.subarray(bytes.indexOf('v=0')));

fuzz({
  name: 'sdp',
  seeds: sdps,
  words: [
    ...URL_WORDS,
    'a=control:',
    'c=IN IP4 ',
    'o=- 1 1 IN IP6 ',
    'm=video 0 RTP/AVP 96',
    'a=rtpmap:96 H264/90000',
    '\r\n',
    '\n',
    SERVER,
  ],
  sources: RTSP,
  run(input) {
    const identity = { url: (url: string) => url, address: (address: string) => address };
    ok(rewriteSdp(input, identity) === input, 'changed without a reason');
    const mapped = rewriteSdp(input, {
      url: (url) => replaceOrigin(url, () => true, EDGE),
      address: (address) => (address === SERVER ? '2001:db8::1' : address),
    });
    same(mapped.toString('latin1').split('\n').length, input.toString('latin1').split('\n').length);
    same(mediaSections(mapped).length, mediaSections(input).length);
    sessionControl(input);
  },
});

const member = { ip: '10.0.0.1', port: 554 };
const codecs = (['sealed', 'prefix', 'suffix'] as const).map(
  (mode) =>
    new SessionCodec({
      mode,
      keys: [Buffer.alloc(32, 1)],
      isMember: ({ ip, port }) => ip === member.ip && port === member.port,
    }),
);
const serverIds = ['S1', '12345678', 'a'.repeat(40), '$-_.+'];

fuzz({
  name: 'session-id',
  seeds: codecs.flatMap((codec) => serverIds.map((id) => Buffer.from(codec.encode(member, id)))),
  words: ['0a0000010', '022a', 'S1', '0', 'f'],
  sources: /\/src\/session\/session-codec/,
  run(input) {
    const text = input.toString('latin1');
    for (const codec of codecs) {
      const decoded = codec.decode(text);
      if (!decoded) continue;
      same(decoded.address, member);
      same(codec.encode(member, decoded.serverId), text);
    }
    ok(
      codecs[0]?.decode(text) === undefined || serverIds.includes(codecs[0].decode(text)?.serverId ?? ''),
      'a forged id',
    );
  },
});
