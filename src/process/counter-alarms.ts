import type { Logger } from '../log/logger.js';

const LOOK_MS = 1_000;

/** Counters of the engine that ought to stay at zero: what it means that one does not, and what to do. */
const ALARMS: Readonly<Record<string, string>> = {
  rx_overflow:
    'media was lost because a receive buffer was full: raise --receive-buffer (show listener names the ports)',
  tx_blocked: 'media was lost because a send buffer was full: the way out is slower than the media',
  gso_fallbacks: 'the kernel refused to send runs of packets to a peer: they go out one by one, which costs more',
  unwatched: 'the kernel would not watch a media socket (epoll): its media stands still; see fs.epoll.max_user_watches',
  bad_index: 'the engine was told of streams that do not exist',
  unknown_command: 'the engine was sent commands that it does not know',
  truncated: 'media packets were larger than a UDP packet can be',
  events_dropped: 'an event ring was full: what show says of sources may be late; a worker is too busy',
  releases_lost: 'the engine could not say that ports are free again: they stay taken until it is restarted',
  offload_refused: 'the kernel did not take media flows: they stay with the sockets for a minute',
};

/** Says once, by a line of the log, that a counter of that kind left zero. */
export class CounterAlarms {
  readonly #read: () => Readonly<Record<string, number>>;
  readonly #log: Logger;
  readonly #silent = new Set(Object.keys(ALARMS));
  #timer: NodeJS.Timeout | undefined;

  constructor(read: () => Readonly<Record<string, number>>, log: Logger) {
    this.#read = read;
    this.#log = log;
  }

  start(): void {
    this.#timer = setInterval(() => this.look(), LOOK_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  look(): void {
    const counts = this.#read();
    for (const counter of this.#silent) {
      const value = counts[counter] ?? 0;
      if (value === 0) continue;
      this.#silent.delete(counter);
      this.#log.warn({ counter, value }, ALARMS[counter]);
    }
  }
}
