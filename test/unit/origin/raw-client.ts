import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, isIPv6, type Socket } from 'node:net';
import type { RtspMessage, RtspResponse } from '../../../src/rtsp/message.js';
import { RtspParser } from '../../../src/rtsp/parser.js';

/** An RTSP client that sends exactly what it is told to, and keeps what comes back. */
export class RawClient {
  readonly frames: { channel: number; payload: Buffer }[] = [];
  readonly #socket: Socket;
  readonly #answers: RtspResponse[] = [];
  readonly #waiting: ((answer: RtspResponse) => void)[] = [];
  readonly closed: Promise<unknown>;
  #cseq = 0;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.closed = once(socket, 'close');
    const parser = new RtspParser({
      onMessage: (message) => this.#onMessage(message),
      onFrame: (channel, frame) => this.frames.push({ channel, payload: Buffer.from(frame.subarray(4)) }),
    });
    socket.on('data', (chunk) => parser.push(chunk));
  }

  static async open(address: { host: string; port: number }): Promise<RawClient> {
    const socket = connect(address);
    await once(socket, 'connect');
    return new RawClient(socket);
  }

  /** One request; CSeq is added. `fields` as header lines. */
  async ask(method: string, uri: string, fields: Record<string, string> = {}, body = ''): Promise<RtspResponse> {
    return this.raw(this.#text(method, uri, fields, body));
  }

  /** Bytes as they are, and the next answer. */
  async raw(text: string): Promise<RtspResponse> {
    this.write(text);
    return await this.next();
  }

  write(text: string): void {
    this.#socket.write(text);
  }

  async next(): Promise<RtspResponse> {
    return this.#answers.shift() ?? (await new Promise((resolve) => this.#waiting.push(resolve)));
  }

  sendFrame(channel: number, payload: Buffer): void {
    this.#socket.write(
      Buffer.concat([Buffer.from([0x24, channel, payload.length >> 8, payload.length & 0xff]), payload]),
    );
  }

  /** The request and FIN in one go, as ffmpeg leaves. */
  async askAndShut(method: string, uri: string, fields: Record<string, string>): Promise<RtspResponse> {
    this.#socket.end(this.#text(method, uri, fields, ''));
    return await this.next();
  }

  async close(): Promise<void> {
    this.#socket.destroy();
    await this.closed;
  }

  #text(method: string, uri: string, fields: Record<string, string>, body: string): string {
    this.#cseq++;
    const length: Record<string, string> = body === '' ? {} : { 'Content-Length': String(body.length) };
    const all = { CSeq: String(this.#cseq), ...fields, ...length };
    const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
    return `${method} ${uri} RTSP/1.0\r\n${lines.join('')}\r\n${body}`;
  }

  #onMessage(message: RtspMessage): void {
    if (message.kind !== 'response') throw new Error('the origin sent a request');
    const waiting = this.#waiting.shift();
    if (waiting) waiting(message);
    else this.#answers.push(message);
  }
}

/** One UDP socket that keeps what arrives. */
export class RawUdp {
  readonly received: { packet: Buffer; port: number }[] = [];
  readonly port: number;
  readonly #socket: UdpSocket;

  private constructor(socket: UdpSocket) {
    this.#socket = socket;
    this.port = socket.address().port;
    socket.on('message', (packet, source) => this.received.push({ packet, port: source.port }));
  }

  static async open(host: string): Promise<RawUdp> {
    const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4');
    socket.bind(0, host);
    await once(socket, 'listening');
    return new RawUdp(socket);
  }

  send(packet: Buffer, port: number, host: string): void {
    this.#socket.send(packet, port, host);
  }

  close(): void {
    this.#socket.close();
  }
}

const HANG_MS = 15_000;

/** Polls until it is true; the time limit only catches hangs. */
export async function until(what: string, isTrue: () => boolean): Promise<void> {
  for (const start = Date.now(); !isTrue(); await new Promise((resolve) => setTimeout(resolve, 10))) {
    if (Date.now() - start > HANG_MS) throw new Error(`never happened: ${what}`);
  }
}
