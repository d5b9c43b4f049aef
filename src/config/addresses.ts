import { isIP, isIPv4, SocketAddress } from 'node:net';
import type { ListenAddress, MediaAddress, MediaSide, RtspListen } from './types.js';

const RTSP_PORT = 554;
/** Registered for RTSP over TLS (RFC 7826 §22.14). */
const RTSPS_PORT = 322;
const MAX_PORT = 65535;
const MAX_HOST = 253;
const HOST_NAME = /^(?=.*[a-z_])[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?$/i;

/** Text that is no value of its type; the message says why and follows "got …". */
export class ValueError extends Error {}

/**
 * One text for one address, as the kernel prints it: IPv6 lower case and shortened, IPv4 in IPv6 as
 * plain IPv4. A zone (`%eth0`) stays. Throws ValueError for anything but an IP literal.
 */
export function canonicalIp(text: string): string {
  const bare = /^\[(.*)\]$/.exec(text)?.[1] ?? text;
  if (isIP(bare) === 0) throw new ValueError('not an IP address');
  if (isIPv4(bare)) return bare;
  const [address = '', zone] = bare.split('%', 2);
  const canonical = new SocketAddress({ address, family: 'ipv6' }).address;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(canonical)?.[1];
  return mapped ?? (zone === undefined ? canonical : `${canonical}%${zone}`);
}

/** `ADDR:PORT` for people and logs: IPv6 in brackets. */
export function formatAddress(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** `[rtsp://|rtsps://]ADDR[:PORT]`; no address or `*` is every IPv4 address, `[::]` every IPv6 one. */
export function parseListen(text: string): RtspListen {
  const { tls, rest, defaultPort } = takeScheme(text);
  return { ...listenAddress(rest, defaultPort), tls };
}

/** `ADDR:PORT` of something that is not RTSP. */
export function parseAddress(text: string): ListenAddress {
  return listenAddress(text, null);
}

/** `[rtsp://|rtsps://]HOST[:PORT]` of a service: a name or an IP literal. */
export function parseHostPort(text: string): { host: string; port: number; tls: boolean } {
  const { tls, rest, defaultPort } = takeScheme(text);
  const { host, port } = splitHostPort(rest, defaultPort, 1);
  if (isIP(host) !== 0) return { host: canonicalIp(host), port, tls };
  if (host.length > MAX_HOST || !HOST_NAME.test(host)) throw new ValueError('not a host name or IP address');
  return { host: host.toLowerCase(), port, tls };
}

/** `[client:|server:]ADDR[=ADVERTISED]` */
export function parseMediaAddress(text: string): MediaAddress {
  const [, named, local = '', told] = /^(?:(client|server):)?([^=]*)(?:=(.*))?$/s.exec(text) ?? [];
  const side = (named ?? 'client') as MediaSide;
  const address = oneHost(canonicalIp(local));
  if (told === undefined) return { side, address };
  const advertised = oneHost(canonicalIp(told));
  if (isIPv4(address) !== isIPv4(advertised)) throw new ValueError('both addresses must be IPv4, or both IPv6');
  return { side, address, advertised };
}

function oneHost(ip: string): string {
  const isGroup = isIPv4(ip) ? Number.parseInt(ip, 10) >= 224 : /^ff/.test(ip);
  if (isGroup || ip === '0.0.0.0' || ip === '::') throw new ValueError('not the address of one host');
  return ip;
}

function takeScheme(text: string): { tls: boolean; rest: string; defaultPort: number } {
  const [, scheme = '', rest = ''] = /^(rtsps?:\/\/)?(.*?)\/?$/is.exec(text) ?? [];
  if (rest.includes('://')) throw new ValueError('the scheme is neither rtsp nor rtsps');
  if (rest.includes('/')) throw new ValueError('an address has no path');
  const tls = scheme.toLowerCase() === 'rtsps://';
  return { tls, rest, defaultPort: tls ? RTSPS_PORT : RTSP_PORT };
}

/** `defaultPort` null: one must be written. */
function listenAddress(text: string, defaultPort: number | null): ListenAddress {
  const { host, port } = splitHostPort(text, defaultPort, 0);
  if (host === '' || host === '*') return { address: '0.0.0.0', port };
  if (host === 'localhost') return { address: '127.0.0.1', port };
  return { address: canonicalIp(host), port };
}

function splitHostPort(text: string, defaultPort: number | null, minPort: number): { host: string; port: number } {
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::(\d+))?$/.exec(text);
  if (match === null) {
    throw new ValueError(isIP(text) === 6 ? 'an IPv6 address stands in brackets' : 'not ADDRESS:PORT');
  }
  const port = match[3] === undefined ? defaultPort : Number(match[3]);
  if (port === null) throw new ValueError('the port is missing');
  if (port < minPort || port > MAX_PORT) throw new ValueError(`a port is ${minPort} to ${MAX_PORT}`);
  return { host: match[1] ?? match[2] ?? '', port };
}
