import { makeRequest } from '../../rtsp/status.js';
import { exchange } from './exchange.js';
import { type Probe, type ProbeTarget, urlOf } from './probe.js';

const OK = [200];

/** The service answers DESCRIBE of `path` with one of the `expected` statuses. */
export function describeProbe(target: ProbeTarget, path: string, expected: readonly number[] = OK): Probe {
  const uri = urlOf(target, path);
  return async (signal) => {
    const fields = { CSeq: '1', Accept: 'application/sdp', 'User-Agent': 'penstock' };
    const { status, reason } = await exchange(target, makeRequest('DESCRIBE', uri, fields), signal);
    if (expected.includes(status)) return `DESCRIBE ${status}`;
    throw new Error(`DESCRIBE ${uri} was answered ${status} ${reason}, not ${expected.join(' or ')}`);
  };
}
