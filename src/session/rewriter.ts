import { mapRtpInfoUrls } from '../rtsp/headers/rtp-info.js';
import { idOf, mapSessionId } from '../rtsp/headers/session.js';
import { type Authority, type CalledBy, replaceOrigin } from '../rtsp/headers/url.js';
import { type RtspMessage, type RtspRequest, type RtspResponse, setBody } from '../rtsp/message.js';
import { rewriteSdp } from '../rtsp/sdp.js';

/** Both faces of one exchange: what the server says of itself, and what the client knows instead. */
export interface Faces {
  /** Whether an authority in a URL names the server itself. */
  isServer(authority: Authority): boolean;
  /** Whether a redirection to it is to come back through us. */
  leadsHere(authority: Authority): boolean;
  /** By what the client reached us. */
  appliance: CalledBy;
  /** The server's address in SDP becomes ours. */
  serverIp: string;
  applianceIp: string;
  /** Public id of a server id. */
  encodeId(serverId: string): string;
}

const URL_FIELDS = ['Content-Base', 'Content-Location'];

/** The one field of a request that must always change: the server gets its own id back. */
export function rewriteRequest(request: RtspRequest, serverId: string | undefined): void {
  if (serverId !== undefined) request.headers.map('Session', (value) => mapSessionId(value, () => serverId));
}

/** Rewrites all of an answer but Transport. RFC 2326 §12.37, §12.33, §12.14–12.15, §12.23 and appendix C. */
export function rewriteReply(reply: RtspResponse, faces: Faces): void {
  rewriteSession(reply, faces);
  rewriteUrls(reply, faces);
  reply.headers.map('RTP-Info', (value) => mapRtpInfoUrls(value, (url) => toAppliance(url, faces)));
  if (reply.body.length > 0 && isSdp(reply)) rewriteDescription(reply, faces);
}

/** A server's own request on its way to the client: the id, and where a REDIRECT leads. */
export function rewriteServerRequest(request: RtspRequest, faces: Faces): void {
  rewriteSession(request, faces);
  rewriteUrls(request, faces);
  const uri = toAppliance(request.uri, faces);
  if (uri !== request.uri) request.uri = uri;
  if (request.body.length > 0 && isSdp(request)) rewriteDescription(request, faces);
}

/** A client's answer to a server's request: an id that is not one of that server's sessions stays as it is. */
export function rewriteClientAnswer(
  response: RtspResponse,
  serverIdOf: (publicId: string) => string | undefined,
): void {
  response.headers.map('Session', (value) => mapSessionId(value, (id) => serverIdOf(id) ?? id));
}

/** The server's id in a message, if it carries one. */
export function sessionIdOf(message: RtspMessage): string | undefined {
  const value = message.headers.get('Session');
  if (value === undefined) return undefined;
  const id = idOf(value);
  return id === '' ? undefined : id;
}

function rewriteSession(message: RtspMessage, faces: Faces): void {
  message.headers.map('Session', (value) => mapSessionId(value, (id) => (id === '' ? id : faces.encodeId(id))));
}

function rewriteUrls({ headers }: RtspMessage, faces: Faces): void {
  for (const name of URL_FIELDS) headers.map(name, (url) => toAppliance(url, faces));
  headers.map('Location', (url) => toRedirected(url, faces));
}

/** A redirection as the client gets it. */
export function toRedirected(url: string, faces: Faces): string {
  return replaceOrigin(url, faces.leadsHere, faces.appliance);
}

function toAppliance(url: string, faces: Faces): string {
  return replaceOrigin(url, faces.isServer, faces.appliance);
}

function rewriteDescription(message: RtspMessage, faces: Faces): void {
  const body = rewriteSdp(message.body, {
    url: (url) => toAppliance(url, faces),
    address: (address) => toClientAddress(address, faces),
  });
  if (!body.equals(message.body)) setBody(message, body);
}

/**
 * Servers also write "no particular address" (`c=IN IP4 0.0.0.0`). Its family decides which sockets a client opens
 * (rtspsrc), so it follows the family by which the client reaches us.
 */
function toClientAddress(address: string, { serverIp, applianceIp }: Faces): string {
  if (address === serverIp) return applianceIp;
  if (address === '0.0.0.0' || address === '::') return applianceIp.includes(':') ? '::' : '0.0.0.0';
  return address;
}

function isSdp(message: RtspMessage): boolean {
  return /^application\/sdp\b/i.test(message.headers.get('Content-Type') ?? '');
}
