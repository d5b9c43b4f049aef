/** Reads vservers and their services, and checks what one option alone cannot show. */
import { formatAddress } from './addresses.js';
import type { Faults, Locate, Path } from './faults.js';
import { absolutePaths, isMapping, parseOption, parseShape, refuseUnknown } from './parse.js';
import {
  MAX_SERVICES,
  MONITOR_OPTIONS,
  SERVICE_OPTIONS,
  type TLS_OPTIONS,
  type Values,
  VSERVER_OPTIONS,
} from './schema.js';
import { completeTls, serviceTls } from './tls.js';
import type {
  Method,
  MonitorConfig,
  MonitorKind,
  ProxyHeaderVersion,
  RtspListen,
  ServiceSpec,
  ServiceTls,
  VserverSpec,
} from './types.js';

const VSERVER_KEYS = [...Object.keys(VSERVER_OPTIONS), 'services'];
const SERVICE_KEYS = [...Object.keys(SERVICE_OPTIONS), 'monitor'];
const MONITOR_KEYS = Object.keys(MONITOR_OPTIONS);
/** What the query of `--server` takes: `monitor` is the kind, the rest of a monitor stands beside it. */
const QUERY_KEYS = [
  ...SERVICE_KEYS.filter((key) => key !== 'address'),
  ...MONITOR_KEYS.filter((key) => key !== 'kind'),
];

export interface Inherited {
  method: Method;
  monitor: MonitorConfig;
  tls: Values<typeof TLS_OPTIONS>;
}

/** Where something was written, and what its relative paths are relative to. */
export interface Origin {
  locate: Locate;
  base: string;
}

/** A thing and where it was written, for faults that concern two of them. */
interface Placed<T> {
  where: string;
  value: T;
}
export interface ParsedVserver {
  where: string;
  name: string;
  listen: Placed<RtspListen>[];
  method?: Method;
  tls: Values<typeof TLS_OPTIONS>;
  services: Placed<ParsedService>[];
  /** Something stood under `services`, faulty or not. */
  hasServices: boolean;
}
interface ParsedService {
  name: string;
  host: string;
  port: number;
  weight: number;
  maxSessions: number;
  mediaSources: string[];
  tls?: ServiceTls;
  proxyProtocol: ProxyHeaderVersion;
  monitor: Values<typeof MONITOR_OPTIONS>;
}

/** The list under `vservers:`. */
export function parseVservers(raw: unknown, origin: Origin, faults: Faults): ParsedVserver[] {
  if (!Array.isArray(raw) || raw.length === 0) {
    faults.addValue(origin.locate(['vservers']), `a list of mappings with ${VSERVER_KEYS.join(', ')}`, raw, '');
    return [];
  }
  return raw.flatMap((item: unknown, index) => parseVserver(item, ['vservers', index], origin, faults) ?? []);
}

function parseVserver(raw: unknown, path: Path, origin: Origin, faults: Faults): ParsedVserver | undefined {
  const { locate, base } = origin;
  if (!isMapping(raw)) {
    faults.addValue(locate(path), `a mapping with ${VSERVER_KEYS.join(', ')}`, raw, '');
    return undefined;
  }
  refuseUnknown(raw, VSERVER_KEYS, path, locate, faults);
  for (const key of ['name', 'listen']) {
    if (raw[key] === undefined) faults.add(locate(path), `the vserver has no "${key}"`);
  }
  const values = absolutePaths(VSERVER_OPTIONS, parseShape(VSERVER_OPTIONS, raw, path, locate, faults), base);
  const listenPath = [...path, 'listen'];
  return {
    where: locate(path),
    name: values.name ?? '',
    listen: place(values.listen ?? [], listenPath, locate),
    ...(values.method === undefined ? {} : { method: values.method }),
    tls: values,
    services: parseServices(raw.services, [...path, 'services'], origin, faults),
    hasServices: Array.isArray(raw.services) ? raw.services.length > 0 : raw.services !== undefined,
  };
}

/** A list of services, each a mapping or one line as `--server` takes it. */
export function parseServices(raw: unknown, path: Path, origin: Origin, faults: Faults): Placed<ParsedService>[] {
  const { locate } = origin;
  if (raw === undefined || raw === null) return [];
  if (!Array.isArray(raw)) {
    faults.addValue(locate(path), 'a list of services', raw, '');
    return [];
  }
  return raw.flatMap((item: unknown, index) => {
    const itemPath = [...path, index];
    const value = parseService(item, itemPath, origin, faults);
    return value === undefined ? [] : [{ where: locate(itemPath), value }];
  });
}

function parseService(item: unknown, path: Path, origin: Origin, faults: Faults): ParsedService | undefined {
  const { locate, base } = origin;
  const oneLine = typeof item === 'string';
  const raw = oneLine ? splitServer(item, locate(path), faults) : item;
  if (raw === undefined) return undefined;
  if (!isMapping(raw)) {
    faults.addValue(locate(path), `HOST:PORT or a mapping with ${SERVICE_KEYS.join(', ')}`, raw, '');
    return undefined;
  }
  if (!oneLine) refuseUnknown(raw, SERVICE_KEYS, path, locate, faults);
  // In one line the keys have no place of their own, so each fault names its key behind the place of the line.
  const at: Locate = oneLine ? (inner) => [locate(path), ...inner.slice(path.length)].join(': ') : locate;
  const values = absolutePaths(SERVICE_OPTIONS, parseShape(SERVICE_OPTIONS, raw, path, at, faults), base);
  const monitor = parseMonitor(raw.monitor, [...path, 'monitor'], at, faults);
  if (raw.address === undefined) faults.add(locate(path), 'the service has no "address"');
  if (values.address === undefined) return undefined;
  const { host, port } = values.address;
  const tls = serviceTls(values, locate(path), faults);
  return {
    name: values.name ?? formatAddress(host, port),
    host,
    port,
    weight: values.weight ?? Number(SERVICE_OPTIONS.weight.standard),
    maxSessions: values['max-sessions'] ?? Number(SERVICE_OPTIONS['max-sessions'].standard),
    mediaSources: values['media-source'] ?? [],
    ...(tls === undefined ? {} : { tls }),
    proxyProtocol: values['proxy-protocol'] ?? 'none',
    monitor,
  };
}

/** `HOST:PORT?weight=3&monitor=describe&path=/x` as the mapping that says the same. */
function splitServer(text: string, where: string, faults: Faults): Record<string, unknown> | undefined {
  const question = text.indexOf('?');
  const raw: Record<string, unknown> = { address: question < 0 ? text : text.slice(0, question) };
  if (question < 0) return raw;
  const monitor: Record<string, unknown> = {};
  for (const [key, value] of new URLSearchParams(text.slice(question + 1))) {
    if (!QUERY_KEYS.includes(key)) faults.addUnknownKey(`${where}: ${key}`, key, QUERY_KEYS);
    else if (key === 'monitor') monitor.kind = value;
    else if (key in MONITOR_OPTIONS) monitor[key] = value;
    else raw[key] = value;
  }
  return { ...raw, monitor };
}

/** A mapping, or just the kind. */
function parseMonitor(raw: unknown, path: Path, locate: Locate, faults: Faults): Values<typeof MONITOR_OPTIONS> {
  if (raw === undefined) return {};
  if (!isMapping(raw)) {
    const kind = parseOption(MONITOR_OPTIONS.kind, raw, path, locate, faults) as MonitorKind | undefined;
    return kind === undefined ? {} : { kind };
  }
  refuseUnknown(raw, MONITOR_KEYS, path, locate, faults);
  return parseShape(MONITOR_OPTIONS, raw, path, locate, faults);
}

export function place<T>(values: readonly (T | undefined)[], path: Path, locate: Locate): Placed<T>[] {
  return values.flatMap((value, index) => (value === undefined ? [] : [{ where: locate([...path, index]), value }]));
}

/** What concerns several vservers or services at once. */
export function checkVservers(vservers: readonly ParsedVserver[], faults: Faults): void {
  const named = vservers.filter((vserver) => vserver.name !== '').map((value) => ({ where: value.where, value }));
  refuseTwice(named, (vserver) => vserver.name, 'vserver name', faults);
  const fixed = vservers.flatMap((vserver) => vserver.listen).filter((listen) => listen.value.port !== 0);
  refuseTwice(fixed, (listen) => formatAddress(listen.address, listen.port), 'listen address', faults);
  const services = vservers.flatMap((vserver) => checkServices(vserver, faults));
  refuseTwice(services, (service) => service.name, 'service name, give one of them another', faults);
  if (services.length > MAX_SERVICES) {
    faults.add(services[MAX_SERVICES]?.where ?? '', `${services.length} services; expected at most ${MAX_SERVICES}`);
  }
}

/** The services of one vserver that have an address of their own. */
function checkServices(vserver: ParsedVserver, faults: Faults): Placed<ParsedService>[] {
  if (!vserver.hasServices) faults.add(vserver.where, `vserver "${vserver.name}" has no services`);
  const what = `service address of vserver "${vserver.name}"`;
  return refuseTwice(vserver.services, (service) => formatAddress(service.host, service.port), what, faults);
}

/** Adds a fault for each item whose key came before, and returns the others. */
function refuseTwice<T>(items: Placed<T>[], key: (value: T) => string, what: string, faults: Faults): Placed<T>[] {
  const seen = new Map<string, string>();
  return items.filter(({ where, value }) => {
    const text = key(value);
    const first = seen.get(text);
    if (first === undefined) seen.set(text, where);
    else faults.add(where, `"${text}" is already a ${what} (${first})`);
    return first === undefined;
  });
}

/** Fills in what vservers and services did not say. */
export function completeVserver(vserver: ParsedVserver, inherited: Inherited, faults: Faults): VserverSpec {
  const listen = vserver.listen.map(({ value }) => value);
  const tls = completeTls({ where: vserver.where, listen, tls: vserver.tls }, inherited.tls, faults);
  return {
    name: vserver.name,
    listen,
    ...(tls === undefined ? {} : { tls }),
    method: vserver.method ?? inherited.method,
    services: vserver.services.map(({ value }) => completeService(value, inherited.monitor)),
  };
}

function completeService(service: ParsedService, inherited: MonitorConfig): ServiceSpec {
  return { ...service, monitor: completeMonitor(service.monitor, inherited) };
}

export function completeMonitor(values: Values<typeof MONITOR_OPTIONS>, inherited: MonitorConfig): MonitorConfig {
  return {
    kind: values.kind ?? inherited.kind,
    intervalMs: values.interval ?? inherited.intervalMs,
    timeoutMs: values.timeout ?? inherited.timeoutMs,
    rise: values.rise ?? inherited.rise,
    fall: values.fall ?? inherited.fall,
    jitter: values.jitter ?? inherited.jitter,
    path: values.path ?? inherited.path,
    expect: values.expect ?? inherited.expect,
  };
}
