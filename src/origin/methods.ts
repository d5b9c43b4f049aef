import { parseSession } from '../rtsp/headers/session.js';
import type { RtspRequest, RtspResponse } from '../rtsp/message.js';
import { mediaSections } from '../rtsp/sdp.js';
import type { OriginConnection } from './connection.js';
import { describeClip } from './description.js';
import type { OriginState } from './origin.js';
import { type ReplyFields, reply } from './responses.js';
import type { Session } from './session.js';
import { setup } from './setup.js';
import { parseTarget, type Target, trackUrl } from './target.js';

/** One request with all that its method may look at. */
export interface Exchange {
  origin: OriginState;
  connection: OriginConnection;
  request: RtspRequest;
  target: Target;
  /** The session the request names; it exists. */
  session: Session | undefined;
}

type Method = (exchange: Exchange) => RtspResponse | Promise<RtspResponse>;

const METHODS: Record<string, Method> = {
  OPTIONS: ({ request }) => reply(request, 200, { Public: PUBLIC }),
  DESCRIBE: describe,
  SETUP: setup,
  PLAY: play,
  PAUSE: withSession(pause),
  RECORD: withSession(record),
  ANNOUNCE: announce,
  GET_PARAMETER: parameters,
  SET_PARAMETER: parameters,
  TEARDOWN: withSession(teardown),
};

const PUBLIC = Object.keys(METHODS).join(', ');
/** Methods that RTSP knows and a client may not send (RFC 2326 §10, table 2). */
const SERVER_ONLY = new Set(['REDIRECT']);

/** Answers one request. Never throws for what a client sent: each fault has its status. */
export async function answer(origin: OriginState, connection: OriginConnection, request: RtspRequest) {
  const response = refuse(request) ?? (await dispatch(origin, connection, request));
  response.headers.set('Server', origin.serverHeader);
  return response;
}

/** What is wrong with a request whatever its method. */
function refuse(request: RtspRequest): RtspResponse | undefined {
  if (request.version !== 'RTSP/1.0') return reply(request, 505);
  if (!request.headers.has('CSeq')) return reply(request, 400);
  const required = request.headers.get('Require');
  if (required !== undefined) return reply(request, 551, { Unsupported: required });
  if (SERVER_ONLY.has(request.method)) return reply(request, 405, { Allow: PUBLIC });
  return Object.hasOwn(METHODS, request.method) ? undefined : reply(request, 501, { Public: PUBLIC });
}

async function dispatch(
  origin: OriginState,
  connection: OriginConnection,
  request: RtspRequest,
): Promise<RtspResponse> {
  const header = request.headers.get('Session');
  const session = header === undefined ? undefined : origin.sessions.find(parseSession(header).id);
  if (header !== undefined && !session) return reply(request, 454);
  session?.touch();
  const exchange = { origin, connection, request, session, target: parseTarget(request.uri) };
  const response = await (METHODS[request.method] as Method)(exchange);
  if (session && !response.headers.has('Session')) response.headers.set('Session', session.id);
  return response;
}

function describe({ origin, connection, request, target }: Exchange): RtspResponse {
  if (!origin.hasMount(target.mount)) return reply(request, 404);
  const accept = request.headers.get('Accept');
  if (accept !== undefined && !/application\/(sdp|\*)|\*\/\*/i.test(accept)) return reply(request, 406);
  origin.counters.describes++;
  const sdp = describeClip(origin.clip, `${origin.title} ${target.mount}`, connection.localIp);
  return reply(request, 200, { 'Content-Base': `${target.base}/`, 'Content-Type': 'application/sdp' }, sdp);
}

function play({ origin, request, session, target }: Exchange): RtspResponse {
  if (!session) return reply(request, 454);
  if (session.kind !== 'play' || session.streams.size === 0) return reply(request, 455);
  origin.counters.plays++;
  const points = session.play();
  const info = points.map((at) => `url=${trackUrl(target.base, at.track)};seq=${at.sequence};rtptime=${at.timestamp}`);
  return reply(request, 200, { Range: 'npt=now-', 'RTP-Info': info.join(', ') });
}

function pause({ origin, request }: Exchange, session: Session): RtspResponse {
  origin.counters.pauses++;
  session.pause();
  return reply(request, 200);
}

function announce({ connection, request, origin, target }: Exchange): RtspResponse {
  const type = request.headers.get('Content-Type')?.trim().toLowerCase();
  if (type !== undefined && !type.startsWith('application/sdp')) return reply(request, 415);
  if (mediaSections(request.body).length === 0) return reply(request, 400);
  origin.counters.announces++;
  connection.announced = target.mount;
  return reply(request, 200);
}

function record({ origin, request }: Exchange, session: Session): RtspResponse {
  if (session.kind !== 'record' || session.streams.size === 0) return reply(request, 455);
  origin.counters.records++;
  session.record();
  return reply(request, 200);
}

/** Without a body both are keep-alives; there are no parameters to ask for (RFC 2326 §10.8, §10.9). */
function parameters({ request }: Exchange): RtspResponse {
  return reply(request, request.body.length === 0 ? 200 : 451);
}

/** Of one track when its URL is given and others remain, else of the whole session. */
function teardown({ origin, request, target }: Exchange, session: Session): RtspResponse {
  const { track } = target;
  if (track !== undefined && session.streams.size > 1 && session.streams.has(track)) session.closeStream(track);
  else origin.sessions.end(session, 'teardowns');
  return reply(request, 200, sessionField(session));
}

function sessionField(session: Session): ReplyFields {
  return { Session: session.id };
}

function withSession(method: (exchange: Exchange, session: Session) => RtspResponse): Method {
  return (exchange) => (exchange.session ? method(exchange, exchange.session) : reply(exchange.request, 454));
}
