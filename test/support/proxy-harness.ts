import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { Config, LimitsConfig, ProxyHeaderVersion, ServiceConfig } from '../../src/config/types.js';
import { Routes } from '../../src/egress/routes.js';
import { loadBinding } from '../../src/engine/binding.js';
import { ClientCells } from '../../src/engine/client-cells.js';
import type { PacketEngine } from '../../src/engine/packet-engine.js';
import { RegionServiceCells, ServiceRows } from '../../src/engine/service-cells.js';
import type { SharedRegion } from '../../src/engine/shared-region.js';
import { Wires } from '../../src/engine/wires.js';
import { type MeetingPoint, Tunnels } from '../../src/ingress/http/tunnels.js';
import { Ingress } from '../../src/ingress/ingress.js';
import { TrustedProxies } from '../../src/ingress/trusted-proxies.js';
import { createLogger, type Logger } from '../../src/log/logger.js';
import { RecentAffinity } from '../../src/router/persistence.js';
import { Router } from '../../src/router/router.js';
import { Service } from '../../src/router/service.js';
import { Vserver } from '../../src/router/vserver.js';
import { canonicalIp } from '../../src/rtsp/stream-transport.js';
import { Dialer } from '../../src/session/dialer.js';
import { type BoundPort, PortAllocator } from '../../src/session/port-allocator.js';
import { RtspProxy } from '../../src/session/proxy.js';
import { SessionCodec } from '../../src/session/session-codec.js';
import { SessionKeeper } from '../../src/session/session-keeper.js';
import { SessionTable } from '../../src/session/session-table.js';
import { TeardownSender } from '../../src/session/teardown.js';
import { FakeEngine } from './fake-engine.js';
import type { FakeWireEngine } from './fake-wire-engine.js';
import { freshRegion } from './fresh-region.js';
import { Peer } from './peer.js';

export interface ServiceAt {
  host: string;
  port: number;
  /** The name it is configured by, where that is not its address. */
  name?: string;
  mediaSources?: readonly string[];
  proxyProtocol?: ProxyHeaderVersion;
}

export interface HarnessOptions {
  services: readonly ServiceAt[];
  config?: Partial<Config>;
  /** UDP; real ones by default. */
  sockets?: Sockets;
  region?: SharedRegion;
  /** Connections move to it; without one they stay. */
  wireEngine?: FakeWireEngine;
  /** A worker that died: what it left to the engine is still there. */
  predecessor?: ProxyHarness | undefined;
}

export interface Sockets {
  bind(address: string, port: number): BoundPort;
  close(fd: number): void;
}

type LogLine = Record<string, unknown> & { level: string; msg: string };

const KEY = Buffer.alloc(32, 7);

/** A worker's inside without its process: everything real but the engine and the clock. */
export class ProxyHarness {
  readonly config: Config;
  readonly region: SharedRegion;
  readonly table: SessionTable;
  readonly services: readonly Service[];
  readonly vserver: Vserver;
  readonly codec: SessionCodec;
  readonly engine: FakeEngine;
  readonly ports: PortAllocator;
  readonly keeper: SessionKeeper;
  readonly teardowns: TeardownSender;
  readonly proxy: RtspProxy;
  readonly rows: ServiceRows;
  /** Log lines so far. */
  readonly log: LogLine[] = [];
  readonly told = { touched: [] as string[], ended: [] as string[], failed: [] as string[], worked: [] as string[] };
  /** Descriptors of the media sockets that are open, the engine's included. */
  readonly media: Set<number>;
  /** Monotonic milliseconds; a test moves it. */
  nowMs = 1_000_000;
  readonly #closeMedia: (fd: number) => void;
  #server: Server | undefined;
  #dead = false;
  readonly #peers: Peer[] = [];
  /** What stands before RTSP, where PROXY headers are believed. */
  readonly #ingress: Ingress;

  constructor({ services, config, region, wireEngine, predecessor, sockets = realSockets }: HarnessOptions) {
    this.media = predecessor?.media ?? new Set();
    const base = baseConfig(services);
    this.config = { ...base, ...config };
    this.region = region ?? freshRegion({ services: services.length, sessionsPerWorker: 16, streamsPerWorker: 32 });
    const now = () => this.nowMs;
    const { layout } = this.region;
    this.rows = new ServiceRows(this.region, now);
    const cells = new RegionServiceCells(this.region, 0);
    this.services = services.map(({ host, port, mediaSources = [] }, index) => {
      this.rows.setState(index, 'up');
      this.rows.setWeight(index, 1);
      return new Service({ index, name: `origin-${index}`, ip: host, port, mediaSources }, cells);
    });
    const method = this.config.vservers[0]?.method ?? 'round-robin';
    this.vserver = new Vserver({ name: 'main', method, services: this.services }, { rng: () => 0, workers: 1 });
    const router = new Router([this.vserver], new RecentAffinity({ now, worker: 0 }));
    const isMember = ({ ip, port }: { ip: string; port: number }) => router.serviceByAddress(ip, port) !== undefined;
    this.codec = new SessionCodec({ mode: this.config.sessionId, keys: [KEY], isMember });
    this.table = new SessionTable(this.region, 0, now);
    const close = (fd: number) => {
      if (!this.media.delete(fd)) throw new Error(`descriptor ${fd} was closed twice`);
      sockets.close(fd);
    };
    this.#closeMedia = close;
    const worker = { worker: 0, vaultFd: -1, wakeFds: [-1], inboxFd: -1, now };
    const wires = wireEngine && new Wires({ binding: wireEngine.binding, region: this.region, ...worker });
    this.engine = new FakeEngine(this.region, close, wires, predecessor?.engine.streams);
    this.ports = new PortAllocator({
      range: this.config.mediaPorts,
      policy: this.config.portPolicy,
      bind: (address, port) => {
        const bound = sockets.bind(address, port);
        this.media.add(bound.fd);
        return bound;
      },
      close,
      random: () => 0,
      now,
    });
    const write = (line: string) => this.log.push(JSON.parse(line) as LogLine);
    const log = createLogger({ level: this.config.logLevel, process: 'test', destination: { write } });
    const engine = this.engine as unknown as PacketEngine;
    const specs = base.vservers[0]?.services ?? [];
    const places = specs.map((service, row) => ({ row, vserver: 0, service, leaving: false }));
    const dialer = new Dialer(new Routes(places, { vservers: {}, services: {} }, this.config), this.config);
    this.teardowns = new TeardownSender(this.config, dialer, log);
    const clients = new ClientCells(this.region, 0);
    this.keeper = new SessionKeeper({
      config: this.config,
      table: this.table,
      engine,
      clients,
      log,
      now,
      services: this.services,
      sendTeardown: (service, url, serverId) => this.teardowns.send(service, url, serverId),
      tellTouched: (service, serverId) => this.told.touched.push(`${service} ${serverId}`),
      tellEnded: (service, serverId) => this.told.ended.push(`${service} ${serverId}`),
    });
    this.proxy = new RtspProxy({
      config: this.config,
      log,
      router,
      dialer,
      codec: this.codec,
      table: this.table,
      keeper: this.keeper,
      ports: this.ports,
      engine,
      clients,
      wires,
      descriptors: loadBinding(),
      legIndex: layout.legIndex,
      now,
      hostOf: ({ index, ip }) => services[index]?.name ?? ip,
      serviceFailed: (service, reason) => this.told.failed.push(`${service.name}: ${reason}`),
      serviceWorked: (service) => this.told.worked.push(service.name),
    });
    this.#ingress = this.#startIngress(log);
  }

  #startIngress(log: Logger): Ingress {
    return new Ingress({
      log,
      limits: this.config.limits,
      connections: this.proxy.admission,
      trusted: new TrustedProxies(this.config.proxyProtocolFrom),
      tunnels: new Tunnels({} as MeetingPoint),
      accept: (entered) => this.proxy.accept(entered),
    });
  }

  /** Listens as a worker does; `connect` leads here. */
  async listen(host = '127.0.0.1'): Promise<void> {
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.accept(socket));
    this.#server.listen(0, host);
    await once(this.#server, 'listening');
  }

  /** Without trusted proxies as the ingress does, but for a client that has not said anything yet. */
  accept(stream: Socket): void {
    if (this.config.proxyProtocolFrom.length > 0) {
      this.#ingress.accept(stream, { vserver: this.vserver, tls: undefined });
      return;
    }
    const client = { ip: canonicalIp(stream.remoteAddress), port: stream.remotePort ?? 0 };
    if (!this.proxy.admission.connect(client.ip)) stream.destroy();
    else this.proxy.accept({ stream, client, vserver: this.vserver });
  }

  /** A client; `from`: its address, of loopback. */
  async connect(from?: string): Promise<Peer> {
    const { address, port } = (this.#server as Server).address() as AddressInfo;
    const peer = await Peer.connect(port, address, from);
    this.#peers.push(peer);
    return peer;
  }

  /** Time goes by, as the worker's timer sees it. */
  pass(ms: number): void {
    this.nowMs += ms;
    this.proxy.tick();
  }

  publicId(service: number, serverId: string): string {
    return this.codec.encode(this.services[service] as Service, serverId);
  }

  /** Lines with that code. */
  logged(code: string): LogLine[] {
    return this.log.filter((line) => line.code === code);
  }

  /** Cells of the first worker for a service. */
  load(service: number): number {
    return this.services[service]?.load() ?? Number.NaN;
  }

  get dead(): boolean {
    return this.#dead;
  }

  /** What `kill -9` leaves of a worker: only what the engine has. Its connections must have been moved. */
  async die(): Promise<void> {
    this.#dead = true;
    for (const fd of this.media) if (!this.engine.holds(fd)) this.#closeMedia(fd);
    const server = this.#server as Server;
    server.close();
    await once(server, 'close');
  }

  /** Ends all sessions and connections. */
  async close(): Promise<void> {
    for (const peer of this.#peers) peer.destroy();
    if (this.#dead) return;
    this.#ingress.close();
    this.keeper.endAll('shutdown');
    this.proxy.close();
    const server = this.#server;
    if (!server) return;
    server.close();
    await once(server, 'close');
  }
}

const realSockets: Sockets = {
  bind: (address, port) => loadBinding().bindUdp(address, port, { receiveBuffer: 0 }),
  close: (fd) => loadBinding().closeFd(fd),
};

export const baseLimits: LimitsConfig = {
  line: 8_192,
  headers: 128,
  head: 32_768,
  body: 262_144,
  uri: 2_048,
  pendingRequests: 32,
  messageMs: 10_000,
  firstRequestMs: 30_000,
  idleMs: 120_000,
  messageBacklog: 4 << 20,
  connections: 1_000,
  clientConnections: 1_000,
  clientSessions: 1_000,
  sessionSetups: 64,
  clientRequests: 0,
  streamRate: 0,
};

function baseConfig(services: readonly ServiceAt[]): Config {
  const monitor = { kind: 'none', intervalMs: 1, timeoutMs: 1, rise: 1, fall: 1, jitter: 0, path: '/', expect: [] };
  const specs = services.map(({ host, port, name, proxyProtocol = 'none' }, index) => ({
    name: `origin-${index}`,
    host: name ?? host,
    ip: host,
    port,
    weight: 1,
    maxSessions: 0,
    proxyProtocol,
    mediaSources: [],
    monitor: monitor as ServiceConfig['monitor'],
  }));
  return {
    vservers: [{ name: 'main', listen: [], method: 'round-robin', services: specs }],
    proxyProtocolFrom: [],
    mediaAddresses: [],
    mediaPorts: { min: 20_000, max: 20_999 },
    portPolicy: 'preserve',
    latching: 'same-ip',
    sessionId: 'sealed',
    idleTimeoutMs: 60_000,
    clientTimeoutMs: 120_000,
    connectTimeoutMs: 2_000,
    replyTimeoutMs: 60_000,
    drainTimeoutMs: 1_000,
    quarantineMs: 0,
    teardownOnDisconnect: false,
    redirects: 'rewrite',
    packetPath: 'auto',
    batchDelayUs: 0,
    workers: 1,
    engineThreads: 1,
    pinThreads: false,
    maxSessions: 16,
    maxStreams: 32,
    receiveBuffer: 0,
    limits: baseLimits,
    interleavedBacklog: 1 << 20,
    interleavedOverflow: 'drop-frames',
    bridge: 'auto',
    stateDir: '/nowhere',
    logLevel: 'debug',
  };
}
