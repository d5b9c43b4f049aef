import type { Wire } from '../engine/wire.js';
import type { Wires } from '../engine/wires.js';
import { ClientConnection } from './client-connection.js';
import type { InheritedStream } from './client-sessions.js';
import type { InheritedUpstream } from './inheritance.js';
import type { RtspProxy } from './proxy.js';
import { WireTransport } from './wire-transport.js';

/** A wire that nobody needs has this long to send what it still has. */
const LINGER_MS = 5_000;

/** Rebuilds the client connections of a worker that died from its wires and the rows of its streams. */
export function adoptConnections(proxy: RtspProxy, wires: Wires): ClientConnection[] {
  const left = new Set(wires.adopted);
  const streams = inheritedStreams(proxy);
  const connections: ClientConnection[] = [];
  for (const wire of wires.adopted) {
    const vserver = proxy.router.vservers[wire.view.vserver];
    if (wire.view.kind !== 'client' || wire.view.shut || !vserver) continue;
    const upstreams = wires.adopted.filter((other) => isUpstreamOf(other, wire));
    for (const each of [wire, ...upstreams]) left.delete(each);
    const transport = paused(wire);
    const connection = new ClientConnection(proxy, transport, vserver);
    connection.inherit(transport, upstreamsOf(proxy, upstreams), streams.get(wire.slot) ?? []);
    connections.push(connection);
  }
  for (const wire of left) letGo(wire);
  return connections;
}

/** A row may have been used by another client before: that one's upstreams are older. */
function isUpstreamOf({ view }: Wire, client: Wire): boolean {
  return view.kind === 'upstream' && view.link === client.slot && !view.shut && view.openedMs >= client.view.openedMs;
}

/** Open streams by the row of their client's wire, oldest first. */
function inheritedStreams({ table, router }: RtspProxy): Map<number, InheritedStream[]> {
  const found = new Map<number, InheritedStream[]>();
  for (const { slot, closing } of table.ownStreams()) {
    const stream = closing ? undefined : table.readStream(slot);
    const session = stream && table.read(stream.session);
    const service = session && router.serviceAt(session.service);
    if (stream?.clientWire === undefined || !session || !service) continue;
    const list = found.get(stream.clientWire) ?? [];
    list.push({ row: stream, serverId: session.serverId, service });
    found.set(stream.clientWire, list);
  }
  for (const list of found.values()) list.sort((a, b) => a.row.openedMs - b.row.openedMs);
  return found;
}

function upstreamsOf({ router }: RtspProxy, wires: readonly Wire[]): InheritedUpstream[] {
  return wires.flatMap((wire) => {
    const service = router.serviceAt(wire.view.service);
    if (service) return [{ transport: paused(wire), service }];
    letGo(wire);
    return [];
  });
}

/** Nothing that comes is handled before everything is in place. */
function paused(wire: Wire): WireTransport {
  const transport = new WireTransport(wire);
  transport.pause();
  return transport;
}

/** Of a connection that was ending. */
function letGo(wire: Wire): void {
  const timer = setTimeout(() => wire.close(), LINGER_MS).unref();
  wire.start({
    onAttached: () => wire.shutdown(),
    onMessage: () => {},
    onFault: () => {},
    onEnd: () => {},
    onClosed: () => clearTimeout(timer),
  });
}
