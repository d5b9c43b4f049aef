/** Puts the configuration together: flag, environment, file, default, in this order. */
import { readFileSync } from 'node:fs';
import { isIPv4 } from 'node:net';
import { dirname, resolve } from 'node:path';
import { PenstockError } from '../errors.js';
import { Faults, type Locate } from './faults.js';
import { nearest } from './nearest.js';
import { absolutePaths, parseShape, refuseUnknown } from './parse.js';
import { ENV_PREFIX, envName, OPTIONS, type Option, type OptionKey, type Values } from './schema.js';
import type { ConfigSpec, LimitsConfig, MediaAddress, MonitorConfig } from './types.js';
import { checkVservers, completeVserver, type ParsedVserver, parseServices, parseVservers, place } from './vservers.js';
import { readYaml } from './yaml-file.js';

/** Variables that other parts of penstock read. */
const OTHER_VARIABLES = ['PENSTOCK_ADDON', 'PENSTOCK_WORKER', 'PENSTOCK_ENGINE'];

export interface Sources {
  /** By option name in kebab case; lists as arrays of text, switches as booleans. */
  flags: Readonly<Record<string, unknown>>;
  env: Readonly<Record<string, string | undefined>>;
  /** What relative paths of flags and environment are relative to. */
  cwd?: string;
}

export interface Loaded {
  config: ConfigSpec;
  /** Things that work but deserve a line in the log. */
  warnings: string[];
}

type OptionValues = Values<typeof OPTIONS>;
type Clean<T> = T extends (infer Item)[] ? Exclude<Item, undefined>[] : Exclude<T, undefined>;
/** Options that may be absent; every other one has a default. */
const UNSET = [
  'config',
  'server',
  'session-key-file',
  'tls-client-ca',
  'admin',
  'limit-client-connections',
  'limit-client-sessions',
] as const;
type Unset = (typeof UNSET)[number];
type SetKey = Exclude<OptionKey, Unset>;
/** The value of every option, once no fault is left. */
export type OptionSet = { [K in SetKey]: Clean<OptionValues[K]> } & { [K in Unset]?: Clean<OptionValues[K]> };
/** Option values of one place, and where that place is. */
interface Layer {
  values: OptionValues;
  raw: Readonly<Record<string, unknown>>;
  locate: Locate;
  /** What relative paths are relative to. */
  base: string;
}

/** Reads everything and checks it. Throws PENSTOCK_ERR_CONFIG whose message has one line per fault. */
export function loadConfig(sources: Sources): Loaded {
  const faults = new Faults();
  const { layers, file } = readLayers(sources, faults);
  const vservers = readVservers(layers, file, faults);
  checkVservers(vservers, faults);
  faults.throwIfAny();
  const config = complete(merge(layers), vservers, faults);
  faults.throwIfAny();
  return { config, warnings: [...configWarnings(config), ...strangeEnvironment(sources.env)] };
}

/** The options without vservers: for commands that run no appliance. */
export function loadOptions(sources: Sources): OptionSet {
  const faults = new Faults();
  const { layers } = readLayers(sources, faults);
  faults.throwIfAny();
  return merge(layers);
}

/** What an operator should know about a configuration that is valid. */
export function configWarnings(config: ConfigSpec): string[] {
  const warnings: string[] = [];
  if (config.latching === 'any') {
    warnings.push('latching "any" lets any host that finds a media port inject media or take the place of a peer');
  }
  const everybody = config.proxyProtocolFrom.filter((network) => network.endsWith('/0'));
  if (everybody.length > 0) {
    warnings.push(
      `proxy-protocol-from ${everybody.join(', ')} lets any host pass for any client, and sends media there`,
    );
  }
  const admin = config.admin?.address;
  if (admin !== undefined && admin !== '::1' && !admin.startsWith('127.')) {
    warnings.push(`admin ${admin} can be reached from other machines and knows no passwords`);
  }
  return warnings;
}

function readLayers(sources: Sources, faults: Faults): { layers: Layer[]; file: Layer | undefined } {
  const cwd = sources.cwd ?? process.cwd();
  const flags = readLayer(sources.flags, (path) => `--${path[0]}`, cwd, faults);
  const env = readLayer(readEnvironment(sources.env), (path) => envName(String(path[0])), cwd, faults);
  const name = flags.values.config ?? env.values.config;
  const file = name === undefined ? undefined : readFile(name, cwd, faults);
  return { layers: file === undefined ? [flags, env] : [flags, env, file], file };
}

function readLayer(raw: Readonly<Record<string, unknown>>, locate: Locate, base: string, faults: Faults): Layer {
  const values = absolutePaths(OPTIONS, parseShape(OPTIONS, raw, [], locate, faults), base);
  return { values, raw, locate, base };
}

function readEnvironment(env: Sources['env']): Record<string, unknown> {
  const raw: Record<string, unknown> = {};
  for (const [key, option] of Object.entries(OPTIONS as Record<string, Option<unknown>>)) {
    const text = env[envName(key)];
    // An empty variable is how shells and unit files say "not set".
    if (text === undefined || text === '') continue;
    raw[key] = option.list ? text.split(',').map((part) => part.trim()) : text;
  }
  return raw;
}

function readFile(name: string, cwd: string, faults: Faults): Layer {
  const path = resolve(cwd, name);
  const { raw, locate } = readYaml(name, readText(path, name), faults);
  refuseUnknown(raw, fileKeys(), [], locate, faults);
  return readLayer(raw, locate, dirname(path), faults);
}

function readText(path: string, name: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new PenstockError('PENSTOCK_ERR_CONFIG', `${name}: ${(error as Error).message}`, { cause: error });
  }
}

/** Keys that may stand at the top of a file. */
export function fileKeys(): string[] {
  const entries = Object.entries(OPTIONS as Record<string, Option<unknown>>);
  return [...entries.filter(([, option]) => option.notInFile !== true).map(([key]) => key), 'vservers'];
}

/** `vservers:` of the file, unless the command line or the environment describes the vserver `default`. */
function readVservers(layers: readonly Layer[], file: Layer | undefined, faults: Faults): ParsedVserver[] {
  const listed = file?.raw.vservers === undefined ? [] : parseVservers(file.raw.vservers, file, faults);
  const direct = layers.filter((layer) => layer.raw.listen !== undefined || layer.raw.server !== undefined);
  if (file?.raw.vservers === undefined) return [defaultVserver(layers, faults)];
  for (const key of ['listen', 'server']) {
    if (file.raw[key] !== undefined) faults.add(file.locate([key]), 'cannot stand beside "vservers"; write it there');
  }
  const above = direct.filter((layer) => layer !== file);
  return above.length === 0 ? listed : [defaultVserver(above, faults)];
}

function defaultVserver(layers: readonly Layer[], faults: Faults): ParsedVserver {
  const servers = layers.find((layer) => layer.raw.server !== undefined);
  const listen = layers.find((layer) => layer.raw.listen !== undefined);
  const raw = servers?.raw.server;
  const list = raw === undefined || Array.isArray(raw) ? raw : [raw];
  return {
    where: '--server or "vservers"',
    name: 'default',
    listen:
      listen === undefined
        ? place(standardOf('listen') ?? [], ['listen'], () => 'the default of listen')
        : place(listen.values.listen ?? [], ['listen'], listen.locate),
    services: servers === undefined ? [] : parseServices(list, ['server'], servers, faults),
    tls: {},
    hasServices: Array.isArray(list) && list.length > 0,
  };
}

function merge(layers: readonly Layer[]): OptionSet {
  const entries = (Object.keys(OPTIONS) as OptionKey[]).map((key) => {
    const layer = layers.find(({ values }) => values[key] !== undefined);
    const value = layer === undefined ? standardOf(key) : layer.values[key];
    if (value === undefined && !UNSET.some((unset) => unset === key)) throw new TypeError(`${key} has no default`);
    return [key, value];
  });
  return Object.fromEntries(entries) as OptionSet;
}

/** The default of an option, read by the same parser as any other value. */
function standardOf<K extends OptionKey>(key: K): OptionValues[K] {
  const { standard }: Option<unknown> = OPTIONS[key];
  const raw = typeof standard === 'function' ? standard() : standard;
  if (raw === undefined) return undefined as OptionValues[K];
  const faults = new Faults();
  const values: OptionValues = parseShape(OPTIONS, { [key]: raw }, [], () => `default of ${key}`, faults);
  faults.throwIfAny();
  return values[key];
}

function complete(values: OptionSet, vservers: readonly ParsedVserver[], faults: Faults): ConfigSpec {
  checkMediaAddresses(values['media-address'], faults);
  const inherited = { method: values.method, monitor: monitorDefaults(values), tls: values };
  const keyFile = values['session-key-file'];
  return {
    vservers: vservers.map((vserver) => completeVserver(vserver, inherited, faults)),
    proxyProtocolFrom: values['proxy-protocol-from'],
    mediaAddresses: values['media-address'],
    mediaPorts: values['media-ports'],
    portPolicy: values['port-policy'],
    latching: values.latching,
    sessionId: values['session-id'],
    ...(keyFile === undefined ? {} : { sessionKeyFile: keyFile }),
    idleTimeoutMs: values['idle-timeout'],
    clientTimeoutMs: values['client-timeout'],
    connectTimeoutMs: values['connect-timeout'],
    replyTimeoutMs: values['reply-timeout'],
    drainTimeoutMs: values['drain-timeout'],
    quarantineMs: values.quarantine,
    teardownOnDisconnect: values['teardown-on-disconnect'],
    redirects: values.redirects,
    packetPath: values['packet-path'],
    batchDelayUs: values['batch-delay'],
    workers: values.workers,
    engineThreads: values['engine-threads'],
    pinThreads: values['pin-threads'],
    maxSessions: values['max-sessions'],
    maxStreams: values['max-streams'],
    receiveBuffer: values['receive-buffer'],
    interleavedBacklog: values['interleaved-backlog'],
    interleavedOverflow: values['interleaved-overflow'],
    bridge: values.bridge,
    limits: limitsOf(values),
    ...(values.admin === undefined ? {} : { admin: values.admin }),
    stateDir: values['state-dir'],
    logLevel: values['log-level'],
  };
}

/** Servers are connected to from there, so there is no choice to be made between two. */
function checkMediaAddresses(addresses: readonly MediaAddress[], faults: Faults): void {
  const families = addresses.filter(({ side }) => side === 'server').map(({ address }) => isIPv4(address));
  if (new Set(families).size < families.length) faults.add('media-address', 'two `server:` addresses of one family');
}

/** Others find room even where one client takes all that it may. */
const CLIENT_SHARE = 3 / 4;

function limitsOf(values: OptionSet): LimitsConfig {
  const connections = values['limit-connections'];
  const sessions = values['max-sessions'] * values.workers;
  return {
    line: values['limit-line'],
    headers: values['limit-headers'],
    head: values['limit-head'],
    body: values['limit-body'],
    uri: values['limit-uri'],
    pendingRequests: values['limit-pending-requests'],
    messageMs: values['limit-message-time'],
    firstRequestMs: values['limit-first-request-time'],
    idleMs: values['limit-idle-time'],
    messageBacklog: values['limit-message-backlog'],
    connections,
    clientConnections: values['limit-client-connections'] ?? Math.ceil(connections * CLIENT_SHARE),
    clientSessions: values['limit-client-sessions'] ?? Math.ceil(sessions * CLIENT_SHARE),
    sessionSetups: values['limit-session-setups'],
    clientRequests: values['limit-client-requests'],
    streamRate: values['limit-stream-rate'] * 1_000,
  };
}

function monitorDefaults(values: OptionSet): MonitorConfig {
  return {
    kind: values.monitor,
    intervalMs: values['monitor-interval'],
    timeoutMs: values['monitor-timeout'],
    rise: values['monitor-rise'],
    fall: values['monitor-fall'],
    jitter: values['monitor-jitter'],
    path: values['monitor-path'],
    expect: values['monitor-expect'],
  };
}

/** Variables that look like a mistyped option; others may belong to something else. */
function strangeEnvironment(env: Sources['env']): string[] {
  const known = Object.keys(OPTIONS).map(envName);
  const fine = [...known, ...OTHER_VARIABLES];
  const strange = Object.keys(env).filter((name) => name.startsWith(ENV_PREFIX) && !fine.includes(name));
  const words = known.map((name) => name.slice(ENV_PREFIX.length));
  return strange.flatMap((name) => {
    const meant = nearest(name.slice(ENV_PREFIX.length), words);
    return meant === undefined ? [] : [`${name} is not an option; did you mean ${ENV_PREFIX}${meant}?`];
  });
}
