import type { Config } from '../config/types.js';
import type { ClientCells } from '../engine/client-cells.js';
import type { PacketEngine } from '../engine/packet-engine.js';
import type { Logger } from '../log/logger.js';
import { hash32 } from '../router/balancer/hash.js';
import type { Claim } from '../router/claim.js';
import type { Service } from '../router/service.js';
import type { RtspRequest } from '../rtsp/message.js';
import type { Activity } from './session-rows.js';
import type { SessionTable } from './session-table.js';
import { SiblingSessions } from './sibling-sessions.js';

/** Added to a server's own `timeout=`: the server must be the first to lose patience. */
const TIMEOUT_SLACK_MS = 10_000;
/** At most one message per session and this long to other workers about a session of theirs. */
const TELL_INTERVAL_MS = 1_000;
const MAX_TOLD = 10_000;

export type EndReason =
  | 'teardown'
  | 'client-disconnected'
  | 'server-disconnected'
  | 'idle'
  | 'client-silent'
  | 'ended-elsewhere'
  | 'server-forgot'
  | 'setup-failed'
  | 'shutdown';

/** Who can carry a TEARDOWN to the server: the client connection that the session came by, if it still lives. */
export interface SessionCarrier {
  /** The session ended by itself; `true` if the carrier sends the TEARDOWN. */
  teardown(session: number, url: string, serverId: string): boolean;
  /** The session is gone: its channels and records can go too. */
  forget(session: number): void;
}

export interface SessionKeeperOptions {
  config: Config;
  table: SessionTable;
  engine: PacketEngine;
  clients: ClientCells;
  log: Logger;
  now(): number;
  /** By the row of the service table. */
  services: readonly (Service | undefined)[];
  /** Sends a TEARDOWN on a connection of its own; never throws. */
  sendTeardown(service: Service, url: string, serverId: string): void;
  /** Other workers may hold a row for the same session. */
  tellTouched(service: number, serverId: string): void;
  tellEnded(service: number, serverId: string): void;
}

/** The life of the sessions of one worker: begun, kept alive, ended; and those of its predecessor, adopted. */
export class SessionKeeper {
  readonly counters = { opened: 0, adopted: 0, ended: 0, idle: 0, teardownsSent: 0 };
  readonly #options: SessionKeeperOptions;
  readonly #carriers = new Map<number, SessionCarrier>();
  readonly #siblings = new SiblingSessions();
  /** When a session is worth looking at again, in ms. */
  readonly #checkAt = new Map<number, number>();
  readonly #told = new Map<string, number>();
  /** How many SETUPs a session had at this worker. */
  readonly #setUps = new Map<number, number>();

  constructor(options: SessionKeeperOptions) {
    this.#options = options;
  }

  /** Takes over what the table's adoption scan left in this worker's slice. */
  adopt(): void {
    const { table, engine, clients } = this.#options;
    clients.clear();
    const perService = new Map<number, number>();
    for (const slot of table.ownSessions()) {
      const session = table.ownSession(slot);
      if (!session) continue;
      perService.set(session.service, (perService.get(session.service) ?? 0) + 1);
      clients.add('sessions', session.clientIp, 1);
      this.counters.adopted++;
    }
    for (const service of this.#options.services) service?.adopt(perService.get(service.index) ?? 0);
    // A predecessor may have died between marking a stream and telling the engine.
    for (const stream of table.adopted.closing) engine.close(stream);
    if (this.counters.adopted > 0) this.#options.log.info({ sessions: this.counters.adopted }, 'sessions adopted');
  }

  /** The row for a session that a server has just confirmed: the one there is in this worker's slice, or a new one. */
  open(
    service: Service,
    serverId: string,
    details: { vserver: number; controlUrl: string; client: { ip: string; port: number }; timeoutSec: number },
    carrier: SessionCarrier,
    claim: Claim | undefined,
  ): number {
    const { table, clients } = this.#options;
    let slot = table.findOwn(service.index, serverId);
    if (slot === undefined) {
      const { vserver, controlUrl, client, timeoutSec } = details;
      slot = table.openSession({ vserver, service: service.index, serverId, controlUrl, client, timeoutSec });
      if (claim) claim.sessionOpened();
      else service.sessionOpened(false);
      clients.add('sessions', details.client.ip, 1);
      this.counters.opened++;
      this.#options.log.info(
        { session: slot, service: service.name, client: details.client.ip, url: details.controlUrl },
        'session opened',
      );
    }
    this.#carriers.set(slot, carrier);
    this.#setUps.set(slot, this.setUps(slot) + 1);
    return slot;
  }

  /** How often `open` was called for the session. */
  setUps(slot: number): number {
    return this.#setUps.get(slot) ?? 0;
  }

  /** Any message of the client about the session. */
  touch(service: Service, serverId: string): void {
    if (this.touchedElsewhere(service.index, serverId)) return;
    // The row is in another worker's slice, which that worker alone may write.
    if (this.#mayTell(`${service.index} ${serverId}`)) this.#options.tellTouched(service.index, serverId);
  }

  /** Returns whether this worker has a row of the session. */
  touchedElsewhere(service: number, serverId: string): boolean {
    const { table } = this.#options;
    const own = table.findOwn(service, serverId);
    if (own === undefined) return false;
    for (const slot of [own, ...this.#siblings.of(own)]) table.touchClient(slot);
    return true;
  }

  /** A SETUP that named the one session was answered with the other. */
  link(service: Service, named: string, answered: string): void {
    const { table } = this.#options;
    const one = table.findOwn(service.index, named);
    const other = table.findOwn(service.index, answered);
    if (one !== undefined && other !== undefined) this.#siblings.link(one, other);
  }

  /** An answer of the server to a request of the session, other than TEARDOWN. `isAggregate`: it named no single stream. */
  answered(service: Service, serverId: string, request: RtspRequest, status: number, isAggregate: () => boolean): void {
    if (status === 454) {
      this.ended(service, serverId, 'server-forgot');
      return;
    }
    const { table } = this.#options;
    const own = table.findOwn(service.index, serverId);
    if (own === undefined) return;
    table.touchServer(own);
    if (status >= 200 && status < 300) this.#noteState(own, request, isAggregate);
  }

  /** PLAY and RECORD mostly name the whole session: their URL is then that of its TEARDOWN. */
  #noteState(slot: number, { method, uri }: RtspRequest, isAggregate: () => boolean): void {
    const { table } = this.#options;
    if (method === 'PAUSE') table.setFlags(slot, { playing: false, recording: false });
    if (method !== 'PLAY' && method !== 'RECORD') return;
    table.setFlags(slot, method === 'PLAY' ? { playing: true } : { recording: true });
    // The session plays already: a URL that no row can hold must not make an error of it.
    if (table.isControlUrl(uri) && isAggregate()) table.setControlUrl(slot, uri);
  }

  /** The server confirmed a TEARDOWN, or one is not needed: all rows of the session go, here and at other workers. */
  ended(service: Service, serverId: string, reason: EndReason): void {
    const own = this.#options.table.findOwn(service.index, serverId);
    // The client's one TEARDOWN means them all; the server knows them apart.
    const siblings = own !== undefined && reason === 'teardown' ? this.#siblings.of(own) : [];
    this.#closeOwn(service.index, serverId, reason);
    this.#tellEnded(service.index, serverId);
    for (const slot of siblings) this.end(slot, reason);
  }

  endedElsewhere(service: number, serverId: string): void {
    this.#closeOwn(service, serverId, 'ended-elsewhere');
  }

  /** Ends a session from our side: TEARDOWN to the server, rows closed, other workers told. */
  end(slot: number, reason: EndReason): void {
    const { table } = this.#options;
    const session = table.read(slot);
    if (!session) return;
    const service = this.#options.services[session.service];
    const url = session.controlUrl;
    this.counters.teardownsSent++;
    const carried = this.#carriers.get(slot)?.teardown(slot, url, session.serverId) ?? false;
    if (!carried && service) this.#options.sendTeardown(service, url, session.serverId);
    this.#close(slot, reason);
    this.#tellEnded(session.service, session.serverId);
  }

  /** On a connection of its own. */
  sendTeardown(service: Service, url: string, serverId: string): void {
    this.#options.sendTeardown(service, url, serverId);
  }

  /** This worker's row of the session, if it has one. */
  ownSlot(service: Service, serverId: string): number | undefined {
    return this.#options.table.findOwn(service.index, serverId);
  }

  /** Whether a URL means one stream of several, wherever they were set up. */
  namesOneStream(service: Service, serverId: string, url: string): boolean {
    const { table } = this.#options;
    const rows = table.find(service.index, serverId, table.worker);
    if (rows.reduce((sum, { slot }) => sum + table.streamCount(slot), 0) < 2) return false;
    const streams = rows.flatMap(({ slot }) => table.streamsOf(slot));
    return streams.some(({ slot }) => table.readStream(slot)?.urlHash === hash32(url));
  }

  /** Ends the stream of a URL that was set up over another connection, where its media does not need that one. */
  closeNamed(session: number, url: string): void {
    const { table } = this.#options;
    for (const { slot } of table.streamsOf(session)) {
      const stream = table.readStream(slot);
      if (stream?.urlHash === hash32(url) && table.isDatagrams(stream)) this.closeStream(slot);
    }
  }

  closeStream(stream: number): void {
    const relayed = this.#options.table.closeStream(stream);
    if (relayed) this.#options.engine.close(relayed);
  }

  /** Whether the client's newest SETUP of the session came by this connection. */
  isCarrier(slot: number, carrier: SessionCarrier): boolean {
    return this.#carriers.get(slot) === carrier;
  }

  /** A session of a predecessor goes on over a connection of it. */
  attach(slot: number, carrier: SessionCarrier): void {
    this.#carriers.set(slot, carrier);
  }

  /** The carrier's connection is gone; a session over UDP goes on without one. */
  detach(slot: number, carrier: SessionCarrier): void {
    if (this.#carriers.get(slot) === carrier) this.#carriers.delete(slot);
  }

  /** Ends what has been silent too long; gives freed rows back. Called once a second or so. */
  sweep(): void {
    const { table, engine, now } = this.#options;
    engine.flush();
    table.freeReleased();
    const time = now();
    for (const slot of table.ownSessions()) {
      const reason = this.#silence(slot, time);
      if (reason) {
        this.counters.idle++;
        this.end(slot, reason);
      }
    }
    if (this.#told.size > MAX_TOLD) this.#told.clear();
  }

  endAll(reason: EndReason): void {
    for (const slot of [...this.#options.table.ownSessions()]) this.end(slot, reason);
  }

  /** Whether the session has been silent too long; if not, it is not looked at again before it can be. */
  #silence(slot: number, time: number): EndReason | undefined {
    const { config, table } = this.#options;
    if (time < (this.#checkAt.get(slot) ?? 0)) return undefined;
    const session = table.read(slot);
    if (!session) return undefined;
    const activity = this.#newestActivity(session.service, session.serverId);
    const limit = Math.max(config.idleTimeoutMs, session.timeoutSec * 1000 + TIMEOUT_SLACK_MS);
    const idleAt = Math.max(activity.clientMs, activity.serverMs) + limit;
    const silentAt = activity.clientMs + Math.max(config.clientTimeoutMs, limit);
    if (time >= idleAt) return 'idle';
    if (time >= silentAt) return 'client-silent';
    this.#checkAt.set(slot, Math.min(idleAt, silentAt));
    return undefined;
  }

  /** Over the rows of all workers: the requests of one session may come by any of them. */
  #newestActivity(service: number, serverId: string): Activity {
    const { table } = this.#options;
    const newest = { clientMs: 0, serverMs: 0 };
    for (const { slot } of table.find(service, serverId, table.worker)) {
      const activity = table.activity(slot);
      newest.clientMs = Math.max(newest.clientMs, activity?.clientMs ?? 0);
      newest.serverMs = Math.max(newest.serverMs, activity?.serverMs ?? 0);
    }
    return newest;
  }

  #closeOwn(service: number, serverId: string, reason: EndReason): void {
    const own = this.#options.table.findOwn(service, serverId);
    if (own !== undefined) this.#close(own, reason);
  }

  #close(slot: number, reason: EndReason): void {
    const { table, engine, log, clients } = this.#options;
    const session = table.ownSession(slot);
    if (!session) return;
    for (const stream of table.closeSession(slot)) engine.close(stream);
    clients.add('sessions', session.clientIp, -1);
    this.#checkAt.delete(slot);
    this.#setUps.delete(slot);
    this.#siblings.delete(slot);
    const service = this.#options.services[session.service];
    service?.sessionClosed();
    this.counters.ended++;
    log.info({ session: slot, service: service?.name, client: session.clientIp, reason }, 'session ended');
    const carrier = this.#carriers.get(slot);
    this.#carriers.delete(slot);
    carrier?.forget(slot);
  }

  /** A message between processes costs as much as a request: it is sent only where a row is left to close. */
  #tellEnded(service: number, serverId: string): void {
    const { table, tellEnded } = this.#options;
    if (table.find(service, serverId, table.worker).length > 0) tellEnded(service, serverId);
  }

  #mayTell(key: string): boolean {
    const time = this.#options.now();
    if (time - (this.#told.get(key) ?? Number.NEGATIVE_INFINITY) < TELL_INTERVAL_MS) return false;
    this.#told.set(key, time);
    return true;
  }
}
