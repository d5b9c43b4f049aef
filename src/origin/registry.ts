import { randomBytes } from 'node:crypto';
import type { Clip } from './clip.js';
import type { OriginCounters } from './counters.js';
import type { OriginLog } from './log.js';
import type { Pacer } from './pacer.js';
import { Session } from './session.js';

export const MAX_SESSIONS = 50_000;

export type EndReason = 'teardowns' | 'expired' | 'disconnected';

/** All sessions of an origin. They belong to no connection: any connection may go on with a session it knows the id of. */
export class SessionRegistry {
  readonly #sessions = new Map<string, Session>();
  readonly #shared: { clip: Clip; pacer: Pacer; counters: OriginCounters };
  readonly #log: OriginLog | undefined;

  constructor(shared: { clip: Clip; pacer: Pacer; counters: OriginCounters }, log: OriginLog | undefined) {
    this.#shared = shared;
    this.#log = log;
  }

  get size(): number {
    return this.#sessions.size;
  }

  get full(): boolean {
    return this.#sessions.size >= MAX_SESSIONS;
  }

  [Symbol.iterator](): IterableIterator<Session> {
    return this.#sessions.values();
  }

  find(id: string): Session | undefined {
    return this.#sessions.get(id);
  }

  /** A session that is not yet in the registry: `add` it when its first stream stands. */
  create(mount: string, kind: Session['kind']): Session {
    return new Session({ ...this.#shared, mount, kind, id: randomBytes(8).toString('hex') });
  }

  add(session: Session): void {
    this.#sessions.set(session.id, session);
  }

  end(session: Session, reason: EndReason): void {
    if (!this.#sessions.delete(session.id)) return;
    session.close();
    this.#shared.counters[reason]++;
    this.#log?.info({ session: session.id, mount: session.mount, reason }, 'session ended');
  }

  endSilent(timeoutMs: number): void {
    for (const session of this) if (session.silentMs > timeoutMs) this.end(session, 'expired');
  }

  close(): void {
    for (const session of this) session.close();
    this.#sessions.clear();
  }
}
