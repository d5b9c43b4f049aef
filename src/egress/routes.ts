import { isIP } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import type { Config, ServiceConfig } from '../config/types.js';
import type { ServiceAddress } from '../router/service.js';
import { certificatesIn, type TlsMaterial } from '../tls/material.js';

/** How a service is reached. */
export interface Route extends ServiceAddress {
  /** Absent: RTSP in the clear. */
  tls?: ConnectionOptions;
}

/** The routes to all services. A route stays the same object when certificates are exchanged. */
export class Routes {
  readonly #routes = new Map<string, Route>();
  readonly #services: readonly ServiceConfig[];

  constructor(config: Pick<Config, 'vservers'>, material: TlsMaterial) {
    this.#services = config.vservers.flatMap(({ services }) => services);
    for (const { name, ip, port } of this.#services) this.#routes.set(name, { ip, port });
    this.update(material);
  }

  /** To the service of that name. */
  to(name: string): Route {
    const route = this.#routes.get(name);
    if (!route) throw new TypeError(`no service has the name ${name}`);
    return route;
  }

  update(material: TlsMaterial): void {
    for (const service of this.#services) {
      const tls = tlsOptions(service, material.services[service.name]);
      if (tls) this.to(service.name).tls = tls;
    }
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
