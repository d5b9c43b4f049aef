import { request } from 'node:http';
import { formatAddress } from '../config/addresses.js';
import type { ListenAddress } from '../config/types.js';
import { PenstockError } from '../errors.js';

const TIMEOUT_MS = 10_000;
/** A session table of 64 full workers fits. */
const MAX_ANSWER = 512 * 1024 * 1024;

/** Where an appliance listens for commands. */
export type AdminTarget = { socketPath: string } | ListenAddress;

export interface AdminRequest {
  method: 'GET' | 'POST';
  path: string;
  body?: unknown;
}

/**
 * One request to the admin API; gives the JSON of the answer. Throws PENSTOCK_ERR_ADMIN if nobody
 * answers and PENSTOCK_ERR_ADMIN_REFUSED with the reason that the appliance gave.
 */
export async function askAppliance(target: AdminTarget, what: AdminRequest): Promise<unknown> {
  const { status, text } = await exchange(target, what).catch((error: NodeJS.ErrnoException) => {
    const message = `no penstock answers at ${nameOf(target)} (${error.code ?? error.message}); is it running, with this state directory?`;
    throw new PenstockError('PENSTOCK_ERR_ADMIN', message, { cause: error });
  });
  const answer = parse(text, target);
  if (status < 300) return answer;
  const reason = (answer as { message?: unknown } | null)?.message;
  throw new PenstockError('PENSTOCK_ERR_ADMIN_REFUSED', typeof reason === 'string' ? reason : `status ${status}`);
}

function exchange(
  target: AdminTarget,
  { method, path, body }: AdminRequest,
): Promise<{ status: number; text: string }> {
  const where =
    'socketPath' in target ? { socketPath: target.socketPath } : { host: target.address, port: target.port };
  const payload = body === undefined ? undefined : JSON.stringify(body);
  const headers =
    payload === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) };
  return new Promise((resolve, reject) => {
    const outgoing = request({ ...where, method, path, headers, timeout: TIMEOUT_MS, agent: false }, (incoming) => {
      const chunks: Buffer[] = [];
      let size = 0;
      incoming.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > MAX_ANSWER) outgoing.destroy(new Error('the answer is too long'));
        else chunks.push(chunk);
      });
      incoming.on('error', reject);
      incoming.on('end', () =>
        resolve({ status: incoming.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') }),
      );
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error('no answer in time')));
    outgoing.on('error', reject);
    outgoing.end(payload);
  });
}

function parse(text: string, target: AdminTarget): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new PenstockError('PENSTOCK_ERR_ADMIN', `${nameOf(target)} is not the admin address of a penstock`, {
      cause: error,
    });
  }
}

function nameOf(target: AdminTarget): string {
  return 'socketPath' in target ? target.socketPath : formatAddress(target.address, target.port);
}
