/** An absolute RTSP URL (RFC 2326 §3.2). */
export interface RtspUrl {
  /** Lower case. `rtspu` asks for RTSP over UDP, `rtsps` for TLS. */
  scheme: 'rtsp' | 'rtspu' | 'rtsps';
  /** `user:password`, as written. */
  userInfo?: string;
  /** Lower case, IPv6 literals without brackets. */
  host: string;
  /** As written; see `authorityOf` for the default. */
  port?: number;
  /** All that follows the authority, query included: '' or `/…`. */
  path: string;
}

export interface Authority {
  /** Lower case, IPv6 literals without brackets. */
  host: string;
  port: number;
}

const DEFAULT_PORTS = { rtsp: 554, rtspu: 554, rtsps: 322 } as const;
const MAX_PORT = 65_535;
/** Scheme, user info, host and port, the rest. The last `@` before the path ends the user info. */
const URL_PARTS = /^(rtsp[us]?):\/\/(?:([^/?#]*)@)?([^/?#@]*)(.*)$/is;
const HOST_AND_PORT = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{0,5}))?$/;

/**
 * Undefined for `*`, for relative references and for what has no readable host: they have no authority.
 * An IPv6 literal without brackets is read as a host without a port.
 */
export function parseRtspUrl(text: string): RtspUrl | undefined {
  const parts = URL_PARTS.exec(text);
  const place = parts && parseHostAndPort(parts[3] ?? '');
  if (!parts || !place) return undefined;
  const { host, port } = place;
  const url: RtspUrl = { scheme: (parts[1] ?? '').toLowerCase() as RtspUrl['scheme'], host, path: parts[4] ?? '' };
  if (parts[2] !== undefined) url.userInfo = parts[2];
  if (port !== undefined) url.port = port;
  return url;
}

/** Host and port, with the scheme's default port; undefined as for parseRtspUrl. */
export function authorityOf(text: string): Authority | undefined {
  const url = parseRtspUrl(text);
  return url && { host: url.host, port: url.port ?? DEFAULT_PORTS[url.scheme] };
}

/** `host:port`, with brackets around an IPv6 address. */
export function formatAuthority(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** By what scheme and name a peer is called. */
export interface CalledBy {
  scheme: 'rtsp' | 'rtsps';
  /** `host` or `host:port`, brackets around IPv6. */
  authority: string;
}

/** How a URL calls its host: without a port where it has none. Undefined as for parseRtspUrl. */
export function calledBy(text: string): CalledBy | undefined {
  const url = parseRtspUrl(text);
  return url && { scheme: url.scheme === 'rtsps' ? 'rtsps' : 'rtsp', authority: nameOf(url) };
}

/** Without a port where none is written. */
function nameOf({ host, port }: { host: string; port?: number }): string {
  if (port !== undefined) return formatAuthority(host, port);
  return host.includes(':') ? `[${host}]` : host;
}

/**
 * Puts `to` in the place of scheme, host and port if `matches` says so, or if host and port are `to`'s own: servers
 * repeat the name they are called by with a scheme of their own. Every other byte stays, user info included, and so does
 * what means the same. Text without an authority comes back unchanged.
 */
export function replaceOrigin(text: string, matches: (authority: Authority) => boolean, to: CalledBy): string {
  const parts = URL_PARTS.exec(text);
  const place = parts && parseHostAndPort(parts[3] ?? '');
  if (!parts || !place) return text;
  const [, written = '', , name = '', rest = ''] = parts;
  const scheme = written.toLowerCase() as RtspUrl['scheme'];
  const isOurs = nameOf(place) === to.authority;
  if (!isOurs && !matches({ host: place.host, port: place.port ?? DEFAULT_PORTS[scheme] })) return text;
  const between = text.slice(written.length, text.length - rest.length - name.length);
  const isSame = (scheme === 'rtsps') === (to.scheme === 'rtsps');
  return `${isSame ? written : to.scheme}${between}${isOurs ? name : to.authority}${rest}`;
}

/** The path of a Request-URI with its query: `/` if the URL has none, and text that is no absolute URL as it is. */
export function pathOf(text: string): string {
  const parts = URL_PARTS.exec(text);
  return parts ? parts[4] || '/' : text;
}

function parseHostAndPort(text: string): { host: string; port?: number } | undefined {
  const match = HOST_AND_PORT.exec(text);
  if (!match) return /^[0-9a-f:.]*:[0-9a-f:.]*:[0-9a-f:.]*$/i.test(text) ? { host: text.toLowerCase() } : undefined;
  const host = (match[1] ?? match[2] ?? '').toLowerCase();
  if (!match[3]) return { host };
  const port = Number(match[3]);
  return port >= 1 && port <= MAX_PORT ? { host, port } : undefined;
}
