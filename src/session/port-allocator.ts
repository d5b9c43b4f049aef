import { PenstockError } from '../errors.js';

export interface BoundPort {
  fd: number;
  port: number;
}

/** One listening service: two bound UDP sockets on one address. */
export interface PortPair {
  address: string;
  rtp: BoundPort;
  rtcp: BoundPort;
}

/** Port numbers as a peer named them; a lone `rtp` means RTCP on the next number. */
export interface PortNumbers {
  rtp: number;
  rtcp?: number | undefined;
}

export interface PortAllocatorOptions {
  /** The pool, both ends included. Pairs are even-odd, so a pool needs an even number and the one after it. */
  range: { min: number; max: number };
  policy: 'preserve' | 'pool';
  /** Binds a UDP socket or throws an Error whose `code` is the errno name. The kernel is the arbiter of conflicts. */
  bind(address: string, port: number): BoundPort;
  close(fd: number): void;
  /** Numbers that are never given out, such as our own listening and admin ports. */
  reserved?: ReadonlySet<number>;
  /** 0 ≤ random() < 1; decides where the search begins, so that workers do not meet. */
  random?(): number;
  /** Monotonic milliseconds. */
  now?(): number;
}

export interface PortCounters {
  /** Pairs given out. */
  allocated: number;
  /** Of those, pairs with the very numbers that the peer asked for. */
  preserved: number;
  /** Pairs that could not be had because another socket holds one of the numbers. */
  conflicts: number;
  /** Allocations that failed. */
  exhausted: number;
}

/** Pairs tried near the cursor and at random places before a scan of the whole range. */
const QUICK_TRIES = 64;
/** Pairs in use one after the other before the search jumps elsewhere: most likely a neighbour's block. */
const RUN_BEFORE_JUMP = 8;
/**
 * A scan of the whole range goes on to the first free pair: on average as many tries as there are
 * pairs per free one. One that finds nothing is the worst case: 20 to 50 µs per pair (socket, bind, a
 * thrown error), so up to a second of a blocked worker for 20,000 pairs. The next one then waits
 * this long, and until scans take no more than SCAN_SHARE of the worker's time; meanwhile a refusal
 * costs QUICK_TRIES, and a pair that was freed may be seen that much later.
 */
const SCAN_INTERVAL_MS = 1000;
const SCAN_SHARE = 0.05;

const CONFLICTS = new Set(['EADDRINUSE', 'EACCES']);
const NO_RESOURCES = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM']);

/** Gives out bound UDP port pairs: whole or not at all. Holds no list of its own of what is in use. */
export class PortAllocator {
  readonly counters: PortCounters = { allocated: 0, preserved: 0, conflicts: 0, exhausted: 0 };
  readonly #options: PortAllocatorOptions;
  readonly #firstRtp: number;
  readonly #pairs: number;
  readonly #random: () => number;
  readonly #now: () => number;
  readonly #released = new WeakSet<PortPair>();
  readonly #nextScan = new Map<string, number>();
  #cursor: number;

  constructor(options: PortAllocatorOptions) {
    this.#options = options;
    this.#firstRtp = options.range.min + (options.range.min % 2);
    this.#pairs = Math.floor((options.range.max + 1 - this.#firstRtp) / 2);
    this.#random = options.random ?? Math.random;
    this.#now = options.now ?? (() => performance.now());
    if (!(this.#pairs > 0)) {
      const { min, max } = options.range;
      throw new PenstockError('PENSTOCK_ERR_CONFIG', `media ports ${min}-${max} hold no even-odd pair`);
    }
    this.#cursor = this.#randomPair();
  }

  /**
   * A pair on `address`, with the `preferred` numbers where policy and kernel allow.
   * Throws PENSTOCK_ERR_PORTS_EXHAUSTED (no free pair, or no descriptors or memory for one) and
   * PENSTOCK_ERR_MEDIA_ADDRESS (not an address of this machine). Nothing stays bound then.
   */
  allocate(address: string, preferred?: PortNumbers): PortPair {
    const pair = this.#preserve(address, preferred) ?? this.#quick(address) ?? this.#scan(address);
    if (pair === undefined) {
      const { min, max } = this.#options.range;
      throw this.#exhausted(`no free pair on ${address} in media ports ${min}-${max}`);
    }
    this.counters.allocated++;
    return pair;
  }

  /** Closes a pair whose descriptors were not handed over. A second call for the same pair does nothing. */
  release(pair: PortPair): void {
    // A descriptor number is used again at once: closing it twice would close a stranger's socket.
    if (this.#released.has(pair)) return;
    this.#released.add(pair);
    this.#options.close(pair.rtp.fd);
    this.#options.close(pair.rtcp.fd);
  }

  #preserve(address: string, preferred: PortNumbers | undefined): PortPair | undefined {
    if (this.#options.policy !== 'preserve' || preferred === undefined) return undefined;
    const { rtp, rtcp = rtp + 1 } = preferred;
    if (rtp === rtcp || !this.#mayPreserve(rtp) || !this.#mayPreserve(rtcp)) return undefined;
    const pair = this.#bindPair(address, rtp, rtcp);
    if (pair !== undefined) this.counters.preserved++;
    return pair;
  }

  #mayPreserve(port: number): boolean {
    // Outside of the range a firewall would have to be opened for whatever peers choose.
    const { min, max } = this.#options.range;
    return port >= min && port <= max && !this.#isReserved(port);
  }

  #isReserved(port: number): boolean {
    return this.#options.reserved?.has(port) ?? false;
  }

  /** A short search. The cursor runs on, so a freed number comes back as late as possible. */
  #quick(address: string): PortPair | undefined {
    const whole = this.#pairs <= QUICK_TRIES;
    for (let failed = 0; failed < (whole ? this.#pairs : QUICK_TRIES); failed++) {
      if (!whole && failed > 0 && failed % RUN_BEFORE_JUMP === 0) this.#cursor = this.#randomPair();
      const pair = this.#bindAtCursor(address);
      if (pair !== undefined) return pair;
    }
    return undefined;
  }

  #scan(address: string): PortPair | undefined {
    const begun = this.#now();
    if (begun < (this.#nextScan.get(address) ?? Number.NEGATIVE_INFINITY)) return undefined;
    for (let tried = 0; tried < this.#pairs; tried++) {
      const pair = this.#bindAtCursor(address);
      if (pair !== undefined) return pair;
    }
    const ended = this.#now();
    this.#nextScan.set(address, ended + Math.max(SCAN_INTERVAL_MS, (ended - begun) / SCAN_SHARE));
    return undefined;
  }

  #bindAtCursor(address: string): PortPair | undefined {
    const rtp = this.#firstRtp + 2 * this.#cursor;
    this.#cursor = (this.#cursor + 1) % this.#pairs;
    if (this.#isReserved(rtp) || this.#isReserved(rtp + 1)) return undefined;
    return this.#bindPair(address, rtp, rtp + 1);
  }

  #randomPair(): number {
    return Math.floor(this.#random() * this.#pairs);
  }

  /** Both sockets, or undefined where one of the numbers is in use. */
  #bindPair(address: string, rtpPort: number, rtcpPort: number): PortPair | undefined {
    const rtp = this.#bind(address, rtpPort);
    if (rtp === undefined) return undefined;
    let rtcp: BoundPort | undefined;
    try {
      rtcp = this.#bind(address, rtcpPort);
    } finally {
      if (rtcp === undefined) this.#options.close(rtp.fd);
    }
    return rtcp === undefined ? undefined : { address, rtp, rtcp };
  }

  #bind(address: string, port: number): BoundPort | undefined {
    try {
      return this.#options.bind(address, port);
    } catch (error) {
      const { code = 'no errno', message } = error as NodeJS.ErrnoException;
      if (!CONFLICTS.has(code)) throw this.#bindFault(code, `${address} port ${port}: ${message}`, error);
      this.counters.conflicts++;
      return undefined;
    }
  }

  #bindFault(code: string, what: string, cause: unknown): unknown {
    if (NO_RESOURCES.has(code)) return this.#exhausted(`${code} at ${what}`, cause);
    if (code !== 'EADDRNOTAVAIL') return cause;
    return new PenstockError('PENSTOCK_ERR_MEDIA_ADDRESS', `no media address of this machine: ${what}`, { cause });
  }

  #exhausted(message: string, cause?: unknown): PenstockError {
    this.counters.exhausted++;
    return new PenstockError('PENSTOCK_ERR_PORTS_EXHAUSTED', message, { cause });
  }
}
