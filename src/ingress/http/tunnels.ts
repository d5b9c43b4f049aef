import type { Duplex } from 'node:stream';
import { PenstockError } from '../../errors.js';
import type { ByteStream } from '../../rtsp/stream-transport.js';
import type { PeerAddress } from '../../rtsp/transport.js';
import { firstBytes } from '../first-bytes.js';
import { readHttpHead } from './head.js';
import { TunnelStream } from './tunnel-stream.js';

/** Tunnels of one worker whose client has not sent anything yet. */
export const MAX_WAITING_TUNNELS = 1_024;
/** From the answer to a GET to the first POST. */
export const FIRST_POST_TIMEOUT_MS = 10_000;
/** A refused client may take this long to read why. */
const LINGER_MS = 1_000;

const GRANTED = [
  'HTTP/1.0 200 OK',
  'Connection: close',
  'Cache-Control: no-store',
  'Pragma: no-cache',
  'Content-Type: application/x-rtsp-tunnelled',
  '',
  '',
].join('\r\n');
const REFUSED = 'HTTP/1.0 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n';

/** Where the halves of a tunnel meet that came to different workers. */
export interface MeetingPoint {
  /** Resolves with false when another tunnel has the key. */
  open(key: string): Promise<boolean>;
  close(key: string): void;
  /** Whether some worker has such a tunnel. */
  find(key: string): Promise<boolean>;
  /** Gives a half to the worker that has the other: see Tunnels.take. */
  pass(key: string, post: Duplex): void;
}

/** A half that has just begun. */
export interface Half {
  stream: ByteStream;
  client: PeerAddress;
  /** Where it came to: both halves must have come to the same vserver, and the same way. */
  place: string;
}

/**
 * RTSP over HTTP: the tunnel of QuickTime, which players and servers have taken over. Both halves of a tunnel come from one
 * address, so that two clients that chose the same cookie do not meet, and no stranger takes part.
 */
export class Tunnels {
  readonly counters = { tunnels: 0, tunnelsRefused: 0, tunnelHalvesPassed: 0 };
  readonly #meetingPoint: MeetingPoint;
  readonly #open = new Map<string, TunnelStream>();
  readonly #waiting = new Set<TunnelStream>();

  constructor(meetingPoint: MeetingPoint) {
    this.#meetingPoint = meetingPoint;
  }

  /** Resolves with the tunnel that the half began, if it began one. Rejects with PENSTOCK_ERR_TUNNEL, which it was told. */
  async admit(half: Half): Promise<TunnelStream | undefined> {
    try {
      const { method, cookie } = await firstBytes(half.stream, readHttpHead);
      const key = [half.place, half.client.ip, cookie].join(' ');
      if (method === 'GET') return await this.#begin(key, half);
      await this.#join(key, half.stream);
      return undefined;
    } catch (error) {
      if (error instanceof PenstockError) this.#refuse(half.stream);
      throw error;
    }
  }

  /** A half that another worker passed; `bytes` were read of it. */
  take(key: string, post: Duplex, bytes: Buffer): void {
    post.on('error', () => {});
    if (bytes.length > 0) post.unshift(bytes);
    if (!this.#open.get(key)?.attach(post)) post.destroy();
  }

  async #begin(key: string, { stream, client }: Half): Promise<TunnelStream> {
    if (this.#waiting.size >= MAX_WAITING_TUNNELS) throw refusal('too many tunnels wait for their POST');
    if (!(await this.#meetingPoint.open(key))) throw refusal('there is a tunnel with that x-sessioncookie');
    if (stream.destroyed) {
      this.#meetingPoint.close(key);
      throw new Error('the client went away');
    }
    const tunnel = new TunnelStream(stream, client, () => this.#waiting.delete(tunnel));
    this.#open.set(key, tunnel);
    this.#waiting.add(tunnel);
    const timer = setTimeout(() => this.#waiting.has(tunnel) && tunnel.destroy(), FIRST_POST_TIMEOUT_MS);
    tunnel.once('close', () => {
      clearTimeout(timer);
      this.#waiting.delete(tunnel);
      this.#open.delete(key);
      this.#meetingPoint.close(key);
    });
    stream.write(GRANTED);
    this.counters.tunnels++;
    return tunnel;
  }

  async #join(key: string, post: Duplex): Promise<void> {
    const here = this.#open.get(key);
    if (here) {
      if (!here.attach(post)) throw refusal('a tunnel has two POSTs already');
    } else if (await this.#meetingPoint.find(key)) {
      this.counters.tunnelHalvesPassed++;
      this.#meetingPoint.pass(key, post);
    } else throw refusal('there is no tunnel with that x-sessioncookie');
  }

  #refuse(stream: ByteStream): void {
    this.counters.tunnelsRefused++;
    stream.end(REFUSED);
    stream.resume();
    setTimeout(() => stream.destroy(), LINGER_MS).unref();
  }
}

function refusal(message: string): PenstockError {
  return new PenstockError('PENSTOCK_ERR_TUNNEL', message);
}
