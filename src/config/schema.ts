/**
 * Every option of penstock, once: this table feeds the file reader, the flags, the environment and
 * docs/configuration.md. Defaults are written as an operator would type them and go through the same
 * parser as everything else.
 */
import { availableParallelism, homedir } from 'node:os';
import { join } from 'node:path';
import {
  BRIDGINGS,
  CLIENT_CERTIFICATES,
  LATCHINGS,
  LOG_LEVELS,
  METHODS,
  MONITOR_KINDS,
  OVERFLOWS,
  PACKET_PATHS,
  PORT_POLICIES,
  PROXY_HEADERS,
  REDIRECTS,
  SESSION_ID_MODES,
} from './types.js';
import type { ValueType } from './values.js';
import * as value from './values.js';

// Limits of the shared region, see native/table/region_layout.h.
export const MAX_WORKERS = 64;
export const MAX_ENGINE_THREADS = 16;
export const MAX_SERVICES = 1024;
export const MAX_ROWS_PER_WORKER = 2 ** 20;

export const ENV_PREFIX = 'PENSTOCK_';

const DAY_SEC = 86_400;

export interface Option<T> {
  readonly type: ValueType<T>;
  /** One sentence. */
  readonly about: string;
  readonly unit?: string;
  /** As it would be typed; absent = not set. */
  readonly standard?: string | readonly string[] | (() => string);
  /** Said in the documentation in place of a default that is computed. */
  readonly standardText?: string;
  /** May be given several times; a list in the file, comma-separated in the environment. */
  readonly list: boolean;
  /** A path: relative to the file that names it, else to the current directory. */
  readonly path?: boolean;
  /** Only a flag and an environment variable, not a key of the file. */
  readonly notInFile?: boolean;
}
export interface One<T> extends Option<T> {
  readonly list: false;
}
export interface Many<T> extends Option<T> {
  readonly list: true;
}
export type Shape = Readonly<Record<string, Option<unknown>>>;
/** What parsing a shape gives: keys that were absent or faulty are missing, faulty list items are undefined. */
export type Values<S extends Shape> = {
  [K in keyof S]?: S[K] extends Many<infer T> ? (T | undefined)[] : S[K] extends One<infer T> ? T : never;
};

type Rest = Omit<Option<unknown>, 'type' | 'about' | 'list'>;
const one = <T>(type: ValueType<T>, about: string, rest: Rest = {}): One<T> => ({ type, about, ...rest, list: false });
const many = <T>(type: ValueType<T>, about: string, rest: Rest = {}): Many<T> => ({ type, about, ...rest, list: true });

export const MONITOR_OPTIONS = {
  kind: one(
    value.choice(MONITOR_KINDS),
    'How a service is checked: a TCP connection, RTSP OPTIONS, RTSP DESCRIBE of a path, or not at all.',
    { standard: 'tcp' },
  ),
  interval: one(value.duration(0.1, 3600), 'Time from one check to the next.', { unit: 's', standard: '5' }),
  timeout: one(value.duration(0.05, 60), 'A check that takes longer has failed.', { unit: 's', standard: '2' }),
  rise: one(value.integer(1, 100), 'Successful checks in a row that bring a service up.', {
    unit: 'checks',
    standard: '2',
  }),
  fall: one(value.integer(1, 100), 'Failed checks in a row that take a service down.', {
    unit: 'checks',
    standard: '3',
  }),
  jitter: one(
    value.fraction(0, 1),
    'Share of the interval by which each check is moved at random, so that checks do not beat in step.',
    { standard: '0.2' },
  ),
  path: one(value.urlPath, 'Path of the URL that `options` and `describe` ask for.', { standard: '/' }),
  expect: one(
    value.statusCodes,
    'Answers that count as success for `describe`; 401 shows a server that lives and wants a password. `options` takes any answer below 500, and 501.',
    { standard: '200,401' },
  ),
} satisfies Shape;

/** Keys of a mapping under `services:`; the same names stand in the query of `--server`. */
export const SERVICE_OPTIONS = {
  address: one(
    value.hostPort,
    'Host and port of the RTSP server; without a port 554, or 322 for `rtsps://`; a name is resolved once at start.',
    { standardText: 'needed' },
  ),
  name: one(value.identifier, 'Name of the service in logs and commands.', { standardText: 'its HOST:PORT' }),
  weight: one(value.integer(1, 1000), 'Share of new sessions relative to the other services.', { standard: '1' }),
  'max-sessions': one(value.integer(0, 1_000_000), 'Most sessions at a time over the whole appliance; 0 is no limit.', {
    unit: 'sessions',
    standard: '0',
  }),
  'media-source': one(
    value.addresses,
    'Addresses from which the server sends media beside its own: its answers may name no other (`source=`), and nothing is sent to any other.',
    { standardText: 'none' },
  ),
  verify: one(
    value.toggle,
    'Whether the certificate of an `rtsps://` server must be valid for its name; without it anybody on the way can take the place of the server.',
    { standard: 'true' },
  ),
  ca: one(value.filePath, 'Authorities that may have signed the certificate of an `rtsps://` server, in PEM form.', {
    standardText: 'those that Node.js knows',
    path: true,
  }),
  'server-name': one(
    value.serverName,
    'Name that an `rtsps://` server is asked for and that its certificate must hold.',
    { standardText: 'the host of `address`' },
  ),
  'proxy-protocol': one(
    value.choice(PROXY_HEADERS),
    'PROXY protocol header by which the server is told who the client of each connection is; it must expect one.',
    { standard: 'none' },
  ),
} satisfies Shape;

/** Top-level keys that a vserver may have too. */
export const TLS_OPTIONS = {
  'tls-certificate': many(
    value.filePath,
    'Certificate for `rtsps://` addresses with its chain, in PEM form; of several, clients get the one for the name they ask for (SNI), or the first.',
    { standard: [], standardText: 'none', path: true },
  ),
  'tls-key': many(value.filePath, 'Private key of each certificate, in the same order.', {
    standard: [],
    standardText: 'in the file of the certificate',
    path: true,
  }),
  'tls-client-certificates': one(
    value.choice(CLIENT_CERTIFICATES),
    'Whether clients of `rtsps://` addresses may or must show a certificate; one that `tls-client-ca` did not sign is refused.',
    { standard: 'none' },
  ),
  'tls-client-ca': one(value.filePath, 'Authorities that may have signed certificates of clients, in PEM form.', {
    path: true,
  }),
} satisfies Shape;

/** Keys of a mapping under `vservers:`, beside `services:`. */
export const VSERVER_OPTIONS = {
  name: one(value.identifier, 'Name of the vserver in logs and commands.', { standardText: 'needed' }),
  listen: many(value.listenAddress, 'RTSP addresses of the vserver.', { standardText: 'needed' }),
  method: one(value.choice(METHODS), 'How a new session is balanced over the services.', {
    standardText: 'the top-level `method`',
  }),
  ...inherited(TLS_OPTIONS),
} satisfies Shape;

const monitorDefaults = {
  monitor: MONITOR_OPTIONS.kind,
  'monitor-interval': MONITOR_OPTIONS.interval,
  'monitor-timeout': MONITOR_OPTIONS.timeout,
  'monitor-rise': MONITOR_OPTIONS.rise,
  'monitor-fall': MONITOR_OPTIONS.fall,
  'monitor-jitter': MONITOR_OPTIONS.jitter,
  'monitor-path': MONITOR_OPTIONS.path,
  'monitor-expect': MONITOR_OPTIONS.expect,
} satisfies Shape;

/** What one client, or all of them, may ask for; beyond it a request is refused or a connection closed. */
export const LIMIT_OPTIONS = {
  'limit-line': one(value.bytes(128, 64 * 1024), 'Longest line of a message; beyond it 400 and the end.', {
    unit: 'bytes',
    standard: '8k',
  }),
  'limit-headers': one(value.integer(8, 1024), 'Most header lines of a message; beyond it 400 and the end.', {
    unit: 'lines',
    standard: '128',
  }),
  'limit-head': one(value.bytes(1024, 64 * 1024), 'Longest head of a message; beyond it 400 and the end.', {
    unit: 'bytes',
    standard: '32k',
  }),
  'limit-body': one(
    value.bytes(0, 16 * 1024 * 1024),
    'Longest body of a message; beyond it 413 and the end. Of what comes over a connection with interleaved media, 64k with its head.',
    { unit: 'bytes', standard: '256k' },
  ),
  'limit-uri': one(value.bytes(64, 64 * 1024), 'Longest Request-URI; beyond it 414 and the end.', {
    unit: 'bytes',
    standard: '2k',
  }),
  'limit-pending-requests': one(
    value.integer(1, 1024),
    'Requests of one connection that wait for those before; more are not read yet.',
    { unit: 'requests', standard: '32' },
  ),
  'limit-message-time': one(
    value.duration(0.1, 3600),
    'Longest time from the first byte of a message to its last; beyond it 408 and the end.',
    { unit: 's', standard: '10' },
  ),
  'limit-first-request-time': one(
    value.duration(0.1, 3600),
    'Longest time from a connection to its first request; beyond it the end.',
    { unit: 's', standard: '30' },
  ),
  'limit-idle-time': one(
    value.duration(1, DAY_SEC),
    'Longest time without a request on a connection that never had a session; beyond it the end.',
    { unit: 's', standard: '120' },
  ),
  'limit-message-backlog': one(
    value.bytes(64 * 1024, 64 * 1024 * 1024),
    'Most of our messages that wait for a peer that does not read; beyond it the end.',
    { unit: 'bytes', standard: '4M' },
  ),
  'limit-connections': one(
    value.integer(1, 1_000_000),
    'Most client connections at a time over the whole appliance; beyond it new ones are closed.',
    { unit: 'connections', standard: '32768' },
  ),
  'limit-client-connections': one(
    value.integer(1, 1_000_000),
    'Most connections at a time of one client address (IPv6: of one /64), over the whole appliance.',
    { unit: 'connections', standardText: 'three quarters of `limit-connections`' },
  ),
  'limit-client-sessions': one(
    value.integer(1, 1_000_000),
    'Most sessions at a time of one client address (IPv6: of one /64), over the whole appliance; beyond it 453.',
    { unit: 'sessions', standardText: 'three quarters of `max-sessions` of all workers' },
  ),
  'limit-session-setups': one(value.integer(1, 10_000), 'Most SETUPs in the life of one session; beyond it 453.', {
    unit: 'requests',
    standard: '64',
  }),
  'limit-client-requests': one(
    value.integer(0, 1_000_000),
    'Most requests a second of one client address at each worker, and as many at once; beyond it 503. 0 is no limit.',
    { unit: 'requests/s', standard: '0' },
  ),
  'limit-stream-rate': one(
    value.integer(0, 6_500_000),
    'Most media a second of one stream and direction over UDP, and as much at once, in steps of 100; packets beyond it are dropped. 0 is no limit.',
    { unit: 'kbit/s', standard: '0' },
  ),
} satisfies Shape;

/** Top-level keys of the file, flags and environment variables. */
export const OPTIONS = {
  config: one(value.filePath, 'Configuration file.', { notInFile: true }),
  listen: many(
    value.listenAddress,
    'RTSP address of the vserver `default`; `:554` is every IPv4 address, `[::]:554` every IPv6 one; port 0 lets the kernel choose.',
    {
      standard: [':554'],
    },
  ),
  server: many(value.server, 'RTSP server of the vserver `default`, with the keys of a service as query.'),
  method: one(value.choice(METHODS), 'How a new session is balanced, for vservers that do not say.', {
    standard: 'round-robin',
  }),
  ...TLS_OPTIONS,
  'proxy-protocol-from': many(
    value.network,
    'Proxies that forward connections of clients: each connection from there must begin with a PROXY protocol header (v1 or v2), and no other may.',
    { standard: [], standardText: 'nobody' },
  ),
  'media-address': many(
    value.mediaAddress,
    'Address of this machine for media of clients or (`server:`) of servers, and the address told to them instead of it (1:1 NAT).',
    { standard: [], standardText: 'the address on which the peer is reached' },
  ),
  'media-ports': one(
    value.portRange,
    'UDP ports for media, used where `port-policy` does not keep the port of a peer.',
    { unit: 'ports', standard: '20000-59999' },
  ),
  'port-policy': one(
    value.choice(PORT_POLICIES),
    '`preserve` shows each peer the port numbers of the other where they are free, `pool` always takes from `media-ports`.',
    { standard: 'preserve' },
  ),
  latching: one(
    value.choice(LATCHINGS),
    'Which first source of media is accepted: exactly the one from RTSP, its address with any port, or any (lets strangers inject media).',
    { standard: 'same-ip' },
  ),
  'session-id': one(
    value.choice(SESSION_ID_MODES),
    'Form of the Session id shown to clients: encrypted and tagged, or plain hexadecimal before or after the id of the server.',
    { standard: 'sealed' },
  ),
  'session-key-file': one(
    value.filePath,
    'File with one or two keys of 64 hexadecimal digits for Session ids; the first makes ids, both read them.',
    { standardText: 'a generated key in `state-dir`', path: true },
  ),
  'idle-timeout': one(
    value.duration(1, DAY_SEC),
    'A session ends when control and media have been silent this long, or longer if the server said so.',
    { unit: 's', standard: '60' },
  ),
  'client-timeout': one(
    value.duration(1, DAY_SEC),
    'A session ends when its client has sent neither RTSP nor media this long, whatever the server sends.',
    { unit: 's', standard: '120' },
  ),
  'connect-timeout': one(
    value.duration(0.1, 60),
    'A service that does not accept a connection in this time is skipped.',
    { unit: 's', standard: '3' },
  ),
  'reply-timeout': one(value.duration(0.1, 300), 'A service that does not answer a request in this time has failed.', {
    unit: 's',
    standard: '10',
  }),
  'drain-timeout': one(value.duration(0, DAY_SEC), 'How long sessions may go on after SIGTERM.', {
    unit: 's',
    standard: '30',
  }),
  quarantine: one(value.duration(0, 60), 'A freed port pair must be silent this long before it is used again.', {
    unit: 's',
    standard: '2',
  }),
  'teardown-on-disconnect': one(
    value.toggle,
    'End a UDP session when its RTSP connection is lost, instead of waiting for silence.',
    { standard: 'false' },
  ),
  redirects: one(
    value.choice(REDIRECTS),
    'A redirection to a server of the vserver is rewritten to come back through here, followed here, or passed as it is.',
    { standard: 'rewrite' },
  ),
  'packet-path': one(
    value.choice(PACKET_PATHS),
    'How media packets are moved (docs/packet-path.md); `auto` takes the fastest way that works here.',
    { standard: 'auto' },
  ),
  'batch-delay': one(
    value.batchDelay,
    'How long the engine gathers packets before it sends them; saves CPU with many streams.',
    { unit: 'ms', standard: 'auto' },
  ),
  workers: one(value.integer(1, MAX_WORKERS), 'Processes that speak RTSP.', {
    unit: 'processes',
    standard: coreCount,
    standardText: `number of cores, at most ${MAX_WORKERS}`,
  }),
  'engine-threads': one(value.integer(1, MAX_ENGINE_THREADS), 'Threads that move media.', {
    unit: 'threads',
    standard: '1',
  }),
  'pin-threads': one(
    value.toggle,
    'Pin each engine thread to a core; worth it where nothing else runs on the machine.',
    { standard: 'false' },
  ),
  'max-sessions': one(value.integer(1, MAX_ROWS_PER_WORKER), 'Sessions at a time per worker.', {
    unit: 'sessions',
    standard: '4096',
  }),
  'max-streams': one(
    value.integer(1, MAX_ROWS_PER_WORKER),
    'Streams (one SETUP each) at a time per worker, freed ones in quarantine included.',
    { unit: 'streams', standard: '8192' },
  ),
  'receive-buffer': one(
    value.bytes(4096, 256 * 1024 * 1024),
    'Receive buffer asked for each media socket; the kernel grants at most `net.core.rmem_max`.',
    { unit: 'bytes', standard: '4M' },
  ),
  'interleaved-backlog': one(
    value.bytes(64 * 1024, 64 * 1024 * 1024),
    'Media inside an RTSP connection that may wait for a reader that is too slow. The kernel keeps it: without CAP_NET_ADMIN at most a quarter of what `net.ipv4.tcp_rmem` allows.',
    { unit: 'bytes', standard: '1M' },
  ),
  'interleaved-overflow': one(
    value.choice(OVERFLOWS),
    'What happens when more waits than `interleaved-backlog` for two seconds: whole frames are dropped, or the connection is closed.',
    { standard: 'drop-frames' },
  ),
  bridge: one(
    value.choice(BRIDGINGS),
    'Where a server answers 461 to the transport that a client asks for, over UDP or inside the RTSP connection: `auto` asks it for the other one and converts; `off` leaves the client with the 461.',
    { standard: 'auto' },
  ),
  ...LIMIT_OPTIONS,
  ...monitorDefaults,
  admin: one(
    value.adminAddress,
    'TCP address of the admin API, which knows no passwords; a unix socket in `state-dir` is always there.',
  ),
  'state-dir': one(value.filePath, 'Directory of the admin socket and the generated key.', {
    standard: defaultStateDir,
    standardText: '`/var/lib/penstock` for root, else `$XDG_STATE_HOME/penstock` or `~/.local/state/penstock`',
    path: true,
  }),
  'log-level': one(value.choice(LOG_LEVELS), 'Least severe log lines that are written.', { standard: 'info' }),
} satisfies Shape;

export type OptionKey = keyof typeof OPTIONS;

/** The same options where each stands in for one of the top level. */
function inherited<S extends Shape>(shape: S): S {
  const entries = Object.entries(shape).map(([key, { standard: _, ...rest }]) => [
    key,
    { ...rest, standardText: `the top-level \`${key}\`` },
  ]);
  return Object.fromEntries(entries) as S;
}

export function envName(key: string): string {
  return `${ENV_PREFIX}${key.toUpperCase().replaceAll('-', '_')}`;
}

function coreCount(): string {
  return String(Math.min(availableParallelism(), MAX_WORKERS));
}

function defaultStateDir(): string {
  if (process.getuid?.() === 0) return '/var/lib/penstock';
  return join(process.env.XDG_STATE_HOME || join(homedir(), '.local', 'state'), 'penstock');
}
