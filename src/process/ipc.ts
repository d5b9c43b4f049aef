import type { Socket } from 'node:net';
import type { Config } from '../config/types.js';
import type { OffloadMaps } from '../engine/binding.js';
import type { ServicePlace } from '../router/farm.js';
import type { RecentNews } from '../router/persistence.js';
import type { TlsMaterial } from '../tls/material.js';

/**
 * Messages between the primary and its children, over Node's own IPC channel. Only control
 * travels here: per session at most a few, per packet none.
 */
export type ToWorker =
  | { type: 'init'; config: Config; places: readonly ServicePlace[]; tls: TlsMaterial }
  /** The configuration is another one; see planReload. */
  | { type: 'reload'; config: Config; places: readonly ServicePlace[]; tls: TlsMaterial }
  /** The files of certificates changed. */
  | { type: 'tls'; material: TlsMaterial }
  /** A session was seen alive, or ended, at another worker. */
  | { type: 'session-touched'; service: number; serverId: string }
  | { type: 'session-ended'; service: number; serverId: string }
  | { type: 'recent'; news: RecentNews }
  | { type: 'tunnel-answer'; id: number; yes: boolean }
  /** A half of a tunnel of this worker, with its socket; `bytes` (latin1) were read of it. */
  | { type: 'tunnel-post'; key: string; bytes: string }
  /** Stop accepting connections; report when no session is left. */
  | { type: 'drain' }
  /** Answer what is in hand, leave sessions and connections to a successor, and exit. */
  | { type: 'hand-over' }
  /** End what is left (TEARDOWN towards the servers) and exit. */
  | { type: 'finish' };

export type ToPrimary =
  /** The worker listens: it may be told to begin. */
  | { type: 'hello' }
  | { type: 'ready' }
  | { type: 'failed'; code: string; message: string }
  | { type: 'session-touched'; service: number; serverId: string }
  | { type: 'session-ended'; service: number; serverId: string }
  | { type: 'recent'; news: RecentNews }
  | { type: 'service-failed'; service: number; reason: string }
  | { type: 'service-worked'; service: number }
  /** May this worker have the tunnel of that key; has any worker it? */
  | { type: 'tunnel-question'; id: number; question: 'open' | 'find'; key: string }
  | { type: 'tunnel-closed'; key: string }
  /** For the worker that has the tunnel. */
  | { type: 'tunnel-post'; key: string; bytes: string }
  | { type: 'worker-stats'; stats: WorkerStats };

export type ToEngine = { type: 'init' | 'reload'; config: Config } | { type: 'finish' };

export interface WorkerStats {
  [counter: string]: number;
}

/** What a worker inherits, and where: passed in the environment variable PENSTOCK_WORKER. */
export interface WorkerInheritance {
  index: number;
  regionFd: number;
  vaultFd: number;
  /** One per engine thread. */
  wakeFds: number[];
  /** Written by the engine when there is something to read in this worker's inboxes. */
  inboxFd: number;
  /** `fd` is a number of the primary: cluster passes the socket when the worker listens. */
  listeners: { fd: number; vserver: number; tls: boolean }[];
}

/** What the engine inherits: PENSTOCK_ENGINE. */
export interface EngineInheritance {
  regionFd: number;
  vaultFd: number;
  wakeFds: number[];
  /** The `inboxFd` of each worker. */
  workerWakeFds: number[];
  /** Tables of tier offload, or a value of `layout.tierReason`. */
  offload: OffloadMaps | number;
}

/** The first descriptor that is inherited: 0–2 are the standard ones, 3 is Node's IPC channel. */
export const FIRST_INHERITED_FD = 4;

export function readInheritance<T>(variable: 'PENSTOCK_WORKER' | 'PENSTOCK_ENGINE'): T {
  const text = process.env[variable];
  if (text === undefined) throw new Error(`${variable} is not set: this file is started by the primary only`);
  return JSON.parse(text) as T;
}

/** A child's message to the primary. A primary that is gone takes the child with it, so a failed send needs no care. */
export function sendToPrimary(message: ToPrimary, socket?: Socket): void {
  if (!process.connected) return;
  if (socket) process.send?.(message, socket, () => {});
  else process.send?.(message);
}

/** The terminal sends these to the whole group; only the primary acts on them. */
export function leaveSignalsToPrimary(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2'] as const) process.on(signal, () => {});
}
