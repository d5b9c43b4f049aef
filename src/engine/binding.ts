import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { PenstockError } from '../errors.js';
import type { Layout } from './layout.js';

/** The layout that this TypeScript was written for; native/table/region_layout.h has the same number. */
const LAYOUT_VERSION = 10;

/** Names another file to load instead of those below. */
const OVERRIDE = 'PENSTOCK_ADDON';

/** Where the builders leave the addon, tried in this order: cmake-js, then node-gyp. */
const PLACES = ['build/Release/penstock.node', 'build-gyp/build/Release/penstock.node'];

export interface RegionSpec {
  workers: number;
  engineThreads: number;
  services: number;
  sessionsPerWorker: number;
  streamsPerWorker: number;
  /** Slots of each ring, a power of two. */
  ringSlots: number;
  quarantineMs: number;
  wiresPerWorker: number;
  /** Bytes of each inbox and outbox, a power of two; a message of up to half of it (less a record's head) passes. */
  wireRingBytes: number;
  /** Bytes of frames that may wait for a peer that does not read, before `interleavedOverflow` (a value of `layout.overflow`). */
  interleavedBacklog: number;
  interleavedOverflow: number;
  /** For a message that has begun on a wire to be complete. */
  messageDeadlineMs: number;
}

/** What a worker tells the engine; which of the fields count depends on `kind` (see WireRecordKind in region_layout.h). */
export interface OutboxRecord {
  /** start, write, continue, stream, shutdown or close of `layout.recordKind`. */
  kind: number;
  /** Global slot of the wire; of the stream in a `stream` record. */
  wire: number;
  generation: number;
  /** write: the number of this message, counting up by one from 1 on each wire. continue: the held message that is dealt with. start: a token, not 0. */
  seq?: number;
  /** write: the held message that is dealt with once this one is written; on any wire of the same thread. */
  continues?: { wire: number; generation: number; seq: number };
  /** write: one whole message. */
  bytes?: Uint8Array;
}

/** What the engine tells a worker. */
export interface InboxRecord {
  /** attached, message, fault, end, closed or released of `layout.recordKind`. */
  kind: number;
  wire: number;
  generation: number;
  /** message: its number, counting up from 1. attached: the last message accepted for writing. closed: the errno of `wireEnd.error`. */
  seq: number;
  /** fault: of `layout.wireFault`. closed: of `layout.wireEnd`. attached: the last message that is written. */
  value: number;
  /** attached: the last incoming message that is dealt with. */
  continueSeq: number;
  /** attached: the `seq` of the start that the engine has had, 0 before it has; what comes before is another worker's affair. */
  token: number;
  /** message: all of it. fault: what could not be read, or its beginning. A copy, the caller's own. */
  bytes: Buffer;
}

export interface ListenOptions {
  /** Several sockets share the port; the kernel spreads the connections over them. */
  reusePort: boolean;
  /** Default false: a listener on `::` takes IPv4 too. */
  v6Only?: boolean;
  backlog?: number;
}

export interface EngineOptions {
  /** The engine's end of the socket pair to the vault; stays the caller's. */
  vaultFd: number;
  /** One eventfd per engine thread of the region; they stay the caller's. */
  wakeFds: readonly number[];
  /** One eventfd per worker of the region, written when its inboxes hold something; they stay the caller's. Default: nobody is woken. */
  workerWakeFds?: readonly number[];
  gso: boolean;
  gro: boolean;
  /** 0…2000, or -1 for `auto`. */
  batchDelayUs: number;
  pinThreads: boolean;
  /** The maps of tier offload, which stay the caller's, or a value of `layout.tierReason` that says why there are none. */
  offload: OffloadMaps | number;
}

/** Descriptors of the kernel's tables of tier offload. */
export interface OffloadMaps {
  flowsFd: number;
  cellsFd: number;
  interfacesFd: number;
}

export interface InterfaceNews {
  kind: 'attached' | 'lost' | 'refused';
  interface: string;
  /** Of a refusal, else empty. */
  reason: string;
}

export interface EngineReport {
  gso: boolean;
  gro: boolean;
  offload: boolean;
  /** Why something that was asked for is not in use. */
  reasons: string[];
}

export interface VaultStats {
  /** Held now. */
  streams: number;
  wires: number;
  descriptors: number;
  /** Messages passed on to the engine, since start. */
  forwarded: number;
  /** Messages and sockets refused, since start; stays zero in a healthy appliance. */
  dropped: number;
}

export interface ProbeReport {
  /** 'ok' or the reason, each tried and not only looked up. */
  gso: string;
  gro: string;
  /** Tier offload: the real program was loaded, and the kernel has tcx. */
  offload: string;
  sealedMemfd: string;
  /** net.core.rmem_max in bytes; 0 where the kernel hides it (in a network namespace of its own). */
  rmemMax: number;
  fileLimit: { soft: number; hard: number };
  /** net.ipv4.ip_local_port_range. */
  ephemeralPorts: { min: number; max: number } | null;
  /** Of this process; null where /proc does not tell. */
  capabilities: { netBindService: boolean; netAdmin: boolean; bpf: boolean } | null;
}

/**
 * The addon. Every call is synchronous and takes numbers and strings. Wrong arguments give a
 * TypeError or RangeError that says what was expected; failed system calls give an Error with
 * `.code` ('EADDRINUSE'), `.errno` and `.syscall`. Descriptors that it makes are close-on-exec
 * and get to a child through its stdio slots.
 */
export interface NativeBinding {
  readonly layout: Layout;

  /** A new region in a memfd, initialised and sealed against any change of its size; the caller owns the descriptor. */
  createRegion(spec: RegionSpec): number;
  /** The region as shared memory. A process maps one region once, for all its threads, until its end. */
  mapRegion(fd: number): SharedArrayBuffer;
  /** Needs mapRegion before it. `worker` and `thread` choose the ring. False: the ring is full. */
  commandPush(worker: number, thread: number, op: number, stream: number, generation: number): boolean;
  /** CLOCK_MONOTONIC, the clock of every time in the region. */
  monotonicMs(): number;

  /** Soft limit of open descriptors becomes the hard one; returns it. */
  raiseFileLimit(): number;
  listenTcp(address: string, port: number, options: ListenOptions): { fd: number; port: number };
  /**
   * Exactly one address and port, never shared; port 0 is the kernel's choice. `receiveBuffer`: bytes to ask for,
   * 0 keeps the default; what is granted comes back as the kernel counts it (twice the bytes asked for).
   */
  bindUdp(
    address: string,
    port: number,
    options: { receiveBuffer: number },
  ): { fd: number; port: number; receiveBuffer: number };
  /** A second descriptor for the same file; it is not inherited. */
  dupFd(fd: number): number;
  closeFd(fd: number): void;
  /** SOCK_SEQPACKET. */
  socketPair(): [number, number];
  /** SOCK_STREAM. */
  streamPair(): [number, number];
  eventFd(): number;
  wake(eventFd: number): void;
  /** One message to a unix datagram socket; `path` begins with `@` for an abstract name. Waits a second at most. */
  sendUnixDatagram(path: string, text: string): void;
  /**
   * Calls back in this thread's event loop whenever `eventFd` was written; the count is taken out of it before. Keeps
   * no process alive. One callback per descriptor, which stays the caller's and must be unwatched before it is closed.
   */
  watchWake(eventFd: number, callback: () => void): void;
  /** Does nothing where it is not watched. */
  unwatchWake(eventFd: number): void;

  /** Primary: starts the thread that keeps all media sockets. */
  vaultStart(): void;
  /** The vault owns `fd` from now on. A former socket of that index is read to its end first. */
  vaultAttachWorker(index: number, fd: number): void;
  /** The vault owns `fd` from now on, and sends all that it holds before anything new. */
  vaultAttachEngine(fd: number): void;
  vaultStats(): VaultStats;
  /** Closes everything that the vault holds. Does nothing where it was not started. */
  vaultStop(): void;

  /**
   * Worker: gives the sockets of a stream away. `legs` is a mask of `1 << layout.legIndex`, `fds` holds one
   * descriptor per bit, lowest first. They are closed on success; after an exception the caller still owns them.
   */
  handOver(vaultFd: number, stream: number, generation: number, legs: number, fds: readonly number[]): void;

  /**
   * Worker: gives a TCP connection away, for a wire row that is filled and open. It is closed here on success, which
   * does not end the connection; after an exception the caller still owns it.
   */
  handOverWire(vaultFd: number, wire: number, generation: number, fd: number): void;
  /**
   * Worker: needs mapRegion before it. False: the ring has no room, nothing was said; try again later, in the same
   * order. Throws a RangeError for a message that never fits. The engine is not woken by it: see `wake`.
   */
  outboxPush(worker: number, thread: number, record: OutboxRecord): boolean;
  /** Worker: takes up to `max` records. Needs mapRegion before it. */
  inboxRead(worker: number, thread: number, max: number): InboxRecord[];

  /**
   * Primary: loads the relaying BPF program; needs mapRegion before it. The descriptors stay the addon's. Throws with
   * the reason where kernel or rights do not allow it. The kernel relays as long as this process lives.
   */
  offloadStart(): OffloadMaps;
  /** Attaches to interfaces that the engine asked for and notes those that are gone; a few times a second. */
  offloadTend(): InterfaceNews[];
  /** Detaches everything. Does nothing where it was not started. */
  offloadStop(): void;

  /** Engine process: needs mapRegion before it. Probes what is asked for, starts the threads. */
  engineStart(options: EngineOptions): EngineReport;
  /** Joins the threads. Does nothing where they were not started. */
  engineStop(): void;

  /** What this machine allows. */
  probe(): ProbeReport;
}

const require = createRequire(import.meta.url);

/** Loads the addon, or gives the one that is loaded. Throws PENSTOCK_ERR_ADDON where it is missing or does not fit. */
export function loadBinding(): NativeBinding {
  const file = addonFile();
  const binding = requireAddon(file);
  const version = binding.layout?.version;
  if (version !== LAYOUT_VERSION) {
    throw new PenstockError(
      'PENSTOCK_ERR_ADDON',
      `${file} has layout version ${version}, expected ${LAYOUT_VERSION}: run \`npm run setup\` to build it anew`,
    );
  }
  return binding;
}

/** The file that loadBinding loads. */
export function addonFile(): string {
  const override = process.env[OVERRIDE];
  if (override) return override;
  const places = PLACES.map((place) => fileURLToPath(new URL(`../../${place}`, import.meta.url)));
  const found = places.find((place) => existsSync(place));
  if (found) return found;
  throw new PenstockError(
    'PENSTOCK_ERR_ADDON',
    `the native addon is not built: run \`npm run setup\` (looked for ${places.join(' and ')})`,
  );
}

function requireAddon(file: string): NativeBinding {
  try {
    return require(file) as NativeBinding;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new PenstockError('PENSTOCK_ERR_ADDON', `${file} cannot be loaded: ${reason}`, { cause: error });
  }
}
