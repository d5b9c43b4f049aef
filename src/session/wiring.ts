import type { NativeBinding } from '../engine/binding.js';
import type { PacketEngine } from '../engine/packet-engine.js';
import { socketFd } from '../engine/socket-fd.js';
import type { Wires } from '../engine/wires.js';
import { PenstockError } from '../errors.js';
import type { RtspConnection } from '../rtsp/connection.js';
import { StreamTransport } from '../rtsp/stream-transport.js';
import { type CarriedSessions, channelsAt } from './carried-sessions.js';
import type { SessionTable } from './session-table.js';
import type { StreamWires } from './stream-row-writer.js';
import type { Upstream } from './upstream.js';
import type { Upstreams } from './upstreams.js';
import { WireTransport } from './wire-transport.js';

export type Descriptors = Pick<NativeBinding, 'dupFd' | 'closeFd'>;

export interface WiringOptions {
  /** Undefined: nothing ever moves. */
  wires: Wires | undefined;
  descriptors: Descriptors;
  table: SessionTable;
  engine: Pick<PacketEngine, 'streamChanged'>;
  /** Row of the vserver in the configuration. */
  vserver: number;
  client: RtspConnection;
  upstreams: Upstreams;
  sessions: CarriedSessions;
}

/**
 * Moves a client connection and those to its servers, together, from the sockets of this process to wires of the
 * engine; from then on they outlive both. A connection that has no socket of its own (TLS, tunnels) stays, and so do
 * those to its servers.
 */
export class Wiring {
  readonly #options: WiringOptions;
  /** As the row has it. */
  #authority = '';
  #framesTaken = 0;
  /** Of the wires, once something depends on it. */
  #thread: number | undefined;

  constructor(options: WiringOptions) {
    this.#options = options;
  }

  /** The client's connection is a wire. */
  get moved(): boolean {
    return this.#clientWire !== undefined;
  }

  get #clientWire(): WireTransport | undefined {
    const { transport } = this.#options.client;
    return transport instanceof WireTransport ? transport : undefined;
  }

  /** The engine thread that has the wires, or will have them; undefined where nothing ever moves. */
  get thread(): number | undefined {
    this.#thread ??= this.#clientWire?.wire.thread ?? this.#options.wires?.nextThread();
    return this.#thread;
  }

  /** Whether the connections of the client and of that server are wires, or can become wires. */
  canMove(upstream: Upstream): boolean {
    const { wires, client, upstreams } = this.#options;
    if (this.moved) return wireOf(upstream) !== undefined;
    const all = [client, ...[...upstreams].map(({ connection }) => connection)];
    const thread = this.#thread ?? wires?.nextThread();
    if (!wires?.hasRoom(all.length, thread) || !all.every(hasSocket)) return false;
    this.#thread = thread;
    return true;
  }

  /** Whether the client's kernel took frames from us since the last call: a sign of life of the client too. */
  takeActivity(): boolean {
    const taken = this.#clientWire?.wire.row.txFrames ?? 0;
    const more = taken !== this.#framesTaken;
    this.#framesTaken = taken;
    return more;
  }

  /**
   * Moves what can be moved at this moment: all or nothing. Does nothing where it was done before. `behind`: requests
   * of the client that were read wait for their answer, so nothing more may come until `client.resume()`.
   */
  move(behind: boolean): void {
    const { wires, client, upstreams } = this.#options;
    if (!wires || this.moved) return;
    const all = [...upstreams];
    const thread = this.#thread ?? wires.nextThread();
    if (!wires.hasRoom(1 + all.length, thread) || !isQuiet(client)) return;
    if (!all.every((upstream) => upstream.idle && isQuiet(upstream.connection))) return;
    const clientWire = this.#hand(client, { kind: 'client', thread, link: undefined, service: 0 });
    const moved = all.map((upstream) => ({ upstream, wire: this.#handUpstream(upstream, clientWire) }));
    if (behind) clientWire.pause();
    this.#tellStreams(clientWire, new Map(moved.map(({ upstream, wire }) => [upstream, wire])));
    exchange(client, clientWire);
    for (const { upstream, wire } of moved) exchange(upstream.connection, wire);
  }

  /**
   * A new upstream of a client that was moved is moved before anything is asked of it. Throws PENSTOCK_ERR_TABLE_FULL.
   * One over TLS stays here: its frames pass us on their way to the client, which can send it none.
   */
  follow(upstream: Upstream): void {
    const clientWire = this.#clientWire;
    if (!clientWire || !isQuiet(upstream.connection)) return;
    if (!this.#options.wires?.hasRoom(1)) throw new PenstockError('PENSTOCK_ERR_TABLE_FULL', 'no free row for a wire');
    exchange(upstream.connection, this.#handUpstream(upstream, clientWire));
  }

  /** The rows of the wires of a stream that is set up over this connection. */
  wiresOf(upstream: Upstream): StreamWires | undefined {
    const client = this.#clientWire;
    const server = wireOf(upstream);
    return client && server && { client: client.wire.slot, server: server.wire.slot };
  }

  /** Before a request of the client leaves: a successor must know that it did, and what the client calls us. */
  forwarding(upstream: Upstream, authority: string): void {
    const client = this.#clientWire;
    const server = wireOf(upstream);
    if (!client || !server) return;
    if (authority !== this.#authority) client.wire.row.authority = authority;
    this.#authority = authority;
    server.wire.row.cseqAhead = upstream.cseqAhead;
    server.wire.row.forwarded = server.wire.nextSeq ?? 0;
    client.wire.row.forwarded = client.heldSeq ?? 0;
  }

  /** Its answer is on its way to the client. */
  answered(upstream: Upstream): void {
    const server = wireOf(upstream);
    if (server) server.wire.row.forwarded = 0;
  }

  /** The client's connection is gone; its streams that go on have none. */
  release(): void {
    if (!this.moved) return;
    for (const { stream } of this.#options.sessions.streams()) this.#options.table.setWires(stream, undefined);
  }

  #handUpstream(upstream: Upstream, client: WireTransport): WireTransport {
    const { thread, slot } = client.wire;
    const service = upstream.service.index;
    const transport = this.#hand(upstream.connection, { kind: 'upstream', thread, link: slot, service });
    transport.wire.row.cseqAhead = upstream.cseqAhead;
    return transport;
  }

  #hand(
    connection: RtspConnection,
    rest: { kind: 'client' | 'upstream'; thread: number; link: number | undefined; service: number },
  ): WireTransport {
    const { wires, descriptors, vserver } = this.#options;
    const { remote, local, proxied, stream } = connection.transport as StreamTransport;
    const fd = descriptors.dupFd(socketFd(stream) as number);
    try {
      return new WireTransport((wires as Wires).open({ ...rest, vserver, remote, local, proxied }, fd));
    } catch (error) {
      descriptors.closeFd(fd);
      throw error;
    }
  }

  #tellStreams(client: WireTransport, servers: ReadonlyMap<Upstream, WireTransport>): void {
    const { sessions, table, engine } = this.#options;
    for (const stream of sessions.streams()) {
      const upstream = channelsAt(stream);
      const server = upstream && servers.get(upstream)?.wire.slot;
      const told = table.setWires(stream.stream, {
        client: client.wire.slot,
        ...(server === undefined ? {} : { server }),
      });
      if (told) engine.streamChanged(told);
    }
  }
}

function wireOf({ connection }: Upstream): WireTransport | undefined {
  return connection.transport instanceof WireTransport ? connection.transport : undefined;
}

/** Nothing was read that is not handled, and nothing was written that has not left. */
function isQuiet(connection: RtspConnection): boolean {
  const { transport } = connection;
  if (!(transport instanceof StreamTransport) || connection.over || !connection.betweenMessages) return false;
  transport.flush();
  return transport.drained && hasSocket(connection);
}

/** Of its own, as the engine can have it: no TLS, no tunnel. */
function hasSocket({ transport }: RtspConnection): boolean {
  return transport instanceof StreamTransport && socketFd(transport.stream) !== undefined;
}

/** The engine has the socket: ours is closed, which ends nothing. */
function exchange(connection: RtspConnection, wire: WireTransport): void {
  (connection.transport as StreamTransport).abandon();
  connection.moveTo(wire);
}
