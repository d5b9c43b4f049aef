import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { PenstockError } from '../errors.js';
import { canonicalIp, formatAddress } from './addresses.js';
import type { Config, ConfigSpec, ServiceConfig, VserverConfig, VserverSpec } from './types.js';

/** Address text of a host name; rejects if there is none. */
export type Lookup = (host: string) => Promise<string>;

/**
 * Gives each service its IP address; names are looked up once. Throws PENSTOCK_ERR_CONFIG with one
 * line per name that has no address and per two names that are the same server.
 */
export async function resolveConfig(spec: ConfigSpec, find: Lookup = systemLookup): Promise<Config> {
  const hosts = new Set(spec.vservers.flatMap((vserver) => vserver.services.map((service) => service.host)));
  const addresses = new Map<string, string>();
  const faults: string[] = [];
  await Promise.all(
    [...hosts].map(async (host) => {
      try {
        addresses.set(host, canonicalIp(isIP(host) === 0 ? await find(host) : host));
      } catch (error) {
        faults.push(`${host}: no address found for this name: ${(error as Error).message}`);
      }
    }),
  );
  const vservers = spec.vservers.map((vserver) => withAddresses(vserver, addresses));
  faults.push(...vservers.flatMap(sameServerTwice));
  if (faults.length > 0) throw new PenstockError('PENSTOCK_ERR_CONFIG', faults.sort().join('\n'));
  return { ...spec, vservers };
}

async function systemLookup(host: string): Promise<string> {
  return (await lookup(host)).address;
}

function withAddresses(vserver: VserverSpec, addresses: ReadonlyMap<string, string>): VserverConfig {
  return {
    ...vserver,
    services: vserver.services.map((service) => ({ ...service, ip: addresses.get(service.host) ?? '' })),
  };
}

/** The Session id names a server by address, so one vserver cannot hold two services of one address. */
function sameServerTwice(vserver: VserverConfig): string[] {
  const seen = new Map<string, ServiceConfig>();
  return vserver.services.flatMap((service) => {
    if (service.ip === '') return [];
    const address = formatAddress(service.ip, service.port);
    const first = seen.get(address);
    seen.set(address, first ?? service);
    if (first === undefined) return [];
    return [`vserver "${vserver.name}": services "${first.name}" and "${service.name}" are both ${address}`];
  });
}
