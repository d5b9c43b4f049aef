import { setTimeout as sleep } from 'node:timers/promises';

/** When nothing came for so long, the rest is lost. */
const QUIET_MS = 200;
const POLL_MS = 20;
const LONGEST_MS = 15_000;

/** Asks until all came, or nothing does any more: a slow relay has much in its buffers when the sender is done. */
export async function drained<T extends { received: number }>(report: () => Promise<T>, sent: number): Promise<T> {
  const start = performance.now();
  let last = start;
  let arrived = await report();
  while (arrived.received < sent && performance.now() - last < QUIET_MS && performance.now() - start < LONGEST_MS) {
    await sleep(POLL_MS);
    const now = await report();
    if (now.received > arrived.received) last = performance.now();
    arrived = now;
  }
  return arrived;
}
