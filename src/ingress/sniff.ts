import { beginsProxyHeader } from '../proxy-protocol/header.js';

/** What a client speaks; `proxy` is the header of a PROXY protocol, where none is expected. */
export type Kind = 'rtsp' | 'http' | 'proxy';

/** Of HTTP only what a tunnel begins with (no RTSP method is followed by a space after these letters). */
const HTTP_METHODS = ['GET ', 'POST '];
const LONGEST = Math.max(...HTTP_METHODS.map((method) => method.length));

/** Undefined where the bytes so far may become one or another. */
export function kindOf(bytes: Buffer): Kind | undefined {
  const begin = bytes.toString('latin1', 0, LONGEST);
  if (HTTP_METHODS.some((method) => begin.startsWith(method))) return 'http';
  if (HTTP_METHODS.some((method) => method.startsWith(begin))) return undefined;
  const isProxy = beginsProxyHeader(bytes);
  return isProxy === undefined ? undefined : isProxy ? 'proxy' : 'rtsp';
}
