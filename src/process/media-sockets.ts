import type { NativeBinding } from '../engine/binding.js';
import type { Logger } from '../log/logger.js';
import type { BoundPort } from '../session/port-allocator.js';

/** The kernel counts its own overhead too: it reports twice what it was asked for. */
const KERNEL_FACTOR = 2;

/** Binds media sockets with that receive buffer; where the kernel grants less, the log says so, once. */
export function mediaBinder(
  binding: Pick<NativeBinding, 'bindUdp'>,
  receiveBuffer: number,
  log: Logger,
): (address: string, port: number) => BoundPort {
  let warned = false;
  return (address, port) => {
    const bound = binding.bindUdp(address, port, { receiveBuffer });
    const granted = Math.floor(bound.receiveBuffer / KERNEL_FACTOR);
    if (granted < receiveBuffer && !warned) {
      warned = true;
      const fix = `sudo sysctl -w net.core.rmem_max=${receiveBuffer}`;
      log.warn({ wanted: receiveBuffer, granted, fix }, 'receive buffers are smaller than receive-buffer asks for');
    }
    return { fd: bound.fd, port: bound.port };
  };
}
