import { createServer, type Server, Socket } from 'node:net';
import { takeOver } from '../config/reload.js';
import type { Config } from '../config/types.js';
import { Routes } from '../egress/routes.js';
import { loadBinding } from '../engine/binding.js';
import { ClientCells } from '../engine/client-cells.js';
import { EventRings } from '../engine/event-ring.js';
import { PacketEngine } from '../engine/packet-engine.js';
import { ProcessSlot } from '../engine/process-slots.js';
import { RegionServiceCells } from '../engine/service-cells.js';
import { SharedRegion, workerSlot } from '../engine/shared-region.js';
import { Wires } from '../engine/wires.js';
import { Tunnels } from '../ingress/http/tunnels.js';
import { type Entrance, Ingress } from '../ingress/ingress.js';
import { TlsListener } from '../ingress/tls-listener.js';
import { TrustedProxies } from '../ingress/trusted-proxies.js';
import { createLogger } from '../log/logger.js';
import { Farm, type ServicePlace } from '../router/farm.js';
import { RecentAffinity } from '../router/persistence.js';
import { Dialer } from '../session/dialer.js';
import { PortAllocator } from '../session/port-allocator.js';
import { RtspProxy } from '../session/proxy.js';
import { SessionCodec } from '../session/session-codec.js';
import { SessionKeeper } from '../session/session-keeper.js';
import { loadSessionKeys } from '../session/session-keys.js';
import { SessionTable } from '../session/session-table.js';
import { TeardownSender } from '../session/teardown.js';
import type { TlsMaterial } from '../tls/material.js';
import { sendToPrimary, type ToWorker, type WorkerInheritance } from './ipc.js';
import { mediaBinder } from './media-sockets.js';
import { PrimaryMeetingPoint } from './meeting-point.js';

const TICK_MS = 500;
/** Every connection is looked at once in so many ticks, some in each. */
const CONNECTION_TICKS = 2;
const HEARTBEAT_MS = 250;
const FINISH_POLL_MS = 20;
const ACCEPT_BACKLOG = 1024;

/** One worker: accepts RTSP connections on its own sockets and serves them. */
export class WorkerProcess {
  readonly #log;
  readonly #proxy: RtspProxy;
  readonly #keeper: SessionKeeper;
  readonly #teardowns: TeardownSender;
  readonly #recent: RecentAffinity;
  readonly #servers: Server[] = [];
  readonly #slot: ProcessSlot;
  readonly #events: EventRings;
  readonly #inherited: WorkerInheritance;
  /** One object for every part: a reload writes into it. */
  readonly #config: Config;
  readonly #farm: Farm;
  readonly #codec: SessionCodec;
  /** By the row of the vserver; undefined where it has no TLS. */
  readonly #tls: (TlsListener | undefined)[];
  readonly #meetingPoint: PrimaryMeetingPoint;
  readonly #tunnels: Tunnels;
  readonly #trusted: TrustedProxies;
  readonly #ingress: Ingress;
  readonly #routes: Routes;
  #draining = false;
  #ticks = 0;

  constructor(config: Config, places: readonly ServicePlace[], tls: TlsMaterial, inherited: WorkerInheritance) {
    const worker = inherited.index;
    this.#config = config;
    this.#inherited = inherited;
    this.#log = createLogger({ level: config.logLevel, process: `worker-${worker}`, gather: true });
    const binding = loadBinding();
    binding.raiseFileLimit();
    const region = new SharedRegion(binding.mapRegion(inherited.regionFd), binding.layout);
    this.#slot = new ProcessSlot(region, workerSlot(worker));
    this.#events = new EventRings(region, worker);
    const now = () => binding.monotonicMs();

    const cells = new RegionServiceCells(region, worker);
    this.#recent = new RecentAffinity({ now, worker, tell: (news) => sendToPrimary({ type: 'recent', news }) });
    const options = { cells, recent: this.#recent, rng: Math.random, workers: config.workers };
    const farm = new Farm(config.vservers, places, options);
    this.#farm = farm;
    this.#codec = new SessionCodec({
      mode: config.sessionId,
      keys: loadSessionKeys(config.sessionKeyFile, config.stateDir),
      isMember: ({ ip, port }) => farm.router.serviceByAddress(ip, port) !== undefined,
    });
    const table = new SessionTable(region, worker);
    const clients = new ClientCells(region, worker);
    const { vaultFd, wakeFds, inboxFd } = inherited;
    const wires = new Wires({ binding, region, worker, vaultFd, wakeFds, inboxFd, now });
    const engine = new PacketEngine({ binding, worker, vaultFd, wakeFds, wires });
    const ports = new PortAllocator({
      range: config.mediaPorts,
      policy: config.portPolicy,
      bind: mediaBinder(binding, config.receiveBuffer, this.#log),
      close: (fd) => binding.closeFd(fd),
    });
    this.#routes = new Routes(places, tls, config);
    const dialer = new Dialer(this.#routes, config);
    this.#teardowns = new TeardownSender(config, dialer, this.#log);
    this.#keeper = new SessionKeeper({
      config,
      table,
      engine,
      clients,
      log: this.#log,
      now,
      services: farm.services,
      sendTeardown: (service, url, serverId) => this.#teardowns.send(service, url, serverId),
      tellTouched: (service, serverId) => sendToPrimary({ type: 'session-touched', service, serverId }),
      tellEnded: (service, serverId) => sendToPrimary({ type: 'session-ended', service, serverId }),
    });
    this.#proxy = new RtspProxy({
      config,
      log: this.#log,
      router: farm.router,
      dialer,
      codec: this.#codec,
      table,
      keeper: this.#keeper,
      ports,
      engine,
      clients,
      wires,
      descriptors: binding,
      legIndex: binding.layout.legIndex,
      now,
      hostOf: (service) => farm.hostOf(service),
      serviceFailed: (service, reason) => sendToPrimary({ type: 'service-failed', service: service.index, reason }),
      serviceWorked: (service) => sendToPrimary({ type: 'service-worked', service: service.index }),
    });
    this.#tls = config.vservers.map((vserver) => {
      const material = tls.vservers[vserver.name];
      return vserver.tls && material && new TlsListener(vserver.tls.clientCertificates, material);
    });
    this.#trusted = new TrustedProxies(config.proxyProtocolFrom);
    this.#meetingPoint = new PrimaryMeetingPoint(binding);
    this.#tunnels = new Tunnels(this.#meetingPoint);
    this.#ingress = new Ingress({
      log: this.#log,
      limits: config.limits,
      connections: this.#proxy.admission,
      trusted: this.#trusted,
      tunnels: this.#tunnels,
      accept: (entered) => this.#proxy.accept(entered),
    });
  }

  /** Adopts what a predecessor left, then listens. */
  async start(): Promise<void> {
    this.#keeper.adopt();
    this.#proxy.adopt();
    setInterval(() => this.#tick(), TICK_MS);
    setInterval(() => this.#beat(), HEARTBEAT_MS);
    await Promise.all(this.#inherited.listeners.map((listener) => this.#listen(listener)));
    this.#slot.setState('ready');
    sendToPrimary({ type: 'ready' });
  }

  receive(message: ToWorker, handle: unknown): void {
    switch (message.type) {
      case 'reload':
        this.#reload(message);
        break;
      case 'session-touched':
        this.#keeper.touchedElsewhere(message.service, message.serverId);
        break;
      case 'session-ended':
        this.#keeper.endedElsewhere(message.service, message.serverId);
        break;
      case 'recent':
        this.#recent.hear(message.news);
        break;
      case 'tls':
        this.#updateTls(message.material);
        break;
      case 'tunnel-answer':
        this.#meetingPoint.hear(message);
        break;
      case 'tunnel-post':
        if (handle instanceof Socket) this.#tunnels.take(message.key, handle, Buffer.from(message.bytes, 'latin1'));
        break;
      case 'drain':
        this.#drain();
        break;
      case 'hand-over':
        this.#handOver();
        break;
      case 'finish':
        this.#finish();
        break;
    }
  }

  #listen({ fd, vserver: index, tls }: WorkerInheritance['listeners'][number]): Promise<void> {
    const vserver = this.#farm.vservers[index];
    if (!vserver) throw new RangeError(`no vserver ${index}`);
    const entrance: Entrance = { vserver, tls: tls ? this.#tls[index] : undefined };
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) =>
      this.#ingress.accept(socket, entrance),
    );
    this.#servers.push(server);
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen({ fd, backlog: ACCEPT_BACKLOG }, () => resolve());
    });
  }

  /** The primary has checked it all; sessions and connections go on. */
  #reload({ config, places, tls }: Extract<ToWorker, { type: 'reload' }>): void {
    takeOver(this.#config, config);
    this.#trusted.update(config.proxyProtocolFrom);
    this.#log.level = config.logLevel;
    this.#farm.update(config.vservers, places);
    this.#routes.update(tls, places);
    this.#updateListeners(tls);
    try {
      this.#codec.rekey(loadSessionKeys(config.sessionKeyFile, config.stateDir));
    } catch (error) {
      this.#log.error({ err: error }, 'reload: the session keys stay as they were');
    }
  }

  #updateTls(material: TlsMaterial): void {
    this.#routes.update(material);
    this.#updateListeners(material);
  }

  #updateListeners(material: TlsMaterial): void {
    for (const [index, listener] of this.#tls.entries()) {
      const own = material.vservers[this.#farm.vservers[index]?.name ?? ''];
      if (own) listener?.update(own);
    }
  }

  #beat(): void {
    this.#slot.setConnections(this.#proxy.connections);
    this.#slot.beat();
  }

  #tick(): void {
    this.#proxy.tick(this.#ticks++ % CONNECTION_TICKS, CONNECTION_TICKS);
    this.#events.drain(() => {});
    sendToPrimary({ type: 'worker-stats', stats: this.#stats() });
  }

  #stats(): Record<string, number> {
    return {
      ...this.#ingress.counters,
      ...this.#tunnels.counters,
      ...this.#proxy.counters,
      ...this.#proxy.admission.counters,
      ...this.#keeper.counters,
      ...this.#proxy.ports.counters,
    };
  }

  #drain(): void {
    if (this.#draining) return;
    this.#draining = true;
    this.#slot.setState('draining');
    for (const server of this.#servers) server.close();
  }

  /** Sessions and connections stay as they are: a successor adopts them. */
  #handOver(): void {
    this.#drain();
    this.#ingress.giveWay();
    exitWhen(() => this.#ingress.waiting === 0 && this.#proxy.handOver());
  }

  /** Ends what is left politely: the servers hear of it, then the process ends. */
  #finish(): void {
    this.#drain();
    this.#ingress.close();
    this.#keeper.endAll('shutdown');
    this.#proxy.close();
    exitWhen(() => this.#proxy.connections === 0 && this.#teardowns.pending === 0);
  }
}

function exitWhen(done: () => boolean): void {
  setInterval(() => done() && process.exit(0), FINISH_POLL_MS);
}
