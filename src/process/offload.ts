import type { PacketPath } from '../config/types.js';
import type { InterfaceNews, NativeBinding, OffloadMaps } from '../engine/binding.js';
import type { Logger } from '../log/logger.js';

/** How soon the program runs on an interface that the engine asks for. */
const TEND_MS = 250;

/**
 * Tier offload in the primary: the kernel's program and tables live here, so that it goes on relaying
 * while an engine is replaced, and stops with this process.
 */
export class Offload {
  /** For the engine: the tables, or a value of `layout.tierReason` that says why there are none. */
  readonly given: OffloadMaps | number;
  readonly #binding: NativeBinding;
  readonly #log: Logger;
  #timer: NodeJS.Timeout | undefined;

  constructor(binding: NativeBinding, packetPath: PacketPath, log: Logger) {
    this.#binding = binding;
    this.#log = log;
    this.given = this.#load(packetPath);
    if (typeof this.given === 'number') return;
    this.#timer = setInterval(() => this.#tend(), TEND_MS);
  }

  /** The kernel relays nothing any more. Idempotent. */
  stop(): void {
    clearInterval(this.#timer);
    this.#binding.offloadStop();
  }

  #load(packetPath: PacketPath): OffloadMaps | number {
    const { switchedOff, unavailable } = this.#binding.layout.tierReason;
    if (packetPath === 'gso' || packetPath === 'mmsg') return switchedOff;
    try {
      return this.#binding.offloadStart();
    } catch (error) {
      const reason = (error as Error).message;
      // Who asked for it wants to know; for everybody else it is a property of the machine.
      this.#log[packetPath === 'offload' ? 'warn' : 'info']({ reason }, 'tier offload is not available');
      return unavailable;
    }
  }

  #tend(): void {
    for (const news of this.#binding.offloadTend()) this.#report(news);
  }

  #report({ kind, interface: name, reason }: InterfaceNews): void {
    if (kind === 'attached') this.#log.info({ interface: name }, 'the kernel relays what this interface receives');
    else if (kind === 'lost') this.#log.warn({ interface: name }, 'an interface is gone: its media takes the sockets');
    else this.#log.warn({ interface: name, reason }, 'the kernel cannot relay on this interface');
  }
}
