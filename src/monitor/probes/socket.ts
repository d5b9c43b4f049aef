import { connect, type Socket } from 'node:net';
import type { ProbeTarget } from './probe.js';

/** A TCP connection that the signal destroys, with its reason as the error. The caller destroys it otherwise. */
export function connectTo({ ip, port }: ProbeTarget, signal: AbortSignal): Promise<Socket> {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const socket = connect({ host: ip, port, noDelay: true });
    socket.once('connect', () => resolve(socket));
    // Stays for the life of the socket: an error that nobody listens for would end the process.
    socket.on('error', reject);
    const abort = () => socket.destroy(reasonOf(signal));
    signal.addEventListener('abort', abort);
    socket.once('close', () => signal.removeEventListener('abort', abort));
  });
}

function reasonOf(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Error(String(signal.reason));
}
