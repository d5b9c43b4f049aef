import type { Bed } from './place.js';
import { Tool } from './tool.js';

/** Microseconds. */
export interface Distribution {
  count: number;
  mean: number;
  p50: number;
  p90: number;
  p99: number;
  max: number;
}

export const REQUESTS = ['options', 'describe', 'setup', 'play', 'teardown'] as const;
export type Request = (typeof REQUESTS)[number];

export type Steps = Record<Request | 'connect' | 'session', Distribution> & {
  failed: number;
  failures: Record<string, number>;
};

export type Pattern = 'frames' | 'merged' | 'singly';

/** RTP made up by a rule. */
export interface SyntheticMedia {
  pattern: Pattern;
  /** Bytes of RTP in each packet. */
  size: number;
  /** Packets per second over all streams; 0 = as fast as possible. */
  rate: number;
}

/** RTP as a real server sent it: its sizes and times. */
export interface RecordedMedia {
  pattern: 'replay';
  file: string;
}

export type Media = SyntheticMedia | RecordedMedia;

export interface Sent {
  sent: number;
  unsent: number;
  bytes: number;
  streams: number;
  seconds: number;
  /** By how much the sender fell behind and gave up; more than a little means a busy machine. */
  movedMs: number;
  rate: number;
}

export const RTSP_PORT = 8554;
/** Where all clients together receive media: that many pairs of ports, from this one on. */
export const MEDIA_PORT = 40_000;
export const MEDIA_PAIRS = 16;

/** Fake RTSP servers. */
export class Farm {
  readonly #tool: Tool;
  readonly address: string;

  private constructor(tool: Tool, address: string) {
    this.#tool = tool;
    this.address = address;
  }

  static async start(bed: Bed, ports: 'shared' | 'own' | 'announced'): Promise<Farm> {
    const address = `${bed.farm.ip}:${RTSP_PORT}`;
    const tool = new Tool('farm', bed.farm, [`listen=${address}`, `ports=${ports}`]);
    await tool.next();
    return new Farm(tool, address);
  }

  get pid(): number {
    return this.#tool.pid;
  }

  send(media: Media, seconds: number): Promise<Sent> {
    const what = media.pattern === 'replay' ? `file=${media.file}` : `size=${media.size} rate=${media.rate}`;
    return this.#tool.ask(`send pattern=${media.pattern} ${what} seconds=${seconds}`);
  }

  /** One stream to each of these ports, without RTSP. */
  async aim(ip: string, ports: readonly number[]): Promise<void> {
    await this.#tool.ask(`aim to=${ip} ports=${ports.join(',')}`);
  }

  stats(): Promise<{ sessions: number; playing: number; rtcp: number }> {
    return this.#tool.ask('stats');
  }

  stop(): Promise<void> {
    return this.#tool.stop();
  }
}

export interface Received {
  received: number;
  streams: number;
  missing: number;
  missingWorst: number;
  late: number;
  foreign: number;
  /** Lost in the client's own receive buffers: the bench's fault, not the relay's. */
  overflow: number;
  longestGapMs: number;
  /** Of clients that were slowed down; these are not in the other numbers. */
  slowFrames: number;
  jitterUs: number;
  /** From the first one's sending to the last one's arrival. */
  seconds: number;
  playing: number;
  delayUs: Distribution;
}

export interface Churned {
  sessions: number;
  inTime: number;
  seconds: number;
  perSecond: number;
  steps: Steps;
}

/** Fake clients of one address. */
export class Crowd {
  readonly #tool: Tool;

  private constructor(tool: Tool) {
    this.#tool = tool;
  }

  static async start(bed: Bed, target: string): Promise<Crowd> {
    const media = [`pairs=${MEDIA_PAIRS}`, `first-port=${MEDIA_PORT}`];
    const tool = new Tool('crowd', bed.client, [`local=${bed.client.ip}`, `target=${target}`, ...media]);
    await tool.next();
    return new Crowd(tool);
  }

  get pid(): number {
    return this.#tool.pid;
  }

  /** Sessions that play until `close`. Throws where not all of them could be opened. */
  async open(
    sessions: number,
    { streams = 1, transport = 'udp' }: { streams?: number; transport?: 'udp' | 'tcp' } = {},
  ): Promise<{ seconds: number; steps: Steps }> {
    type Opened = { opened: number; seconds: number; steps: Steps };
    const reply = await this.#tool.ask<Opened>(`open sessions=${sessions} streams=${streams} transport=${transport}`);
    if (reply.opened === sessions) return reply;
    throw new Error(`${reply.opened} of ${sessions} sessions opened: ${JSON.stringify(reply.steps.failures)}`);
  }

  /** Whole sessions, until the time is over and there were at least so many. */
  churn(least: { seconds?: number; sessions?: number }, concurrency: number, streams: number): Promise<Churned> {
    const { seconds = 0, sessions = 0 } = least;
    return this.#tool.ask(
      `churn seconds=${seconds} sessions=${sessions} concurrency=${concurrency} streams=${streams}`,
    );
  }

  async close(): Promise<void> {
    await this.#tool.ask('close');
  }

  /** So many that play over TCP read no faster than this from now on. */
  async slowDown(clients: number, bytesPerSecond: number): Promise<void> {
    await this.#tool.ask(`slow clients=${clients} bytes-per-second=${bytesPerSecond}`);
  }

  async reset(): Promise<void> {
    await this.#tool.ask('reset');
  }

  report(): Promise<Received> {
    return this.#tool.ask('report');
  }

  stop(): Promise<void> {
    return this.#tool.stop();
  }
}
