import { once } from 'node:events';
import { type Origin, type OriginOptions, startOrigin } from './origin.js';

export interface OriginCommandOptions extends OriginOptions {
  /** Ends the command; without it SIGINT or SIGTERM does. */
  signal?: AbortSignal;
}

/**
 * `penstock origin`: runs one origin until it is told to stop. Logs `"msg":"ready"` with the listen URL, and its counters
 * when it ends.
 * @throws PenstockError as startOrigin does.
 */
export async function runOrigin(options: OriginCommandOptions): Promise<void> {
  const origin = await startOrigin(options);
  options.log?.info({ listen: [origin.url], name: origin.name, mounts: mountsText(options.count) }, 'ready');
  await untilStopped(options.signal);
  await closeAndReport(origin, options);
}

function mountsText(count: number | undefined): string {
  return count === undefined ? 'any path' : `/1 … /${count}`;
}

async function untilStopped(signal: AbortSignal | undefined): Promise<void> {
  if (signal?.aborted) return;
  const stopped = new AbortController();
  const waits = signal
    ? [once(signal, 'abort')]
    : ['SIGINT', 'SIGTERM'].map((name) => once(process, name, { signal: stopped.signal }));
  await Promise.race(waits);
  // The other wait is given up, so that a second signal ends the process in the usual way.
  for (const wait of waits) wait.catch(() => undefined);
  stopped.abort();
}

async function closeAndReport(origin: Origin, { log }: OriginCommandOptions): Promise<void> {
  const stats = origin.stats();
  await origin.close();
  log?.info({ stats }, 'stopped');
}
