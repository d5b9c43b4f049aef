import {
  isInterleaved,
  isMulticast,
  isUdp,
  param,
  parseTransport,
  portPair,
  type TransportSpec,
} from '../rtsp/headers/transport.js';
import type { RtspResponse } from '../rtsp/message.js';
import type { MediaPath } from './media-path.js';
import type { Exchange } from './methods.js';
import { reply } from './responses.js';
import type { Session } from './session.js';
import { Stream } from './stream.js';

/** SETUP: makes the session if there is none yet, and one stream of it. */
export async function setup(exchange: Exchange): Promise<RtspResponse> {
  const { origin, request } = exchange;
  const spec = chooseTransport(request.headers.get('Transport') ?? '');
  if (!spec) return reply(request, 461);
  const kind = /record|receive/i.test(param(spec, 'mode') ?? '') ? 'record' : 'play';
  const key = streamKey(exchange, kind);
  const fault = key.fault ?? sessionFault(exchange, kind);
  if (fault) return reply(request, fault);
  const session = exchange.session ?? origin.sessions.create(mountOf(exchange, kind), kind);
  const stream = new Stream(origin.counters, origin.title);
  const path = await openPath(exchange, spec, stream, session);
  if (!path) return reply(request, 453);
  stream.path = path;
  session.setStream(key.track, stream);
  origin.sessions.add(session);
  origin.counters.setups++;
  return reply(request, 200, {
    Session: `${session.id};timeout=${origin.sessionTimeoutSec}`,
    Transport: answerTransport(spec, path, kind, stream),
  });
}

/** The first alternative that we can serve. */
function chooseTransport(header: string): TransportSpec | undefined {
  return parseTransport(header).find((spec) => {
    if (isMulticast(spec)) return false;
    return isInterleaved(spec) || (isUdp(spec) && (portPair(spec, 'client_port')?.rtp ?? 0) > 0);
  });
}

/** Which stream of the session this is; a published one is known by its place in the order of SETUPs. */
function streamKey({ origin, target, session }: Exchange, kind: Session['kind']): { track: number; fault?: number } {
  if (kind === 'record') return { track: session?.streams.size ?? 0 };
  if (!origin.hasMount(target.mount)) return { track: 0, fault: 404 };
  const track = target.track ?? (origin.clip.tracks.length === 1 ? 0 : undefined);
  if (track === undefined) return { track: 0, fault: 459 };
  return origin.clip.tracks[track] ? { track } : { track, fault: 404 };
}

function sessionFault({ origin, connection, target, session }: Exchange, kind: Session['kind']): number | undefined {
  if (kind === 'record' && !session && connection.announced === undefined) return 455;
  if (!session) return origin.sessions.full ? 453 : undefined;
  if (session.kind !== kind || session.state !== 'ready') return 455;
  // The tracks of a publisher have URLs of its own making, so only a player's can be compared.
  return kind === 'play' && session.mount !== target.mount ? 459 : undefined;
}

function mountOf({ connection, target }: Exchange, kind: Session['kind']): string {
  return kind === 'record' ? (connection.announced ?? target.mount) : target.mount;
}

async function openPath(exchange: Exchange, spec: TransportSpec, stream: Stream, session: Session) {
  const { connection, origin } = exchange;
  if (isInterleaved(spec)) return connection.openChannels(pairOf(spec, 'interleaved'), stream, session);
  const ports = pairOf(spec, 'client_port');
  if (!ports) return undefined;
  try {
    return await origin.ports.attach(connection.localIp, { ip: connection.remoteIp, ...ports }, stream);
  } catch (error) {
    origin.log?.info({ client: connection.remoteIp, ...ports, error: String(error) }, 'no UDP ports for a stream');
    return undefined;
  }
}

function pairOf(spec: TransportSpec, name: 'client_port' | 'interleaved'): { rtp: number; rtcp: number } | undefined {
  const pair = portPair(spec, name);
  return pair && { rtp: pair.rtp, rtcp: pair.rtcp ?? pair.rtp + 1 };
}

function answerTransport(spec: TransportSpec, path: MediaPath, kind: Session['kind'], stream: Stream): string {
  const clientPort = isInterleaved(spec) ? undefined : `client_port=${param(spec, 'client_port')}`;
  const ssrc = kind === 'play' ? `ssrc=${stream.source.ssrc.toString(16).toUpperCase().padStart(8, '0')}` : undefined;
  const parts = [spec.protocol, 'unicast', clientPort, path.transport, ssrc, `mode=${kind.toUpperCase()}`];
  return parts.filter((part) => part !== undefined).join(';');
}
