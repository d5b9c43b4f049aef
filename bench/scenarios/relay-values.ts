import type { Values } from '../lib/scenario.js';
import type { Measured } from './relay-measure.js';

/** A rival that loses more is busy with that. */
const MOST_LOSS_PERCENT = 50;

/** What needs nothing to be set against. */
export function delivery({ sent, received, seconds, delayUs, beside, isPaced }: Measured): Values {
  return {
    lossPercent: (1 - (received + (beside.clientLost ?? 0)) / sent.sent) * 100,
    kpps: received / Math.max(seconds, sent.seconds) / 1000,
    ...(isPaced ? { p50Us: delayUs.p50, maxUs: delayUs.max } : {}),
    ...beside,
  };
}

/** `direct`: media goes straight to the client. `dropped`: it is dropped before a relay has it. */
export function relayed(one: Measured, direct: Measured | undefined, dropped: Measured | undefined): Values {
  const values = delivery(one);
  if (one.received === 0) return values;
  const each = (cpuSeconds: number): number => (cpuSeconds / one.received) * 1e6;
  if (one.hasProcesses) values.aUs = each(one.relaySeconds);
  if (direct && one.isPaced) {
    values.addedP50Us = one.delayUs.p50 - direct.delayUs.p50;
    values.addedP99Us = one.delayUs.p99 - direct.delayUs.p99;
    values.addedJitterUs = one.jitterUs - direct.jitterUs;
  }
  if (dropped) {
    const idle = (dropped.machineSeconds / dropped.sent.sent) * one.sent.sent;
    values.bUs = each(one.machineSeconds - idle);
  }
  return values;
}

/** The product's CPU in that of a rival. */
export function ratios(
  rival: Values,
  { gso, offload }: { gso: Values | undefined; offload: Values | undefined },
): Values {
  if ((rival.lossPercent ?? 0) > MOST_LOSS_PERCENT) return {};
  return {
    ...(gso?.aUs && rival.aUs ? { gsoRatio: gso.aUs / rival.aUs } : {}),
    ...(offload?.bUs && rival.bUs && Math.min(offload.bUs, rival.bUs) > 0
      ? { offloadRatio: offload.bUs / rival.bUs }
      : {}),
  };
}
