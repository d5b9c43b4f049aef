import type { ChildProcess } from 'node:child_process';
import cluster from 'node:cluster';
import { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import type { Config } from '../config/types.js';
import type { NativeBinding } from '../engine/binding.js';
import type { ServicePlace } from '../router/farm.js';
import type { TlsMaterial } from '../tls/material.js';
import { FIRST_INHERITED_FD, type ToPrimary, type ToWorker, type WorkerInheritance, type WorkerStats } from './ipc.js';
import { listenersOf, type OpenListener } from './listeners.js';
import { detach } from './meeting-point.js';
import { Supervisor } from './supervisor.js';
import { TunnelRegistry } from './tunnel-registry.js';

// Each worker has listening sockets of its own: no connection passes through the primary.
cluster.schedulingPolicy = cluster.SCHED_NONE;

const ENTRY = fileURLToPath(new URL('./worker-entry.js', import.meta.url));

export interface WorkerProcessesOptions {
  binding: NativeBinding;
  config: Config;
  places(): readonly ServicePlace[];
  regionFd: number;
  wakeFds: readonly number[];
  /** One eventfd per worker. */
  inboxFds: readonly number[];
  listeners: readonly OpenListener[];
  /** As it is now. */
  tls(): TlsMaterial;
  onReady(worker: number): void;
  onDeath(worker: number, description: string, pauseMs: number): void;
  onFailed(message: Extract<ToPrimary, { type: 'failed' }>): void;
  onServiceFailed(service: number, reason: string): void;
  onServiceWorked(service: number): void;
}

/** The cluster workers: one supervisor per worker index, and the messages between them. */
export class WorkerProcesses {
  readonly #options: WorkerProcessesOptions;
  readonly #supervisors: Supervisor[];
  readonly #stats: (WorkerStats | undefined)[] = [];
  readonly #tunnels = new TunnelRegistry();

  constructor(options: WorkerProcessesOptions) {
    this.#options = options;
    this.#supervisors = Array.from({ length: options.config.workers }, (_, index) => this.#supervise(index));
  }

  start(): void {
    for (const supervisor of this.#supervisors) supervisor.start();
  }

  /** Configuration, table of services or certificates are others than before. */
  reload(): void {
    this.#broadcast({ type: 'reload', ...this.#given() });
  }

  /** Certificates for the handshakes to come. */
  updateTls(material: TlsMaterial): void {
    this.#broadcast({ type: 'tls', material });
  }

  /** Tells every worker to stop accepting. */
  drain(): void {
    this.#broadcast({ type: 'drain' });
  }

  /** Workers end their sessions and exit; after `graceMs` they are killed. */
  async stop(graceMs: number): Promise<void> {
    await this.#end({ type: 'finish' }, graceMs);
  }

  /** Workers leave their sessions to successors and exit; after `graceMs` they are killed. */
  async handOver(graceMs: number): Promise<void> {
    await this.#end({ type: 'hand-over' }, graceMs);
  }

  async #end(order: ToWorker, graceMs: number): Promise<void> {
    const ended = this.#supervisors.map((supervisor) => supervisor.stop());
    this.#broadcast(order);
    const timer = setTimeout(() => this.kill(), graceMs);
    await Promise.all(ended);
    clearTimeout(timer);
  }

  kill(): void {
    for (const supervisor of this.#supervisors) supervisor.child?.kill('SIGKILL');
  }

  child(index: number): ChildProcess | undefined {
    return this.#supervisors[index]?.child;
  }

  /** Counters that workers keep outside of the region, summed. */
  stats(): WorkerStats {
    const sum: WorkerStats = {};
    for (const stats of this.#stats) {
      for (const [name, value] of Object.entries(stats ?? {})) sum[name] = (sum[name] ?? 0) + value;
    }
    return sum;
  }

  #supervise(index: number): Supervisor {
    return new Supervisor(() => this.#spawn(index), {
      onStart: (child) => {
        this.#tunnels.forget(index);
        child.on('message', (message, handle) => this.#receive(index, message as ToPrimary, handle));
      },
      onDeath: (description, pauseMs) => this.#options.onDeath(index, description, pauseMs),
    });
  }

  /** A successor has its predecessor's index, listening sockets and slices of the region. */
  #spawn(index: number): ChildProcess {
    const { binding, config, regionFd, wakeFds, inboxFds, listeners } = this.#options;
    const [ours, theirs] = binding.socketPair();
    const inheritance: WorkerInheritance = {
      index,
      regionFd: FIRST_INHERITED_FD,
      vaultFd: FIRST_INHERITED_FD + 1,
      wakeFds: wakeFds.map((_, thread) => FIRST_INHERITED_FD + 2 + thread),
      inboxFd: FIRST_INHERITED_FD + 2 + wakeFds.length,
      // A fresh duplicate for each start: cluster keeps handles by number, and closes them with their worker.
      listeners: listenersOf(listeners, index, config.workers).map((own) => ({ ...own, fd: binding.dupFd(own.fd) })),
    };
    const stdio = [
      'ignore' as const,
      'inherit' as const,
      'inherit' as const,
      'ipc' as const,
      regionFd,
      theirs,
      ...wakeFds,
      inboxFds[index] as number,
    ];
    cluster.setupPrimary({ exec: ENTRY, args: [], stdio });
    const worker = cluster.fork({ PENSTOCK_WORKER: JSON.stringify(inheritance) });
    binding.closeFd(theirs);
    binding.vaultAttachWorker(index, ours);
    return worker.process;
  }

  #receive(index: number, message: ToPrimary, handle: unknown): void {
    switch (message.type) {
      case 'hello':
        this.#send(index, { type: 'init', ...this.#given() });
        break;
      case 'ready':
        this.#options.onReady(index);
        break;
      case 'failed':
        this.#options.onFailed(message);
        break;
      case 'session-touched':
      case 'session-ended':
      case 'recent':
        this.#broadcast(message, index);
        break;
      case 'service-failed':
        this.#options.onServiceFailed(message.service, message.reason);
        break;
      case 'service-worked':
        this.#options.onServiceWorked(message.service);
        break;
      case 'worker-stats':
        this.#stats[index] = message.stats;
        break;
      case 'tunnel-question':
        this.#send(index, { type: 'tunnel-answer', id: message.id, yes: this.#tunnels.answer(index, message) });
        break;
      case 'tunnel-closed':
        this.#tunnels.closed(index, message.key);
        break;
      case 'tunnel-post':
        if (handle instanceof Socket) this.#passHalf(message.key, message.bytes, handle);
    }
  }

  /** What a worker works with. */
  #given(): Pick<Extract<ToWorker, { type: 'init' }>, 'config' | 'places' | 'tls'> {
    const { config, places, tls } = this.#options;
    return { config, places: places(), tls: tls() };
  }

  /** From the worker that accepted one half of a tunnel to the one that has the other. */
  #passHalf(key: string, bytes: string, half: Socket): void {
    const worker = this.#tunnels.workerOf(key);
    const { socket, bytes: more } = detach(this.#options.binding, half);
    if (worker === undefined) socket.destroy();
    else this.#send(worker, { type: 'tunnel-post', key, bytes: bytes + more.toString('latin1') }, socket);
  }

  #broadcast(message: ToWorker, except?: number): void {
    for (const index of this.#supervisors.keys()) if (index !== except) this.#send(index, message);
  }

  #send(index: number, message: ToWorker, socket?: Socket): void {
    const child = this.#supervisors[index]?.child;
    // A worker may die between our look and our send; its successor starts from the region.
    if (child?.connected) child.send(message, socket, () => {});
    else socket?.destroy();
  }
}
