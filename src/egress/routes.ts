import { isIP, isIPv4 } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import type { Config, MediaAddress, ProxyHeaderVersion, ServiceConfig } from '../config/types.js';
import type { ServicePlace } from '../router/farm.js';
import type { ServiceAddress } from '../router/service.js';
import { certificatesIn, type TlsMaterial } from '../tls/material.js';

/** How a service is reached. */
export interface Route extends ServiceAddress {
  /** Absent: RTSP in the clear. */
  tls?: ConnectionOptions;
  /** Absent: it expects none. */
  proxyProtocol?: ProxyHeaderVersion;
  /** Address of ours that it is reached from; absent: the kernel's choice. */
  from?: string;
}

/** The routes to all services, by row. A route stays the same object as long as its service has the row. */
export class Routes {
  readonly #routes = new Map<number, Route>();
  readonly #config: Pick<Config, 'mediaAddresses'>;
  #places: readonly ServicePlace[] = [];

  /** `config` may change before an update. */
  constructor(places: readonly ServicePlace[], material: TlsMaterial, config: Pick<Config, 'mediaAddresses'>) {
    this.#config = config;
    this.update(material, places);
  }

  /** To the service of that row. */
  to(row: number): Route {
    const route = this.#routes.get(row);
    if (!route) throw new TypeError(`no service has row ${row}`);
    return route;
  }

  /** Other certificates, or other services. One that is leaving keeps its authorities. */
  update(material: TlsMaterial, places: readonly ServicePlace[] = this.#places): void {
    this.#places = places;
    const rows = new Set(places.map(({ row }) => row));
    for (const row of this.#routes.keys()) if (!rows.has(row)) this.#routes.delete(row);
    for (const { row, service, leaving } of places) {
      const known = this.#routes.get(row);
      if (leaving && known) continue;
      const route = this.#routeFor(row, service);
      // Servers send media to where RTSP comes from.
      const from = this.#from(service.ip);
      if (from !== undefined) route.from = from;
      else delete route.from;
      route.proxyProtocol = service.proxyProtocol;
      const tls = tlsOptions(service, material.services[service.name]);
      if (tls) route.tls = tls;
      else delete route.tls;
    }
  }

  #from(ip: string): string | undefined {
    const isFor = ({ side, address }: MediaAddress) => side === 'server' && isIPv4(address) === isIPv4(ip);
    return this.#config.mediaAddresses.find(isFor)?.address;
  }

  #routeFor(row: number, { ip, port }: ServiceConfig): Route {
    const known = this.#routes.get(row);
    if (known?.ip === ip && known.port === port) return known;
    const route: Route = { ip, port };
    this.#routes.set(row, route);
    return route;
  }
}

/** `ca`: PEM text of authorities; undefined for those that Node.js knows. */
function tlsOptions({ tls, host }: ServiceConfig, ca: string | undefined): ConnectionOptions | undefined {
  if (!tls) return undefined;
  const name = tls.serverName ?? host;
  return {
    // The name that the certificate must hold; an address must not be asked for (RFC 6066 §3).
    host: name,
    ...(isIP(name) === 0 ? { servername: name } : {}),
    rejectUnauthorized: tls.verify,
    ...(ca === undefined ? {} : { ca: certificatesIn(ca).map(String) }),
  };
}
