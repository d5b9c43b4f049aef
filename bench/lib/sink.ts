import type { Distribution } from './load.js';
import type { Entrance } from './place.js';
import { Tool } from './tool.js';

export interface Sunk {
  received: number;
  /** UDP that was no media of ours. */
  foreign: number;
  /** Mean change of the delay from packet to packet of a stream (RFC 3550 §6.4.1). */
  jitterUs: number;
  /** From the first one's sending to the last one's arrival. */
  seconds: number;
  delayUs: Distribution;
}

/** Where media is thrown away as it enters, and measured on the way. */
export class Sink {
  readonly #tool: Tool;

  private constructor(tool: Tool) {
    this.#tool = tool;
  }

  static async open({ place, device }: Entrance): Promise<Sink> {
    const tool = new Tool('sink', place, [`device=${device}`]);
    await tool.next();
    return new Sink(tool);
  }

  async reset(): Promise<void> {
    await this.#tool.ask('reset');
  }

  report(): Promise<Sunk> {
    return this.#tool.ask('report');
  }

  stop(): Promise<void> {
    return this.#tool.stop();
  }
}
