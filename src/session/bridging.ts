import {
  cloneSpec,
  formatTransport,
  hasParam,
  removeParam,
  setPortPair,
  type TransportSpec,
} from '../rtsp/headers/transport.js';
import type { ChannelPair } from './channel-map.js';
import {
  type Alternative,
  type ClientFace,
  restoreClientPorts,
  type TransportMatch,
  type TransportPlan,
  writeFace,
} from './transport-negotiator.js';

// A server that does not speak the lower transport that its client wants is asked for the other one, and each side
// gets its own. Pure: what is asked, and what is answered.

/** RFC 2326 §11.3.12. */
export const UNSUPPORTED_TRANSPORT = 461;

/** What the client asked for, and what the server is asked for in its place. */
export interface TurnedPlan {
  asked: Alternative;
  turned: Alternative;
}

/**
 * The other way to ask for what a plan asks for: the first of its alternatives, turned round. Undefined where the
 * client offered both ways, or none of RTP. `channels`: ours, where it is the server that is to use some.
 */
export function turnPlan(plan: TransportPlan, channels: ChannelPair | undefined): TurnedPlan | undefined {
  const kinds = new Set(plan.filter(({ isRtp }) => isRtp).map(({ kind }) => kind));
  const asked = plan.find(({ isRtp, kind }) => isRtp && kind !== 'opaque');
  if (!asked || (kinds.has('udp') && kinds.has('interleaved'))) return undefined;
  if (asked.kind === 'interleaved') return { asked, turned: toUdp(asked) };
  return channels && { asked, turned: toInterleaved(asked, channels) };
}

/**
 * The Transport field for the client: the protocol that it asked for, its own channels or ports, and what else the
 * server said of the stream (`ssrc`, `mode`).
 */
export function bridgedToClient({ reply }: TransportMatch, asked: Alternative, face: ClientFace): string {
  const spec = cloneSpec(reply);
  spec.protocol = asked.spec.protocol;
  for (const name of OF_ONE_SIDE) removeParam(spec, name);
  if (asked.kind === 'interleaved') {
    if (face.channels) setPortPair(spec, 'interleaved', face.channels);
  } else {
    restoreClientPorts(spec, asked.spec);
    writeFace(spec, asked.spec, face);
  }
  return formatTransport([spec]);
}

/** What means one lower transport, or one connection, and nothing on the other side. */
const OF_ONE_SIDE = [
  'interleaved',
  'client_port',
  'server_port',
  'destination',
  'dest_addr',
  'source',
  'src_addr',
  'RTCP-mux',
];

/** `RTP/AVP` and `RTP/AVP/UDP` are the same (RFC 2326 §12.39); every server knows the first. */
function toUdp({ spec, clientSends, serverSends }: Alternative): Alternative {
  return { kind: 'udp', isRtp: true, clientSends, serverSends, spec: turnedSpec(spec, '') };
}

function toInterleaved({ spec, clientSends, serverSends }: Alternative, channels: ChannelPair): Alternative {
  const turned = setPortPair(turnedSpec(spec, '/TCP'), 'interleaved', channels);
  return { kind: 'interleaved', isRtp: true, clientSends, serverSends, channels, spec: turned };
}

function turnedSpec(spec: TransportSpec, lower: '' | '/TCP'): TransportSpec {
  const turned = cloneSpec(spec);
  turned.protocol = spec.protocol.split('/').slice(0, 2).join('/') + lower;
  for (const name of OF_ONE_SIDE) removeParam(turned, name);
  if (!hasParam(turned, 'unicast')) turned.params.unshift({ name: 'unicast', raw: 'unicast' });
  return turned;
}
