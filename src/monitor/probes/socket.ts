import type { Socket } from 'node:net';
import { connectTo } from '../../egress/connect.js';
import type { ProbeTarget } from './probe.js';

/** A connection that the signal destroys, with its reason as the error. The caller destroys it otherwise. */
export async function openSocket(target: ProbeTarget, signal: AbortSignal): Promise<Socket> {
  const socket = await connectTo(target, signal);
  // Stays for the life of the socket: an error that nobody listens for would end the process.
  socket.on('error', () => {});
  const abort = () => socket.destroy(signal.reason);
  signal.addEventListener('abort', abort);
  socket.once('close', () => signal.removeEventListener('abort', abort));
  return socket;
}
