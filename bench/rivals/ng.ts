import type { Socket } from 'node:dgram';
import type { Place } from '../lib/place.js';
import { type Bencoded, bdecode, bencode } from './bencode.js';

const ANSWER_LIMIT_MS = 2000;

type Dictionary = { [key: string]: Bencoded };

/** A client of rtpengine's control protocol: `COOKIE DICTIONARY` in a datagram, and the same back. */
export class NgClient {
  readonly #socket: Socket;
  readonly #ip: string;
  readonly #port: number;
  readonly #waiting = new Map<string, (answer: Dictionary) => void>();
  #sent = 0;

  private constructor(socket: Socket, ip: string, port: number) {
    this.#socket = socket;
    this.#ip = ip;
    this.#port = port;
    socket.on('message', (datagram) => this.#take(datagram));
  }

  static async open(place: Place, port: number): Promise<NgClient> {
    return new NgClient(await place.bindUdp(), place.ip, port);
  }

  /** The answer's dictionary. Throws where the command is refused or no answer comes. */
  async ask(command: Dictionary): Promise<Dictionary> {
    const cookie = `bench${++this.#sent}`;
    const answer = new Promise<Dictionary>((resolve, reject) => {
      const limit = setTimeout(() => reject(new Error('rtpengine gives no answer')), ANSWER_LIMIT_MS);
      this.#waiting.set(cookie, (dictionary) => {
        clearTimeout(limit);
        resolve(dictionary);
      });
    });
    this.#socket.send(`${cookie} ${bencode(command)}`, this.#port, this.#ip);
    const dictionary = await answer;
    if (dictionary.result === 'error') throw new Error(`rtpengine: ${String(dictionary['error-reason'])}`);
    return dictionary;
  }

  close(): void {
    this.#socket.close();
  }

  #take(datagram: Buffer): void {
    const cut = datagram.indexOf(' ');
    const cookie = datagram.toString('latin1', 0, cut);
    this.#waiting.get(cookie)?.(bdecode(datagram.subarray(cut + 1)) as Dictionary);
    this.#waiting.delete(cookie);
  }
}
