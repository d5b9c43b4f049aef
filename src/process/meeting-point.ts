import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { NativeBinding } from '../engine/binding.js';
import { socketFd } from '../engine/socket-fd.js';
import type { MeetingPoint } from '../ingress/http/tunnels.js';
import { sendToPrimary, type ToWorker } from './ipc.js';

type Sockets = Pick<NativeBinding, 'dupFd' | 'streamPair'>;

/** The halves of tunnels meet through the primary, which knows the worker of each tunnel. */
export class PrimaryMeetingPoint implements MeetingPoint {
  readonly #binding: Sockets;
  readonly #asked = new Map<number, (yes: boolean) => void>();
  #nextId = 0;

  constructor(binding: Sockets) {
    this.#binding = binding;
  }

  open(key: string): Promise<boolean> {
    return this.#ask('open', key);
  }

  find(key: string): Promise<boolean> {
    return this.#ask('find', key);
  }

  close(key: string): void {
    sendToPrimary({ type: 'tunnel-closed', key });
  }

  pass(key: string, post: Duplex): void {
    const { socket, bytes } = detach(this.#binding, post);
    sendToPrimary({ type: 'tunnel-post', key, bytes: bytes.toString('latin1') }, socket);
  }

  /** The primary's answer. */
  hear({ id, yes }: Extract<ToWorker, { type: 'tunnel-answer' }>): void {
    this.#asked.get(id)?.(yes);
    this.#asked.delete(id);
  }

  #ask(question: 'open' | 'find', key: string): Promise<boolean> {
    const id = this.#nextId++;
    return new Promise((resolve) => {
      this.#asked.set(id, resolve);
      sendToPrimary({ type: 'tunnel-question', id, question, key });
    });
  }
}

/**
 * A socket that another process can be given, with what was read and not used. A plain one is the same connection; from
 * TLS, whose keys are ours, the bytes go on through a pipe.
 */
export function detach(binding: Sockets, stream: Duplex): { socket: Socket; bytes: Buffer } {
  const fd = socketFd(stream);
  if (fd === undefined) return { socket: idle(piped(binding, stream)), bytes: Buffer.alloc(0) };
  // In one turn of the event loop: nothing more is read between.
  const bytes = (stream.read() as Buffer | null) ?? Buffer.alloc(0);
  const copy = binding.dupFd(fd);
  stream.destroy();
  return { socket: idle(copy), bytes };
}

/** The far end of a pipe into which the stream runs. */
function piped(binding: Sockets, stream: Duplex): number {
  const [near, far] = binding.streamPair();
  const pipe = new Socket({ fd: near, readable: true, writable: true });
  pipe.on('error', () => {});
  pipe.on('close', () => stream.destroy());
  stream.on('close', () => pipe.destroy());
  stream.pipe(pipe);
  pipe.resume();
  return far;
}

/** A socket of which nothing is read here. */
function idle(fd: number): Socket {
  return new Socket({ fd, readable: false });
}
