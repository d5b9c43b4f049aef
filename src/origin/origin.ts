import type { AddressInfo } from 'node:net';
import { createServer, type Server } from 'node:net';
import { PenstockError } from '../errors.js';
import { type Clip, loadClip } from './clip.js';
import { OriginConnection } from './connection.js';
import { convertFile } from './convert.js';
import { newCounters, type OriginCounters } from './counters.js';
import type { OriginLog } from './log.js';
import { Pacer } from './pacer.js';
import { SessionRegistry } from './registry.js';
import type { SessionState } from './session.js';
import { OwnPorts, SharedPorts, type UdpPorts } from './udp-ports.js';

/** The `;timeout=` of the SETUP answer: a session without any sign of life for longer ends. */
export const SESSION_TIMEOUT_SEC = 60;

const BACKLOG = 1024;
const SWEEP_MS = 1000;
const NAME = /^[\w.-]{1,64}$/;

export interface OriginOptions {
  /** Tells origins apart, in `Server:` and in the SDP's `s=`: letters, digits, `_ . -`. */
  name?: string;
  /** A literal address, or a name that resolves to one of this machine. */
  host: string;
  /** 0: any free port. */
  port: number;
  /** Any media file that ffmpeg reads; without it the bundled clip. */
  file?: string;
  /** Mounts /1 … /count only; without it every path plays. */
  count?: number;
  /** One server_port pair for all sessions, as some servers have. */
  sharedPorts?: boolean;
  /** Seconds; default SESSION_TIMEOUT_SEC. */
  sessionTimeoutSec?: number;
  log?: OriginLog;
}

export interface OriginStats extends OriginCounters {
  /** Open now. */
  connections: number;
  sessions: number;
  playing: number;
  recording: number;
}

/** One session as it stands; counts are of this session alone. */
export interface OriginSessionInfo {
  id: string;
  mount: string;
  kind: 'play' | 'record';
  state: SessionState;
  streams: { packetsSent: number; packetsReceived: number; reportsReceived: number }[];
}

export interface Origin {
  readonly name: string;
  readonly address: { host: string; port: number };
  /** `rtsp://host:port`, IPv6 in brackets, without a path. */
  readonly url: string;
  stats(): OriginStats;
  sessions(): OriginSessionInfo[];
  /** Ends all sessions (with BYE, without a word by RTSP) and connections, and frees all ports. */
  close(): Promise<void>;
}

/** What connections and methods share. Inside this folder only. */
export interface OriginState {
  readonly title: string;
  readonly serverHeader: string;
  readonly sessionTimeoutSec: number;
  readonly clip: Clip;
  readonly counters: OriginCounters;
  readonly ports: UdpPorts;
  readonly sessions: SessionRegistry;
  readonly connections: Set<OriginConnection>;
  readonly log: OriginLog | undefined;
  hasMount(mount: string): boolean;
}

/**
 * Starts an RTSP origin that plays the clip in an endless loop, on every path, by UDP and interleaved, and swallows what
 * is published to it.
 * @throws PenstockError PENSTOCK_ERR_USAGE for a bad option or file, PENSTOCK_ERR_BIND for the address.
 */
export async function startOrigin(options: OriginOptions): Promise<Origin> {
  const name = options.name ?? 'origin';
  if (!NAME.test(name))
    throw new PenstockError('PENSTOCK_ERR_USAGE', `origin name ${JSON.stringify(name)} is not a word`);
  const clip = options.file === undefined ? await loadClip() : await convertFile(options.file);
  const pacer = new Pacer();
  const state = makeState(options, name, clip, pacer);
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    state.counters.connectionsTotal++;
    state.connections.add(new OriginConnection(socket, state));
  });
  await listen(server, options.host, options.port);
  return new RunningOrigin(name, server, state, pacer);
}

function makeState(options: OriginOptions, name: string, clip: Clip, pacer: Pacer): OriginState {
  const counters = newCounters();
  const { count, log } = options;
  return {
    title: `penstock-origin/${name}`,
    serverHeader: `penstock-origin/${name}`,
    sessionTimeoutSec: options.sessionTimeoutSec ?? SESSION_TIMEOUT_SEC,
    clip,
    counters,
    ports: options.sharedPorts ? new SharedPorts(counters) : new OwnPorts(counters),
    sessions: new SessionRegistry({ clip, pacer, counters }, log),
    connections: new Set(),
    log,
    hasMount: (mount) => count === undefined || (/^\/[1-9]\d*$/.test(mount) && Number(mount.slice(1)) <= count),
  };
}

class RunningOrigin implements Origin {
  readonly name: string;
  readonly address: { host: string; port: number };
  readonly #server: Server;
  readonly #state: OriginState;
  readonly #pacer: Pacer;
  readonly #sweep: NodeJS.Timeout;
  #closing: Promise<void> | undefined;

  constructor(name: string, server: Server, state: OriginState, pacer: Pacer) {
    const { address, port } = server.address() as AddressInfo;
    this.name = name;
    this.address = { host: address, port };
    this.#server = server;
    this.#state = state;
    this.#pacer = pacer;
    this.#sweep = setInterval(() => this.#onSweep(), SWEEP_MS);
  }

  get url(): string {
    const { host, port } = this.address;
    return `rtsp://${host.includes(':') ? `[${host}]` : host}:${port}`;
  }

  stats(): OriginStats {
    const { counters, connections, sessions } = this.#state;
    const states = [...sessions].map((session) => session.state);
    return {
      ...counters,
      connections: connections.size,
      sessions: sessions.size,
      playing: states.filter((state) => state === 'playing').length,
      recording: states.filter((state) => state === 'recording').length,
    };
  }

  sessions(): OriginSessionInfo[] {
    return [...this.#state.sessions].map(({ id, mount, kind, state, streams }) => ({
      id,
      mount,
      kind,
      state,
      streams: [...streams.values()].map(({ sent, received }) => ({
        packetsSent: sent.packets,
        packetsReceived: received.packets,
        reportsReceived: received.reports,
      })),
    }));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    clearInterval(this.#sweep);
    this.#state.sessions.close();
    this.#pacer.close();
    this.#state.ports.close();
    for (const connection of this.#state.connections) connection.destroy();
    await closed;
  }

  #onSweep(): void {
    const nowMs = Date.now();
    for (const connection of this.#state.connections) connection.checkDeadline(nowMs);
    this.#state.sessions.endSilent(this.#state.sessionTimeoutSec * 1000);
  }
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => {
      reject(
        new PenstockError('PENSTOCK_ERR_BIND', `cannot listen on ${host} port ${port}: ${cause.message}`, { cause }),
      );
    });
    server.listen({ host, port, backlog: BACKLOG }, () => {
      server.removeAllListeners('error');
      resolve();
    });
  });
}
