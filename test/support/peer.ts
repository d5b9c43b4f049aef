import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

const HEAD_END = '\r\n\r\n';
const FRAME_HEADER = 4;

/** The lines of a head, each with CRLF, and the blank line; then a body if there is one. */
export function rtsp(lines: readonly string[], body = ''): string {
  return `${lines.join('\r\n')}${HEAD_END}${body}`;
}

export function request(name: string, uri: string, cseq: number, fields: readonly string[] = []): string {
  return rtsp([`${name} ${uri} RTSP/1.0`, `CSeq: ${cseq}`, ...fields]);
}

export function answer(cseq: number, fields: readonly string[] = [], status = '200 OK'): string {
  return rtsp([`RTSP/1.0 ${status}`, `CSeq: ${cseq}`, ...fields]);
}

/**
 * One end of a TCP connection that sends exactly what a test says and hands out exactly what came. It reads
 * messages by itself, without the parser under test, as latin1 text. Waits have no limit but the test's own.
 */
export class Peer {
  readonly socket: Socket;
  #received: Buffer = Buffer.alloc(0);
  #over = false;
  #error: Error | undefined;
  readonly #waiting = new Set<() => void>();

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#wake();
    });
    socket.on('end', () => this.#finish());
    socket.on('error', (error) => {
      this.#error = error;
    });
    socket.on('close', () => this.#finish());
  }

  /** Connects to loopback; `allowHalfOpen`, as RTSP clients that send TEARDOWN and FIN in one go. */
  static async connect(port: number, host = '127.0.0.1', localAddress?: string): Promise<Peer> {
    const from = localAddress === undefined ? {} : { localAddress };
    const socket = connect({ port, host, ...from, allowHalfOpen: true, noDelay: true });
    await once(socket, 'connect');
    return new Peer(socket);
  }

  /** What came and was not taken yet. */
  get pending(): string {
    return this.#received.toString('latin1');
  }

  /** Whether the other side has sent FIN or RST. */
  get over(): boolean {
    return this.#over;
  }

  get error(): Error | undefined {
    return this.#error;
  }

  send(data: string | Buffer): void {
    this.socket.write(typeof data === 'string' ? Buffer.from(data, 'latin1') : data);
  }

  /** The next message: head, and as many bytes of body as its Content-Length says. */
  async message(): Promise<string> {
    await this.#until(() => this.pending.includes(HEAD_END));
    const head = this.pending.slice(0, this.pending.indexOf(HEAD_END) + HEAD_END.length);
    const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
    return (await this.bytes(head.length + length)).toString('latin1');
  }

  /** The next interleaved frame, whole. */
  async frame(): Promise<Buffer> {
    await this.#until(() => this.#received.length >= FRAME_HEADER);
    return await this.bytes(FRAME_HEADER + this.#received.readUInt16BE(2));
  }

  async bytes(count: number): Promise<Buffer> {
    await this.#until(() => this.#received.length >= count);
    const taken = this.#received.subarray(0, count);
    this.#received = this.#received.subarray(count);
    return taken;
  }

  /** Resolves with all that was not taken when the other side has sent FIN or RST. */
  async rest(): Promise<string> {
    while (!this.#over) await this.#change();
    return this.pending;
  }

  /** Resolves when the connection is closed in both directions. */
  async closed(): Promise<void> {
    if (!this.socket.closed) await new Promise<void>((resolve) => this.socket.once('close', () => resolve()));
  }

  destroy(): void {
    this.socket.destroy();
  }

  async #until(met: () => boolean): Promise<void> {
    while (!met()) {
      if (this.#over) throw new Error(`the other side ended (${this.#error?.message ?? 'FIN'}) after: ${this.pending}`);
      await this.#change();
    }
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#waiting.add(resolve));
  }

  #finish(): void {
    this.#over = true;
    this.#wake();
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }
}

/** Hands out what arrives, in its order, to those who wait for it, in theirs. */
export class Arrivals<T> {
  readonly #fresh: T[] = [];
  readonly #waiting: ((arrived: T) => void)[] = [];

  add(arrived: T): void {
    const waiting = this.#waiting.shift();
    if (waiting) waiting(arrived);
    else this.#fresh.push(arrived);
  }

  next(): Promise<T> {
    return this.#fresh.length > 0
      ? Promise.resolve(this.#fresh.shift() as T)
      : new Promise((resolve) => this.#waiting.push(resolve));
  }
}

/** A listener that hands out its connections in the order in which they came. */
export class ScriptedServer {
  readonly host: string;
  readonly port: number;
  /** All connections so far. */
  connections = 0;
  readonly #server: Server;
  readonly #peers = new Set<Peer>();
  readonly #arrivals = new Arrivals<Peer>();

  private constructor(server: Server) {
    this.#server = server;
    const { address, port } = server.address() as { address: string; port: number };
    this.host = address;
    this.port = port;
    server.on('connection', (socket) => {
      this.connections++;
      const peer = new Peer(socket);
      this.#peers.add(peer);
      this.#arrivals.add(peer);
    });
  }

  static async listen(host = '127.0.0.1'): Promise<ScriptedServer> {
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    server.listen(0, host);
    await once(server, 'listening');
    return new ScriptedServer(server);
  }

  /** The oldest connection that was not handed out yet. */
  accepted(): Promise<Peer> {
    return this.#arrivals.next();
  }

  async close(): Promise<void> {
    for (const peer of this.#peers) peer.destroy();
    if (!this.#server.listening) return;
    this.#server.close();
    await once(this.#server, 'close');
  }
}
