import { isDeepStrictEqual } from 'node:util';
import type { OptionKey } from './schema.js';
import type { Config, LimitsConfig, ServiceConfig, TlsConfig, VserverConfig } from './types.js';

type Options<Fields extends PropertyKey> = { [Field in Fields]: OptionKey };

/** What a running appliance takes over, by field; beside these the method and the services of each vserver. */
const LIVE = {
  proxyProtocolFrom: 'proxy-protocol-from',
  mediaAddresses: 'media-address',
  latching: 'latching',
  sessionKeyFile: 'session-key-file',
  idleTimeoutMs: 'idle-timeout',
  clientTimeoutMs: 'client-timeout',
  connectTimeoutMs: 'connect-timeout',
  replyTimeoutMs: 'reply-timeout',
  drainTimeoutMs: 'drain-timeout',
  teardownOnDisconnect: 'teardown-on-disconnect',
  redirects: 'redirects',
  bridge: 'bridge',
  logLevel: 'log-level',
} as const satisfies Partial<Options<keyof Config>>;

/** Sockets, memory and processes are made once. */
const FIXED: Options<Exclude<keyof Config, keyof typeof LIVE | 'vservers' | 'limits'>> = {
  mediaPorts: 'media-ports',
  portPolicy: 'port-policy',
  sessionId: 'session-id',
  quarantineMs: 'quarantine',
  packetPath: 'packet-path',
  batchDelayUs: 'batch-delay',
  workers: 'workers',
  engineThreads: 'engine-threads',
  pinThreads: 'pin-threads',
  maxSessions: 'max-sessions',
  maxStreams: 'max-streams',
  receiveBuffer: 'receive-buffer',
  interleavedBacklog: 'interleaved-backlog',
  interleavedOverflow: 'interleaved-overflow',
  admin: 'admin',
  stateDir: 'state-dir',
};

/** For what begins from then on. */
const LIVE_LIMITS: Options<Exclude<keyof LimitsConfig, keyof typeof FIXED_LIMITS>> = {
  line: 'limit-line',
  headers: 'limit-headers',
  head: 'limit-head',
  body: 'limit-body',
  uri: 'limit-uri',
  pendingRequests: 'limit-pending-requests',
  firstRequestMs: 'limit-first-request-time',
  idleMs: 'limit-idle-time',
  messageBacklog: 'limit-message-backlog',
  connections: 'limit-connections',
  clientConnections: 'limit-client-connections',
  clientSessions: 'limit-client-sessions',
  sessionSetups: 'limit-session-setups',
  clientRequests: 'limit-client-requests',
  streamRate: 'limit-stream-rate',
};

/** The engine keeps to it too. */
const FIXED_LIMITS = { messageMs: 'limit-message-time' } as const satisfies Partial<Options<keyof LimitsConfig>>;

/** Options that need no restart. */
export const LIVE_OPTIONS: readonly OptionKey[] = [...Object.values(LIVE), ...Object.values(LIVE_LIMITS)];

export interface Reload {
  /** What runs from now on. */
  config: Config;
  /** What is another than before, in words. */
  changed: string[];
  /** What is another in the file and cannot be changed without a restart: it stays as it was. */
  refused: string[];
}

/** Every part of a process holds the same configuration object: what it says is replaced, not the object. */
export function takeOver(config: Config, next: Config): void {
  for (const field of Object.keys(config) as (keyof Config)[]) if (!(field in next)) delete config[field];
  Object.assign(config, { ...next, limits: Object.assign(config.limits, next.limits) });
}

/** What becomes of a running configuration when another one is read. Vservers are known by their names. */
export function planReload(current: Config, next: Config): Reload {
  const vservers = current.vservers.map((vserver) => planVserver(vserver, next));
  const limits = planLimits(current, next);
  const known = new Set(current.vservers.map(({ name }) => name));
  const strange = next.vservers.filter(({ name }) => !known.has(name)).map(({ name }) => `new vserver "${name}"`);
  return {
    config: {
      ...without(next, FIXED),
      ...only(current, FIXED),
      limits,
      vservers: vservers.map(({ vserver }) => vserver),
    },
    changed: [
      ...differing(current, next, LIVE),
      ...differing(current.limits, limits, LIVE_LIMITS),
      ...vservers.flatMap(({ changed }) => changed),
    ],
    refused: [
      ...differing(current, next, FIXED),
      ...differing(current.limits, next.limits, FIXED_LIMITS),
      ...vservers.flatMap(({ refused }) => refused),
      ...strange,
    ],
  };
}

/** A client's share of the sessions follows from the size of the table, which stays. */
function planLimits(current: Config, next: Config): LimitsConfig {
  const { messageMs, clientSessions } = current.limits;
  const isSameSize = current.workers === next.workers && current.maxSessions === next.maxSessions;
  return { ...next.limits, messageMs, ...(isSameSize ? {} : { clientSessions }) };
}

/** By name of the option. */
function differing<T extends object>(current: T, next: T, options: Partial<Options<keyof T>>): string[] {
  const entries = Object.entries(options) as [keyof T, OptionKey][];
  return entries.filter(([field]) => !isDeepStrictEqual(current[field], next[field])).map(([, option]) => option);
}

type Fixed = keyof typeof FIXED;

function only(config: Config, options: typeof FIXED): Pick<Config, Fixed> {
  return Object.fromEntries(Object.entries(config).filter(([field]) => field in options)) as Pick<Config, Fixed>;
}

function without(config: Config, options: typeof FIXED): Omit<Config, Fixed> {
  return Object.fromEntries(Object.entries(config).filter(([field]) => !(field in options))) as Omit<Config, Fixed>;
}

function planVserver(
  current: VserverConfig,
  next: Config,
): { vserver: VserverConfig; changed: string[]; refused: string[] } {
  const wanted = next.vservers.find(({ name }) => name === current.name);
  if (!wanted) return { vserver: current, changed: [], refused: [`the end of vserver "${current.name}"`] };
  const tls = planTls(current.tls, wanted.tls);
  const what = `of vserver "${current.name}"`;
  return {
    vserver: { ...withoutTls(wanted), listen: current.listen, ...(tls === undefined ? {} : { tls }) },
    changed: [
      ...(current.method === wanted.method ? [] : [`method ${what}`]),
      ...serviceChanges(current.services, wanted.services),
    ],
    refused: [
      ...(isDeepStrictEqual(current.listen, wanted.listen) ? [] : [`listen ${what}`]),
      ...(wanted.tls?.clientCertificates === current.tls?.clientCertificates
        ? []
        : [`tls-client-certificates ${what}`]),
    ],
  };
}

/** The files may be others, but what is asked of clients goes with the listening sockets. */
function planTls(current: TlsConfig | undefined, next: TlsConfig | undefined): TlsConfig | undefined {
  return current && next ? { ...next, clientCertificates: current.clientCertificates } : current;
}

function withoutTls({ tls: _, ...vserver }: VserverConfig): VserverConfig {
  return vserver;
}

function serviceChanges(before: readonly ServiceConfig[], after: readonly ServiceConfig[]): string[] {
  const left = before.filter((service) => !after.some((other) => isSameServer(service, other)));
  return [
    ...after.flatMap((service) => {
      const former = before.find((other) => isSameServer(service, other));
      if (!former) return [`service "${service.name}" added`];
      return isDeepStrictEqual(former, service) ? [] : [`service "${service.name}" changed`];
    }),
    ...left.map(({ name }) => `service "${name}" removed`),
  ];
}

/** Session ids name a server by its address: another address is another service. */
export function isSameServer(a: { ip: string; port: number }, b: { ip: string; port: number }): boolean {
  return a.ip === b.ip && a.port === b.port;
}
