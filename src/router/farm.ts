import type { ServiceConfig, VserverConfig } from '../config/types.js';
import type { BalancerOptions } from './balancer/index.js';
import type { RecentAffinity } from './persistence.js';
import { Router } from './router.js';
import { Service } from './service.js';
import type { ServiceCells } from './service-cells.js';
import { Vserver } from './vserver.js';

/** Where a service stands. */
export interface ServicePlace {
  /** Row of the service table. */
  row: number;
  /** Of the configuration. */
  vserver: number;
  service: ServiceConfig;
  /** Not in the configuration any more: its sessions go on, and it gets no new ones. */
  leaving: boolean;
}

export interface FarmOptions extends BalancerOptions {
  cells: ServiceCells;
  recent: RecentAffinity;
}

/** The vservers and services of one worker. Those that a change leaves are the same objects before and after it. */
export class Farm {
  readonly vservers: readonly Vserver[];
  readonly router: Router;
  /** By row; undefined where no service is. */
  readonly services: (Service | undefined)[] = [];
  readonly #cells: ServiceCells;
  readonly #hosts = new WeakMap<Service, string>();

  constructor(vservers: readonly VserverConfig[], places: readonly ServicePlace[], options: FarmOptions) {
    this.#cells = options.cells;
    this.vservers = vservers.map(({ name, method }) => new Vserver({ name, method, services: [] }, options));
    this.router = new Router(this.vservers, options.recent);
    this.update(vservers, places);
  }

  /** The vservers are as many as before, each in its place. */
  update(vservers: readonly VserverConfig[], places: readonly ServicePlace[]): void {
    const former = this.services.splice(0);
    for (const place of places) this.services[place.row] = this.#serviceFor(place, former[place.row]);
    const of = (vserver: number, leaving: boolean) =>
      places
        .filter((place) => place.vserver === vserver && place.leaving === leaving)
        .map(({ row }) => this.services[row] as Service);
    for (const [index, vserver] of this.vservers.entries()) {
      vserver.update({ method: vservers[index]?.method ?? vserver.method, services: of(index, false) });
    }
    this.router.update(this.vservers.map((vserver, index) => ({ vserver, leaving: of(index, true) })));
  }

  /** The name by which a service is configured. */
  hostOf(service: Service): string {
    return this.#hosts.get(service) ?? service.ip;
  }

  #serviceFor({ row, service: spec }: ServicePlace, former: Service | undefined): Service {
    const isSame = former?.ip === spec.ip && former.port === spec.port;
    const service = isSame ? former : new Service({ index: row, ...spec }, this.#cells);
    service.describe(spec);
    this.#hosts.set(service, spec.host);
    return service;
  }
}
