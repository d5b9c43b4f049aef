import { connect, type Socket } from 'node:net';
import { connect as tlsConnect } from 'node:tls';
import { formatBinary, formatLine, type ProxiedEnds } from '../proxy-protocol/header.js';
import type { Route } from './routes.js';

const OPTIONS = { allowHalfOpen: true, noDelay: true };

/**
 * A connection to a service over which RTSP can be spoken at once. `limit`: milliseconds, or a signal. `ends`: of the
 * client's connection, for services that want to know; undefined where it is our own business. Rejects with the reason of
 * the failure, or the signal's if that aborts before the connection stands; afterwards neither means anything.
 */
export async function connectTo(route: Route, limit: AbortSignal | number, ends?: ProxiedEnds): Promise<Socket> {
  const { ip, port, from, tls, proxyProtocol = 'none' } = route;
  if (typeof limit !== 'number') limit.throwIfAborted();
  const head = headFor(proxyProtocol, ends);
  const socket = connect({ host: ip, port, ...(from === undefined ? {} : { localAddress: from }), ...OPTIONS });
  let stream = socket;
  const stopWaiting = whenOver(limit, (reason) => stream.destroy(reason));
  try {
    await established(socket, 'connect');
    if (head) socket.write(head);
    if (!tls) return socket;
    // Whatever happens to it is an error of the stream above as well; alone it would end the process.
    socket.on('error', () => {});
    stream = tlsConnect({ ...tls, socket });
    await established(stream, 'secureConnect');
    return stream;
  } finally {
    stopWaiting();
  }
}

function headFor(version: Route['proxyProtocol'], ends: ProxiedEnds | undefined): Buffer | undefined {
  if (version === 'v1') return formatLine(ends);
  return version === 'v2' ? formatBinary(ends) : undefined;
}

/** Returns what ends the wait. */
function whenOver(limit: AbortSignal | number, giveUp: (reason: Error) => void): () => void {
  if (typeof limit === 'number') {
    const timer = setTimeout(() => giveUp(new Error(`no connection within ${limit} ms`)), limit);
    return () => clearTimeout(timer);
  }
  const abort = () => giveUp(reasonOf(limit));
  limit.addEventListener('abort', abort);
  return () => limit.removeEventListener('abort', abort);
}

/** By hand: events.once() makes a controller, a promise and listeners for what never happens. */
function established(socket: Socket, event: string): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.once(event, () => {
      socket.off('error', reject);
      resolve();
    });
  });
}

function reasonOf(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Error(String(signal.reason));
}
