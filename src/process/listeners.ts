import type { Config, ListenAddress } from '../config/types.js';
import type { NativeBinding } from '../engine/binding.js';
import { PenstockError } from '../errors.js';

export interface OpenListener extends ListenAddress {
  vserver: number;
  /** One listening socket per worker index. */
  fds: number[];
}

/**
 * Opens every listen address once per worker (SO_REUSEPORT). The primary keeps the sockets, so
 * connections that arrive while a worker is dead wait for its successor.
 */
export function openListeners(binding: NativeBinding, config: Config): OpenListener[] {
  return config.vservers.flatMap((vserver, index) =>
    vserver.listen.map((listen) => openListener(binding, listen, index, config.workers)),
  );
}

function openListener(binding: NativeBinding, listen: ListenAddress, vserver: number, workers: number): OpenListener {
  try {
    const port = claimPort(binding, listen);
    const fds = Array.from({ length: workers }, () => binding.listenTcp(listen.address, port, { reusePort: true }).fd);
    return { address: listen.address, port, vserver, fds };
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? (error as Error).message;
    throw new PenstockError('PENSTOCK_ERR_BIND', `cannot listen on ${formatAddress(listen)}: ${reason}`, {
      cause: error,
    });
  }
}

/** With SO_REUSEPORT alone a second appliance would silently share the port: first make sure that nobody has it. */
function claimPort(binding: NativeBinding, listen: ListenAddress): number {
  const { fd, port } = binding.listenTcp(listen.address, listen.port, { reusePort: false });
  binding.closeFd(fd);
  return port;
}

export function formatAddress({ address, port }: ListenAddress): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
