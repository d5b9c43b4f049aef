import { networkInterfaces } from 'node:os';
import { formatIp, parseIp } from './ip-bytes.js';
import type { SharedRegion } from './shared-region.js';

/** An address of a peer or of our own. Port 0 = any port. */
export interface Endpoint {
  /** Numeric; an IPv6 zone (`%eth0` or `%2`) becomes the scope id and is read back as a number. */
  ip: string;
  port: number;
}

/** Writes an endpoint of the region; undefined = nothing known. Throws a RangeError for what is no numeric IP. */
export function writeEndpoint(region: SharedRegion, offset: number, endpoint: Endpoint | undefined): void {
  const { layout } = region;
  region.clear(offset, layout.sizes.endpoint);
  if (endpoint === undefined) return;
  const ip = parseIp(endpoint.ip);
  if (ip === undefined) throw new RangeError(`an endpoint needs a numeric IP, got ${endpoint.ip}`);
  const address = offset + layout.endpoint.address;
  for (let i = 0; i < ip.bytes.length; i++) region.setU8(address + i, ip.bytes[i] as number);
  region.setU16(offset + layout.endpoint.port, endpoint.port);
  region.setU8(offset + layout.endpoint.family, ip.family === 4 ? layout.family.v4 : layout.family.v6);
  region.setU32(offset + layout.endpoint.scope, scopeId(endpoint.ip));
}

/** Reads an endpoint; undefined where nothing is known. */
export function readEndpoint(region: SharedRegion, offset: number): Endpoint | undefined {
  const { endpoint, family } = region.layout;
  const found = region.getU8(offset + endpoint.family);
  if (found !== family.v4 && found !== family.v6) return undefined;
  const bytes = Uint8Array.from(region.bytes(offset + endpoint.address, found === family.v4 ? 4 : 16));
  const scope = region.getU32(offset + endpoint.scope);
  const ip = formatIp({ family: found === family.v4 ? 4 : 6, bytes });
  return { ip: scope === 0 ? ip : `${ip}%${scope}`, port: region.getU16(offset + endpoint.port) };
}

function scopeId(ip: string): number {
  const at = ip.indexOf('%');
  if (at < 0) return 0;
  const zone = ip.slice(at + 1);
  if (/^\d+$/.test(zone)) return Number(zone);
  // Only the link-local addresses of an interface carry its number.
  const addresses = (networkInterfaces()[zone] ?? []).filter((entry) => entry.family === 'IPv6');
  return addresses.find((entry) => entry.scopeid !== 0)?.scopeid ?? 0;
}
