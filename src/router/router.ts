import { PenstockError } from '../errors.js';
import type { RouteKey } from './balancer/index.js';
import { Claim } from './claim.js';
import type { RecentAffinity } from './persistence.js';
import type { Service, ServiceAddress } from './service.js';
import type { Vserver } from './vserver.js';

export interface RouteRequest {
  /** That of the listener on which the client came. */
  vserver: Vserver;
  key: RouteKey;
  /** The service that the client's connection is bound to. */
  connectionService?: Service | undefined;
  /** Services that already failed for this request. */
  exclude?: ReadonlySet<Service> | undefined;
}

/** A connection that gets a service by `recent` or `balancer` holds it by a claim, and has to release it. */
export type Route =
  | { service: Service; by: 'connection'; claim?: undefined }
  | { service: Service; by: 'recent' | 'balancer'; claim: Claim };

/** Decides which service a request goes to. Knows no sockets; nothing here waits. */
export class Router {
  readonly vservers: readonly Vserver[];
  readonly #recent: RecentAffinity;
  readonly #byAddress = new Map<string, Service>();
  readonly #byRow = new Map<number, Service>();

  constructor(vservers: readonly Vserver[], recent: RecentAffinity) {
    this.vservers = vservers;
    this.#recent = recent;
    this.update(vservers.map((vserver) => ({ vserver, leaving: [] })));
  }

  /** The pools changed. `leaving`: services that are in no pool any more and still have sessions. */
  update(vservers: readonly { vserver: Vserver; leaving: readonly Service[] }[]): void {
    this.#byAddress.clear();
    this.#byRow.clear();
    for (const { vserver, leaving } of vservers) {
      for (const service of [...vserver.services, ...leaving]) {
        this.#byRow.set(service.index, service);
        for (const key of [addressKey(service), addressKey(service, vserver)]) {
          if (!this.#byAddress.has(key)) this.#byAddress.set(key, service);
        }
      }
    }
  }

  /** The service of a row of the service table. */
  serviceAt(row: number): Service | undefined {
    return this.#byRow.get(row);
  }

  /**
   * A request that names no session: by the connection, else by what the client used a moment ago, else by the
   * balancing method. Throws PENSTOCK_ERR_NO_SERVICE.
   */
  route(request: RouteRequest): Route {
    const { vserver, connectionService } = request;
    if (connectionService) return { service: connectionService, by: 'connection' };
    const recent = this.#takeRecent(request);
    if (recent) return { service: recent, by: 'recent', claim: new Claim(recent) };
    const picked = vserver.pick(request.key, request.exclude);
    if (picked) return { service: picked, by: 'balancer', claim: new Claim(picked) };
    throw new PenstockError('PENSTOCK_ERR_NO_SERVICE', vserver.why(request.exclude));
  }

  /** A request that names a session: its service, in whatever state it is. Throws PENSTOCK_ERR_SESSION_NOT_FOUND. */
  memberAt({ ip, port }: ServiceAddress, vserver: Vserver): Service {
    const service = this.serviceByAddress(ip, port, vserver);
    if (service) return service;
    throw new PenstockError('PENSTOCK_ERR_SESSION_NOT_FOUND', `${ip} port ${port} is not in the farm`);
  }

  /** The service at an address, that of `preferred` first; undefined if no vserver has it. */
  serviceByAddress(ip: string, port: number, preferred?: Vserver): Service | undefined {
    const address = { ip, port };
    return (
      (preferred && this.#byAddress.get(addressKey(address, preferred))) ?? this.#byAddress.get(addressKey(address))
    );
  }

  /** A client's connection closed. If it never had a session, the client's next connection goes to the same service. */
  connectionClosed(vserver: Vserver, key: RouteKey, claim: Claim): void {
    if (!claim.release()) this.#recent.remember(vserver.name, key, claim.service.index);
  }

  /** A server sent a client to another service: the client's next request of that key without a session goes there. */
  redirected(vserver: Vserver, key: RouteKey, service: Service): void {
    this.#recent.remember(vserver.name, key, service.index);
  }

  #takeRecent({ vserver, key, exclude }: RouteRequest): Service | undefined {
    const index = this.#recent.take(vserver.name, key);
    const service = vserver.services.find((candidate) => candidate.index === index);
    return service && !exclude?.has(service) && service.unusable() === undefined ? service : undefined;
  }
}

function addressKey({ ip, port }: ServiceAddress, vserver?: Vserver): string {
  return vserver ? `${ip} ${port} ${vserver.name}` : `${ip} ${port}`;
}
