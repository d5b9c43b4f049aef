import type { Config, MediaSide } from '../config/types.js';
import type { ClientCells } from '../engine/client-cells.js';
import type { Layout } from '../engine/layout.js';
import type { PacketEngine } from '../engine/packet-engine.js';
import type { Wires } from '../engine/wires.js';
import type { PenstockError } from '../errors.js';
import type { Entered } from '../ingress/ingress.js';
import type { Logger } from '../log/logger.js';
import type { Router } from '../router/router.js';
import type { Service } from '../router/service.js';
import type { Vserver } from '../router/vserver.js';
import type { RtspConnection } from '../rtsp/connection.js';
import type { Authority } from '../rtsp/headers/url.js';
import { StreamTransport } from '../rtsp/stream-transport.js';
import { Admission } from './admission.js';
import { adoptConnections } from './adoption.js';
import type { CarriedSessions } from './carried-sessions.js';
import { ClientConnection } from './client-connection.js';
import type { Dialer } from './dialer.js';
import { type MediaPlace, mediaPlace } from './media-place.js';
import type { PortAllocator } from './port-allocator.js';
import type { SessionCodec } from './session-codec.js';
import type { SessionKeeper } from './session-keeper.js';
import type { SessionTable } from './session-table.js';
import type { Upstreams } from './upstreams.js';
import { type Descriptors, Wiring } from './wiring.js';

export interface RtspProxyOptions {
  config: Config;
  log: Logger;
  router: Router;
  dialer: Dialer;
  codec: SessionCodec;
  table: SessionTable;
  keeper: SessionKeeper;
  ports: PortAllocator;
  engine: PacketEngine;
  /** Empty but for the sessions that were adopted. */
  clients: ClientCells;
  /** Undefined: every connection stays in this process. */
  wires: Wires | undefined;
  descriptors: Descriptors;
  legIndex: Layout['legIndex'];
  now(): number;
  /** Host names by which a service is configured, beside its address: servers may name themselves so. */
  hostOf(service: Service): string;
  serviceFailed(service: Service, reason: string): void;
  serviceWorked(service: Service): void;
}

/** What all connections of a worker share. */
export class RtspProxy {
  readonly config: Config;
  readonly log: Logger;
  readonly router: Router;
  readonly dialer: Dialer;
  readonly codec: SessionCodec;
  readonly table: SessionTable;
  readonly keeper: SessionKeeper;
  readonly ports: PortAllocator;
  readonly engine: PacketEngine;
  readonly legIndex: Layout['legIndex'];
  readonly admission: Admission;
  readonly counters = {
    connections: 0,
    connectionsIdle: 0,
    connectionsHeldBack: 0,
    connectionsAdopted: 0,
    requests: 0,
    refused: 0,
    badInput: 0,
    framesToClient: 0,
    framesToServer: 0,
    framesDropped: 0,
    framesUnknownChannel: 0,
    foreignSources: 0,
  };
  readonly #options: RtspProxyOptions;
  readonly #connections = new Set<ClientConnection>();
  /** Services of which this worker told the primary that they failed. */
  readonly #suspected = new Set<Service>();

  constructor(options: RtspProxyOptions) {
    this.#options = options;
    this.config = options.config;
    this.log = options.log;
    this.router = options.router;
    this.dialer = options.dialer;
    this.codec = options.codec;
    this.table = options.table;
    this.keeper = options.keeper;
    this.ports = options.ports;
    this.engine = options.engine;
    this.legIndex = options.legIndex;
    this.admission = new Admission(options.config.limits, options.clients, () => options.now());
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** Leaves all connections to the engine, and so to a successor of this process. False: not all of them yet. */
  handOver(): boolean {
    return [...this.#connections].map((connection) => connection.handOver()).every(Boolean);
  }

  /** A connection that `admission` has counted. */
  accept({ stream, client, vserver, proxied }: Entered): void {
    this.counters.connections++;
    const transport = new StreamTransport(stream, client, proxied);
    this.#connections.add(new ClientConnection(this, transport, vserver));
  }

  /** Goes on with what a predecessor left to the engine; before the first `accept`. */
  adopt(): void {
    const { wires } = this.#options;
    if (!wires) return;
    for (const connection of adoptConnections(this, wires)) {
      this.#connections.add(connection);
      this.admission.adopt(connection.remote.ip);
    }
    this.counters.connectionsAdopted += this.#connections.size;
  }

  /** For one client connection. */
  wiring(client: RtspConnection, vserver: Vserver, upstreams: Upstreams, sessions: CarriedSessions): Wiring {
    const { wires, table, descriptors } = this.#options;
    const shared = { wires, descriptors, table, engine: this.engine, vserver: this.vserverIndex(vserver) };
    return new Wiring({ ...shared, client, upstreams, sessions });
  }

  connectionClosed(connection: ClientConnection): void {
    if (this.#connections.delete(connection)) this.admission.disconnect(connection.remote.ip);
  }

  now(): number {
    return this.#options.now();
  }

  /** Row of the vserver in the configuration. */
  vserverIndex(vserver: Vserver): number {
    return this.router.vservers.indexOf(vserver);
  }

  /** Once a second or so; of the connections only each `parts`-th one, from number `part` on. */
  tick(part = 0, parts = 1): void {
    const nowMs = this.now();
    let at = 0;
    for (const connection of this.#connections) if (at++ % parts === part) connection.tick(nowMs);
    this.#options.wires?.tick();
    this.keeper.sweep();
  }

  /** Ends all connections, each as soon as nothing is being answered on it. */
  close(): void {
    for (const connection of this.#connections) connection.close();
  }

  /** A service refused a connection, or closed it before a first byte. */
  unreachable(service: Service, error: PenstockError): void {
    this.log.warn({ service: service.name, code: error.code }, error.message);
    service.connectFailed();
    this.serviceFailed(service, error.message);
  }

  serviceFailed(service: Service, reason: string): void {
    this.#suspected.add(service);
    this.#options.serviceFailed(service, reason);
  }

  /** A session was opened: worth telling only where a failure was told before. */
  serviceWorked(service: Service): void {
    if (this.#suspected.delete(service)) this.#options.serviceWorked(service);
  }

  /** Whether `authority` is the service's own address or configured name. */
  names(service: Service, authority: Authority): boolean {
    if (authority.port !== service.port) return false;
    return authority.host === service.ip || authority.host === this.#options.hostOf(service).toLowerCase();
  }

  /** Where media of a peer is received; undefined where it cannot be. */
  mediaPlace(side: MediaSide, ends: { local: string; peer: string }): MediaPlace | undefined {
    return mediaPlace(this.config.mediaAddresses, side, ends);
  }
}
