/** What a client speaks. */
export type Kind = 'rtsp' | 'http';

/** Of HTTP only what a tunnel begins with (no RTSP method is followed by a space after these letters). */
const HTTP_METHODS = ['GET ', 'POST '];
const LONGEST = Math.max(...HTTP_METHODS.map((method) => method.length));

/** Undefined where the bytes so far may become the one or the other. */
export function kindOf(bytes: Buffer): Kind | undefined {
  const begin = bytes.toString('latin1', 0, LONGEST);
  if (HTTP_METHODS.some((method) => begin.startsWith(method))) return 'http';
  return HTTP_METHODS.some((method) => method.startsWith(begin)) ? undefined : 'rtsp';
}
