import type { Config, ListenAddress, RtspListen } from '../config/types.js';
import type { NativeBinding } from '../engine/binding.js';
import { PenstockError } from '../errors.js';

/** `[::]` is every IPv6 address: beside it `0.0.0.0` may have the same port. */
const V6_ONLY = { v6Only: true };

export interface OpenListener extends RtspListen {
  vserver: number;
  /** As configured: port 0 is the kernel's choice. */
  asked: ListenAddress;
  /** Socket i is served by worker i mod workers; each worker has at least one. */
  fds: number[];
}

/** The sockets of one worker. */
export function listenersOf(
  listeners: readonly OpenListener[],
  worker: number,
  workers: number,
): { fd: number; vserver: number; tls: boolean }[] {
  return listeners.flatMap(({ fds, vserver, tls }) =>
    fds.filter((_, index) => index % workers === worker).map((fd) => ({ fd, vserver, tls })),
  );
}

/**
 * Opens every listen address once per worker (SO_REUSEPORT). The primary keeps the sockets, so
 * connections that arrive while a worker is dead wait for its successor. `open`: sockets that
 * a predecessor left, used where they fit; those that are left over are closed.
 */
export function openListeners(
  binding: NativeBinding,
  config: Config,
  open: readonly OpenListener[] = [],
): OpenListener[] {
  const left = new Set(open);
  const take = (listen: ListenAddress) => {
    const found = [...left].find(({ asked }) => isSame(asked, listen));
    if (found) left.delete(found);
    return found;
  };
  const listeners = config.vservers.flatMap((vserver, index) =>
    vserver.listen.map((listen) => {
      const found = take(listen);
      return found
        ? { ...found, tls: listen.tls, vserver: index, fds: enough(binding, found, config.workers) }
        : openListener(binding, listen, index, config.workers);
    }),
  );
  for (const { fds } of left) for (const fd of fds) binding.closeFd(fd);
  return listeners;
}

/** At least one socket for each worker. None is closed: connections may wait in it. */
function enough(binding: NativeBinding, { address, port, fds }: OpenListener, workers: number): number[] {
  const missing = Math.max(0, workers - fds.length);
  return [
    ...fds,
    ...Array.from({ length: missing }, () => binding.listenTcp(address, port, { reusePort: true, ...V6_ONLY }).fd),
  ];
}

function isSame(a: ListenAddress, b: ListenAddress): boolean {
  return a.address === b.address && a.port === b.port;
}

function openListener(binding: NativeBinding, listen: RtspListen, vserver: number, workers: number): OpenListener {
  try {
    const port = claimPort(binding, listen);
    const fds = Array.from(
      { length: workers },
      () => binding.listenTcp(listen.address, port, { reusePort: true, ...V6_ONLY }).fd,
    );
    return { address: listen.address, port, tls: listen.tls, asked: { ...listen }, vserver, fds };
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? (error as Error).message;
    throw new PenstockError('PENSTOCK_ERR_BIND', `cannot listen on ${formatAddress(listen)}: ${reason}`, {
      cause: error,
    });
  }
}

/** With SO_REUSEPORT alone a second appliance would silently share the port: first make sure that nobody has it. */
function claimPort(binding: NativeBinding, listen: ListenAddress): number {
  const { fd, port } = binding.listenTcp(listen.address, listen.port, { reusePort: false, ...V6_ONLY });
  binding.closeFd(fd);
  return port;
}

/** As it would be typed. */
export function listenUrl(listener: RtspListen): string {
  return `${listener.tls ? 'rtsps' : 'rtsp'}://${formatAddress(listener)}`;
}

export function formatAddress({ address, port }: ListenAddress): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
