import type { StatReport } from '../admin/source.js';

/** Counters that workers keep in their own memory: they begin again with each worker process. */
const COUNTERS: Readonly<Record<string, readonly [unit: string, about: string]>> = {
  connections: ['connections', 'client connections accepted'],
  connectionsAdopted: ['connections', 'client connections taken over from a worker that died'],
  connectionsRefused: ['connections', 'client connections closed at once: limit-connections, limit-client-connections'],
  connectionsIdle: ['connections', 'client connections closed: limit-first-request-time, limit-idle-time'],
  connectionsHeldBack: ['times', 'times that requests were left in a client socket: limit-pending-requests'],
  requestsLimited: ['requests', 'requests refused: limit-client-requests'],
  sessionsLimited: ['requests', 'SETUPs refused: limit-client-sessions'],
  setupsLimited: ['requests', 'SETUPs refused: limit-session-setups'],
  silent: ['connections', 'connections closed because nothing came'],
  tunnels: ['tunnels', 'tunnels for RTSP over HTTP that began'],
  tunnelsRefused: ['connections', 'HTTP connections that were no half of a tunnel'],
  tunnelHalvesPassed: ['connections', 'halves of tunnels given to the worker that has the other half'],
  proxyHeaders: ['connections', 'connections that a proxy said whose they are'],
  proxyHeadersRefused: [
    'connections',
    'connections closed for a PROXY header that was missing, malformed or not to be believed',
  ],
  unnamedRefused: ['connections', 'connections of trusted proxies closed: too many had no header yet'],
  tlsFailures: ['connections', 'TLS handshakes with clients that failed'],
  requests: ['requests', 'requests of clients'],
  refused: ['requests', 'requests that penstock itself answered with an error'],
  badInput: ['connections', 'client connections closed because of what they sent'],
  framesToClient: ['frames', 'interleaved frames passed to clients'],
  framesToServer: ['frames', 'interleaved frames passed to servers'],
  framesDropped: ['frames', 'interleaved frames dropped because the reader was too slow'],
  framesUnknownChannel: ['frames', 'interleaved frames on channels that were not set up'],
  foreignSources: ['answers', 'answers to SETUP whose source= was not believed'],
  opened: ['sessions', 'sessions opened'],
  adopted: ['sessions', 'sessions taken over from a worker that died'],
  ended: ['sessions', 'sessions ended'],
  idle: ['sessions', 'sessions ended because control and media, or the client, were silent'],
  teardownsSent: ['requests', 'TEARDOWNs that penstock sent by itself'],
  allocated: ['pairs', 'media port pairs given out'],
  preserved: ['pairs', 'media port pairs with the numbers that the peer asked for'],
  conflicts: ['pairs', 'media port pairs that were in use'],
  exhausted: ['pairs', 'media port pairs that could not be had'],
};

export function describeWorkerCounter(name: string, value: number): StatReport {
  const [unit, about] = COUNTERS[name] ?? ['', ''];
  return { name: `worker_${snakeCase(name)}`, unit, about, value };
}

export function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
