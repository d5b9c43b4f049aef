/** What a thread of the pool runs. */
import type { Layout } from '../engine/layout.js';
import { monotonicMs } from '../engine/monotonic.js';
import { SharedRegion } from '../engine/shared-region.js';
import type { MediaListenerReport, SessionReport } from './reports.js';
import { type Names, snapshotListeners, snapshotSessions } from './snapshot.js';

/** The memory is shared, the rest is copied. */
export interface SnapshotTask {
  what: 'sessions' | 'listeners';
  memory: SharedArrayBuffer;
  layout: Layout;
  names: Names;
}

export default function snapshot({
  what,
  memory,
  layout,
  names,
}: SnapshotTask): SessionReport[] | MediaListenerReport[] {
  const region = new SharedRegion(memory, layout);
  return what === 'sessions' ? snapshotSessions(region, names, monotonicMs()) : snapshotListeners(region);
}
