import { makeRequest } from '../../rtsp/status.js';
import { exchange } from './exchange.js';
import { type Probe, type ProbeTarget, urlOf } from './probe.js';

const NOT_IMPLEMENTED = 501;

/**
 * The service answers OPTIONS. Any answer below 500 shows a working RTSP server, be it that it wants a password, does
 * not know the path or does not like the method; so does 501. The other 5xx are a server in trouble.
 */
export function optionsProbe(target: ProbeTarget, path: string): Probe {
  const uri = urlOf(target, path);
  return async (signal) => {
    const request = makeRequest('OPTIONS', uri, { CSeq: '1', 'User-Agent': 'penstock' });
    const { status, reason } = await exchange(target, request, signal);
    if (status < 500 || status === NOT_IMPLEMENTED) return `OPTIONS ${status}`;
    throw new Error(`OPTIONS ${uri} was answered ${status} ${reason}`);
  };
}
