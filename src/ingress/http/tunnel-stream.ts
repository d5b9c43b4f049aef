import { Duplex } from 'node:stream';
import type { ByteStream } from '../../rtsp/stream-transport.js';
import type { PeerAddress } from '../../rtsp/transport.js';
import { Base64Decoder } from './base64-decoder.js';

/** A new POST takes the place of one whose end was not seen after this long. */
export const POST_OVERLAP_MS = 1_000;

/**
 * RTSP over two HTTP connections: what is written leaves behind the answer to the GET, what is read came as base64 in one
 * POST after the other. Ends with the GET.
 */
export class TunnelStream extends Duplex implements ByteStream {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  readonly #get: ByteStream;
  readonly #onPost: () => void;
  #post: Duplex | undefined;
  /** Follows when `#post` has ended: what was sent before comes first. */
  #next: Duplex | undefined;
  #overlap: NodeJS.Timeout | undefined;

  /** `get`: its next byte is behind the head. `onPost` is called for each POST. */
  constructor(get: ByteStream, client: PeerAddress, onPost: () => void) {
    super({ allowHalfOpen: true });
    this.#get = get;
    this.#onPost = onPost;
    this.remoteAddress = client.ip;
    this.remotePort = client.port;
    this.localAddress = get.localAddress ?? '';
    this.localPort = get.localPort ?? 0;
    get.on('end', () => this.push(null));
    get.on('close', () => this.destroy());
    get.resume(); // What may still come there means nothing, but its end does.
  }

  /** The client's half, or what takes its place. False: one waits already. */
  attach(post: Duplex): boolean {
    if (this.destroyed || this.#next) return false;
    this.#onPost();
    if (this.#post) {
      this.#next = post;
      post.once('close', () => this.#forget(post));
      this.#overlap = setTimeout(() => this.#post?.destroy(), POST_OVERLAP_MS);
    } else this.#read(post);
    return true;
  }

  setNoDelay(on: boolean): void {
    this.#get.setNoDelay?.(on);
  }

  setKeepAlive(on: boolean, idleMs: number): void {
    this.#get.setKeepAlive?.(on, idleMs);
  }

  #read(post: Duplex): void {
    this.#post = post;
    const decoder = new Base64Decoder();
    post.on('data', (chunk: Buffer) => {
      try {
        const bytes = decoder.push(chunk);
        if (bytes.length > 0 && !this.push(bytes)) post.pause();
      } catch (error) {
        this.destroy(error as Error);
      }
    });
    post.on('end', () => post.destroy());
    post.on('close', () => this.#onPostClosed());
  }

  /** It ended before its turn came. */
  #forget(post: Duplex): void {
    if (this.#next === post) this.#next = undefined;
  }

  #onPostClosed(): void {
    clearTimeout(this.#overlap);
    const next = this.#next;
    this.#post = this.#next = undefined;
    if (next && !next.destroyed && !this.destroyed) this.#read(next);
  }

  override _read(): void {
    this.#post?.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#get.write(chunk, done);
  }

  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this.#get.write(Buffer.concat(chunks.map(({ chunk }) => chunk)), done);
  }

  override _final(done: () => void): void {
    this.#get.end(done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    clearTimeout(this.#overlap);
    for (const stream of [this.#get, this.#post, this.#next]) stream?.destroy();
    done(error);
  }
}
