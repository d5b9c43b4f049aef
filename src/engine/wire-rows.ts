import { type Endpoint, readEndpoint, writeEndpoint } from './endpoint.js';
import type { Layout } from './layout.js';
import { readRow, writeRow } from './row-sequence.js';
import type { SharedRegion } from './shared-region.js';

/** A wire's row, and which opening of it. */
export interface WireRef {
  slot: number;
  generation: number;
}

export interface WireSpec {
  kind: keyof Layout['wireKind'];
  /** The engine thread: the same for a client's wire and those of its upstreams. */
  thread: number;
  /** Of an upstream: the row of its client's wire. */
  link: number | undefined;
  /** Row of the vserver in the configuration. */
  vserver: number;
  /** Of an upstream: row of the service table; else 0. */
  service: number;
  remote: Endpoint;
  local: Endpoint;
  /** Of a client whose connection a proxy forwards: who, and what the client reached there. */
  proxied?: { by: Endpoint; destination: Endpoint } | undefined;
}

export interface WireView extends WireSpec, WireRef {
  worker: number;
  state: 'open' | 'closing';
  openedMs: number;
  /** See WireRow.forwarded. */
  forwarded: number;
  /** By which the client calls us; empty = not said. */
  authority: string;
  /** The engine has this generation. What follows is zero before. */
  attached: boolean;
  /** Our FIN is asked for, or sent. */
  shut: boolean;
  /** Messages up to this one have left. */
  writtenSeq: number;
  lastRxMs: number;
  lastTxMs: number;
  rxBytes: number;
  txBytes: number;
  rxFrames: number;
  txFrames: number;
  droppedFrames: number;
  unroutedFrames: number;
}

type Count = 'rxBytes' | 'txBytes' | 'rxFrames' | 'txFrames' | 'droppedFrames' | 'unroutedFrames';
const NOBODY: Endpoint = { ip: '', port: 0 };
const COUNTS: readonly Count[] = ['rxBytes', 'txBytes', 'rxFrames', 'txFrames', 'droppedFrames', 'unroutedFrames'];

/** One row of the wire table. */
export class WireRow {
  readonly slot: number;
  readonly #region: SharedRegion;
  readonly #at: number;
  readonly #cells: Layout['wire'];

  constructor(region: SharedRegion, slot: number) {
    this.slot = slot;
    this.#region = region;
    this.#at = region.wireAt(slot);
    this.#cells = region.layout.wire;
  }

  get generation(): number {
    return this.#load('generation');
  }

  get state(): number {
    return this.#load('state');
  }

  get released(): boolean {
    return this.#load('releasedGeneration') === this.generation;
  }

  get attached(): boolean {
    return this.#load('attachedGeneration') === this.generation;
  }

  /** Messages up to this one are in the kernel's hands; 0 before the engine has the wire. */
  get writtenSeq(): number {
    return this.attached ? this.#load('writtenSeq') : 0;
  }

  /** Frames that the peer's kernel took from us. */
  get txFrames(): number {
    return this.attached ? this.#region.getU64(this.#at + this.#cells.txFrames) : 0;
  }

  /**
   * Client: the held message that was passed on to a server. Upstream: the number of the written message that carried
   * it. So a successor knows whether to pass it on again.
   */
  get forwarded(): number {
    return this.#load('forwardedSeq');
  }

  set forwarded(seq: number) {
    this.#region.storeU32(this.#at + this.#cells.forwardedSeq, seq);
  }

  /** Upstream: by how much the numbers of its requests are ahead of the client's. */
  get cseqAhead(): number {
    return this.#load('cseqAhead');
  }

  set cseqAhead(ahead: number) {
    this.#region.storeU32(this.#at + this.#cells.cseqAhead, ahead);
  }

  set authority(authority: string) {
    const text = Buffer.from(authority);
    const bytes = text.length <= this.#region.layout.limits.maxAuthority ? text : Buffer.alloc(0);
    this.#region.bytes(this.#at + this.#cells.authority, bytes.length).set(bytes);
    this.#region.storeU32(this.#at + this.#cells.authorityBytes, bytes.length);
  }

  /** Owner only; the row must be free. */
  open(spec: WireSpec, nowMs: number): WireRef {
    const { rowState } = this.#region.layout;
    this.#write(() => {
      this.#region.addU32(this.#at + this.#cells.generation, 1);
      this.#fill(spec, nowMs);
      this.#region.storeU32(this.#at + this.#cells.state, rowState.open);
    });
    return { slot: this.slot, generation: this.generation };
  }

  /** Owner only. */
  setState(state: keyof Layout['rowState']): void {
    const value = this.#region.layout.rowState[state];
    this.#write(() => this.#region.storeU32(this.#at + this.#cells.state, value));
  }

  get halfWritten(): boolean {
    return (this.#load('sequence') & 1) === 1;
  }

  /** Any process; undefined for a free row. */
  read(): WireView | undefined {
    return readRow(this.#region, this.#at + this.#cells.sequence, () => this.#view());
  }

  #write(write: () => void): void {
    writeRow(this.#region, this.#at + this.#cells.sequence, write);
  }

  #fill(spec: WireSpec, nowMs: number): void {
    const { layout } = this.#region;
    this.#set('thread', spec.thread);
    this.#set('kind', layout.wireKind[spec.kind]);
    this.#set('link', spec.link ?? layout.limits.noWire);
    this.#set('vserver', spec.vserver);
    this.#set('service', spec.service);
    for (const cell of ['flags', 'cseqAhead', 'forwardedSeq', 'authorityBytes'] as const) this.#set(cell, 0);
    writeEndpoint(this.#region, this.#at + this.#cells.remote, spec.remote);
    writeEndpoint(this.#region, this.#at + this.#cells.local, spec.local);
    writeEndpoint(this.#region, this.#at + this.#cells.proxy, spec.proxied?.by);
    writeEndpoint(this.#region, this.#at + this.#cells.reached, spec.proxied?.destination);
    this.#region.setF64(this.#at + this.#cells.openedMs, nowMs);
  }

  #view(): WireView | undefined {
    const { layout, geometry } = this.#region;
    const { rowState, wireKind, limits } = layout;
    const state = this.state;
    if (state !== rowState.open && state !== rowState.closing) return undefined;
    const link = this.#load('link');
    const authorityBytes = Math.min(this.#load('authorityBytes'), limits.maxAuthority);
    return {
      slot: this.slot,
      worker: Math.floor(this.slot / geometry.wiresPerWorker),
      generation: this.generation,
      state: state === rowState.open ? 'open' : 'closing',
      kind: this.#load('kind') === wireKind.client ? 'client' : 'upstream',
      thread: this.#load('thread'),
      link: link === limits.noWire ? undefined : link,
      vserver: this.#load('vserver'),
      service: this.#load('service'),
      remote: this.#endpoint('remote') ?? NOBODY,
      local: this.#endpoint('local') ?? NOBODY,
      proxied: this.#proxied(),
      openedMs: this.#region.getF64(this.#at + this.#cells.openedMs),
      forwarded: this.forwarded,
      authority: this.#region.bytes(this.#at + this.#cells.authority, authorityBytes).toString('utf8'),
      ...this.#data(),
    };
  }

  #data(): Omit<
    WireView,
    keyof WireSpec | keyof WireRef | 'worker' | 'state' | 'openedMs' | 'forwarded' | 'authority'
  > {
    const attached = this.attached;
    const time = (cell: 'lastRxMs' | 'lastTxMs') => (attached ? this.#region.getF64(this.#at + this.#cells[cell]) : 0);
    const count = (cell: Count) => (attached ? this.#region.getU64(this.#at + this.#cells[cell]) : 0);
    const counts = Object.fromEntries(COUNTS.map((cell) => [cell, count(cell)])) as Record<Count, number>;
    return {
      attached,
      shut: attached && this.#load('shut') !== 0,
      writtenSeq: this.writtenSeq,
      lastRxMs: time('lastRxMs'),
      lastTxMs: time('lastTxMs'),
      ...counts,
    };
  }

  #proxied(): WireSpec['proxied'] {
    const by = this.#endpoint('proxy');
    return by && { by, destination: this.#endpoint('reached') ?? NOBODY };
  }

  #endpoint(cell: 'remote' | 'local' | 'proxy' | 'reached'): Endpoint | undefined {
    return readEndpoint(this.#region, this.#at + this.#cells[cell]);
  }

  #load(cell: keyof Layout['wire']): number {
    return this.#region.loadU32(this.#at + this.#cells[cell]);
  }

  #set(cell: keyof Layout['wire'], value: number): void {
    this.#region.setU32(this.#at + this.#cells[cell], value);
  }
}
