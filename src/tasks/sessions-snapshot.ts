/** What a thread of the pool runs. */
import type { Layout } from '../engine/layout.js';
import { monotonicMs } from '../engine/monotonic.js';
import { SharedRegion } from '../engine/shared-region.js';
import type { HeldListenerReport, SessionReport, TierCounts } from './reports.js';
import { type Names, snapshotListeners, snapshotSessions, snapshotTiers } from './snapshot.js';
import { snapshotWires } from './wire-reports.js';

/** The memory is shared, the rest is copied. */
export interface SnapshotTask {
  what: 'sessions' | 'listeners' | 'tiers';
  memory: SharedArrayBuffer;
  layout: Layout;
  names: Names;
}

export type Snapshot = SessionReport[] | HeldListenerReport[] | TierCounts;

export default function snapshot({ what, memory, layout, names }: SnapshotTask): Snapshot {
  const region = new SharedRegion(memory, layout);
  if (what === 'tiers') return snapshotTiers(region);
  return what === 'sessions'
    ? snapshotSessions(region, names, monotonicMs())
    : [...snapshotListeners(region), ...snapshotWires(region, names)];
}
