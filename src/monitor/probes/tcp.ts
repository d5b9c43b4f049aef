import type { Probe, ProbeTarget } from './probe.js';
import { openSocket } from './socket.js';

/** The service accepts a TCP connection. */
export function tcpProbe(target: ProbeTarget): Probe {
  return async (signal) => {
    const socket = await openSocket(target, signal);
    socket.destroy();
    return 'connected';
  };
}
