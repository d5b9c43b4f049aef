import { isNamed } from '../name.js';

/**
 * Transport = 1#transport-spec (RFC 2326 §12.39): alternatives in order of preference, separated by commas, each
 * `protocol/profile[/lower-transport]` with parameters separated by semicolons. Both separators may stand inside
 * quotes (`mode="PLAY,RECORD"`). What is not changed is formatted exactly as it was written.
 */
export interface TransportParam {
  /** As written, without the white space around it. */
  name: string;
  /** Without quotes; absent for a flag such as `unicast`. */
  value?: string;
  /** The parameter as written, spacing and quotes included. */
  raw: string;
}

export interface TransportSpec {
  /** As written: `RTP/AVP/UDP`. */
  protocol: string;
  /** White space around the protocol, kept for formatting. */
  before?: string;
  after?: string;
  params: TransportParam[];
}

/** Ports, or channels for `interleaved`. As written: either may be 0, odd, or the greater one. */
export interface PortPair {
  rtp: number;
  /** Absent when one number was written: the RTCP port is then usually the next one. */
  rtcp?: number;
}

export type PairName = 'client_port' | 'server_port' | 'interleaved' | 'port';

/** What nearly everybody writes, taken apart once. */
const KNOWN_PROTOCOLS = new Map(['RTP/AVP', 'RTP/AVP/UDP', 'RTP/AVP/TCP'].map((text) => [text, partsOf(text)]));
const MAX_PORT = 65_535;
const MAX_CHANNEL = 255;
const PAIR = /^\s*(\d{1,5})\s*(?:-\s*(\d{1,5})?\s*)?$/;
const NEEDS_QUOTES = /[\s;,"]/;

/** Never fails: an empty header has no alternatives, an unknown one keeps its text. Empty list elements are dropped. */
export function parseTransport(value: string): TransportSpec[] {
  return splitOutsideQuotes(value, ',')
    .filter((text) => text.trim() !== '')
    .map(parseSpec);
}

export function formatTransport(specs: readonly TransportSpec[]): string {
  return specs.map(formatSpec).join(',').trim();
}

export function cloneSpec(spec: TransportSpec): TransportSpec {
  const clone = { ...spec };
  clone.params = spec.params.map((param) => ({ ...param }));
  return clone;
}

/** Media over UDP: `/UDP`, or no lower transport, for which UDP is the default (RFC 2326 §12.39). May be multicast. */
export function isUdp(spec: TransportSpec): boolean {
  const [first, , lower] = protocolParts(spec);
  if (lastPart(spec) === 'UDP') return true;
  return first === 'RTP' && lower === undefined && !isInterleaved(spec);
}

/** Media inside the RTSP connection. Some servers answer `RTP/AVP;interleaved=` without `/TCP`. */
export function isInterleaved(spec: TransportSpec): boolean {
  const last = lastPart(spec);
  return last === 'TCP' || (last !== 'UDP' && hasParam(spec, 'interleaved'));
}

/**
 * Only where it is said. RFC 2326 makes multicast the default when neither is given, yet clients and servers
 * that leave the word out mean unicast. RealNetworks' players say it in the protocol: `x-real-rdt/mcast`.
 */
export function isMulticast(spec: TransportSpec): boolean {
  return hasParam(spec, 'multicast') || lastPart(spec) === 'MCAST';
}

/** Whether its media is RTP, in any profile: `RTP/AVP`, `RTP/AVPF`, `RTP/SAVP`… */
export function isRtp(spec: TransportSpec): boolean {
  return protocolParts(spec)[0] === 'RTP';
}

/**
 * Whether a single number is one port, not the first of two: RTP and RTCP on one port (RFC 5761; the word is that of
 * RFC 7826 §18.54), or a protocol without an RTCP.
 */
export function mayUseOnePort(spec: TransportSpec): boolean {
  return !isRtp(spec) || hasParam(spec, 'RTCP-mux');
}

export function hasParam(spec: TransportSpec, name: string): boolean {
  return find(spec, name) !== undefined;
}

/** The value without quotes; '' for a flag; undefined if the parameter is absent. The first of that name counts. */
export function param(spec: TransportSpec, name: string): string | undefined {
  const found = find(spec, name);
  return found && (found.value ?? '');
}

/**
 * Changes `spec` and returns it. A parameter that exists keeps its place, spelling and quotes; others of the name
 * go. A new one is appended. Without a value it is a flag.
 */
export function setParam(spec: TransportSpec, name: string, value?: string): TransportSpec {
  const found = find(spec, name);
  if (!found) spec.params.push(makeParam(name, value));
  else {
    spec.params = spec.params.filter((each) => each === found || !isNamed(each, name));
    if (found.value !== value) rewriteParam(found, value);
  }
  return spec;
}

/** Changes `spec` (every parameter of that name goes) and returns it. */
export function removeParam(spec: TransportSpec, name: string): TransportSpec {
  spec.params = spec.params.filter((each) => !isNamed(each, name));
  return spec;
}

/** Undefined if the parameter is absent, no number or number pair, or beyond 65535 (channels: 255). */
export function portPair(spec: TransportSpec, name: PairName): PortPair | undefined {
  const match = PAIR.exec(param(spec, name) ?? '');
  if (!match) return undefined;
  const highest = name === 'interleaved' ? MAX_CHANNEL : MAX_PORT;
  const rtp = Number(match[1]);
  const rtcp = match[2] === undefined ? undefined : Number(match[2]);
  if (rtp > highest || (rtcp ?? 0) > highest) return undefined;
  return rtcp === undefined ? { rtp } : { rtp, rtcp };
}

/** Changes `spec` and returns it; writes `rtp-rtcp`, or `rtp` alone. */
export function setPortPair(spec: TransportSpec, name: PairName, pair: PortPair): TransportSpec {
  return setParam(spec, name, pair.rtcp === undefined ? `${pair.rtp}` : `${pair.rtp}-${pair.rtcp}`);
}

function parseSpec(text: string): TransportSpec {
  const [protocolText = '', ...params] = splitOutsideQuotes(text, ';');
  const protocol = protocolText.trim();
  const at = protocolText.indexOf(protocol);
  const spec: TransportSpec = { protocol, params: params.map(parseParam) };
  if (at > 0) spec.before = protocolText.slice(0, at);
  if (at + protocol.length < protocolText.length) spec.after = protocolText.slice(at + protocol.length);
  return spec;
}

function parseParam(raw: string): TransportParam {
  const equals = raw.indexOf('=');
  if (equals === -1) return { name: raw.trim(), raw };
  return { name: raw.slice(0, equals).trim(), value: unquoted(raw.slice(equals + 1).trim()), raw };
}

function formatSpec(spec: TransportSpec): string {
  const protocol = (spec.before ?? '') + spec.protocol + (spec.after ?? '');
  return [protocol, ...spec.params.map((each) => each.raw)].join(';');
}

function makeParam(name: string, value: string | undefined): TransportParam {
  return value === undefined ? { name, raw: name } : { name, value, raw: `${name}=${quotedIfNeeded(value)}` };
}

/** Keeps what stands before the value, and quotes if there were any. */
function rewriteParam(target: TransportParam, value: string | undefined): void {
  const equals = target.raw.indexOf('=');
  if (value === undefined || equals === -1) {
    Object.assign(target, makeParam(target.name, value));
    if (value === undefined) delete target.value;
    return;
  }
  const written = target.raw.slice(equals + 1);
  const before = target.raw.slice(0, equals + 1 + written.length - written.trimStart().length);
  target.raw = before + (written.trim().startsWith('"') ? quoted(value) : quotedIfNeeded(value));
  target.value = value;
}

function find(spec: TransportSpec, name: string): TransportParam | undefined {
  return spec.params.find((each) => isNamed(each, name));
}

function protocolParts({ protocol }: TransportSpec): readonly string[] {
  return KNOWN_PROTOCOLS.get(protocol) ?? partsOf(protocol);
}

function partsOf(protocol: string): readonly string[] {
  return protocol.toUpperCase().split('/');
}

function lastPart(spec: TransportSpec): string {
  return protocolParts(spec).at(-1) ?? '';
}

function quotedIfNeeded(value: string): string {
  return NEEDS_QUOTES.test(value) ? quoted(value) : value;
}

/** A quote inside would end the value early, and no peer here knows escapes: it is left out. */
function quoted(value: string): string {
  return `"${value.replaceAll('"', '')}"`;
}

function unquoted(text: string): string {
  if (!text.startsWith('"')) return text;
  const end = text.indexOf('"', 1);
  return text.slice(1, end === -1 ? undefined : end);
}

/** A quote that never closes reaches to the end. */
function splitOutsideQuotes(text: string, separator: string): string[] {
  const parts: string[] = [];
  let from = 0;
  let inQuotes = false;
  for (let at = 0; at < text.length; at++) {
    if (text[at] === '"') inQuotes = !inQuotes;
    else if (text[at] === separator && !inQuotes) {
      parts.push(text.slice(from, at));
      from = at + 1;
    }
  }
  parts.push(text.slice(from));
  return parts;
}
