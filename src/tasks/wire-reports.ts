import type { SharedRegion } from '../engine/shared-region.js';
import { WireRow, type WireView } from '../engine/wire-rows.js';
import type { WireReport } from './reports.js';
import { endpointText, type Names } from './snapshot.js';

/** All RTSP connections that the engine holds. */
export function snapshotWires(region: SharedRegion, names: Names): WireReport[] {
  const slots = region.geometry.workers * region.geometry.wiresPerWorker;
  const wires = Array.from({ length: slots }, (_, slot) => new WireRow(region, slot).read());
  return wires.flatMap((wire) => (wire ? [wireReport(wire, names)] : []));
}

function wireReport(wire: WireView, names: Names): WireReport {
  const isClient = wire.kind === 'client';
  const name = isClient ? names.vservers[wire.vserver] : names.services[wire.service];
  return {
    kind: 'wire',
    wire: wire.slot,
    side: isClient ? 'client' : 'server',
    of: name ?? String(isClient ? wire.vserver : wire.service),
    ...(wire.link === undefined ? {} : { client: wire.link }),
    address: endpointText(wire.local),
    remote: endpointText(wire.remote),
    state: wire.state === 'closing' ? 'closing' : wire.attached ? 'open' : 'moving',
    rx: { packets: wire.rxFrames, bytes: wire.rxBytes },
    tx: { packets: wire.txFrames, bytes: wire.txBytes },
    refused: wire.droppedFrames,
    unrouted: wire.unroutedFrames,
  };
}
