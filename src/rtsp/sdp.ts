/** What a proxy reads and changes in an SDP body (RFC 4566; RFC 2326 appendix C). Text is latin1: bytes stay bytes. */

export type Direction = 'sendrecv' | 'sendonly' | 'recvonly' | 'inactive';

export interface SdpMap {
  /** Called with each absolute `a=control:` URL. */
  url(url: string): string;
  /** Called with each address of a `c=` or `o=` line, without `/ttl`; a host name is possible in `o=`. */
  address(address: string): string;
}

export interface MediaSection {
  /** `video`, `audio`, `application`… */
  media: string;
  /** As written: absolute, relative or `*`. */
  control?: string;
  /** Hz, of the first payload type. */
  clockRate?: number;
  payloadTypes: number[];
  /** Of the media, else of the session, else absent: RTSP servers mostly leave it out and mean `recvonly`. */
  direction?: Direction;
}

const CONTROL_URL = /^(a=control:[ \t]*)(rtsp[us]?:\/\/\S+)/i;
const ORIGIN = /^(o=.*[ \t]IN[ \t]+)(IP[46])([ \t]+)([^ \t\r\n]+)/;
const CONNECTION = /^(c=[ \t]*IN[ \t]+)(IP[46])([ \t]+)([^ \t\r\n/]+)/;
const MEDIA = /^m=(\S+)[ \t]+\S+[ \t]+\S+[ \t]*(.*)$/;
const CONTROL = /^a=control:[ \t]*(.*)$/i;
const DIRECTION = /^a=(sendrecv|sendonly|recvonly|inactive)[ \t]*$/;
const RTPMAP = /^a=rtpmap:[ \t]*(\d+)[ \t]+[^/\s]+\/(\d+)/;
/** Payload types that need no rtpmap (RFC 3551 §6): video and MPEG audio run at 90 kHz, audio at 8 kHz but for these. */
const AUDIO_CLOCKS: Readonly<Record<number, number>> = { 6: 16_000, 10: 44_100, 11: 44_100, 16: 11_025, 17: 22_050 };
const MPEG_AUDIO = 14;
const FIRST_VIDEO = 24;
const LAST_STATIC = 34;

/** Rewrites addresses and absolute control URLs; every other byte stays. Returns `body` itself if nothing changed. */
export function rewriteSdp(body: Buffer, map: SdpMap): Buffer {
  const text = body.toString('latin1');
  const rewritten = text
    .split('\n')
    .map((line) => rewriteLine(line, map))
    .join('\n');
  return rewritten === text ? body : Buffer.from(rewritten, 'latin1');
}

export function mediaSections(body: Buffer): MediaSection[] {
  const sections: MediaSection[] = [];
  let session: Direction | undefined;
  for (const line of body.toString('latin1').split(/\r?\n/)) {
    const section = sections.at(-1);
    const media = line.startsWith('m=') && MEDIA.exec(line);
    if (media) sections.push(beginSection(media[1] ?? '', media[2] ?? '', session));
    else if (!isAttribute(line)) continue;
    else if (section) readAttribute(section, line);
    else session = directionOf(line) ?? session;
  }
  return sections;
}

/** `a=control:` of the session, before the first media section: the URL of the whole. As written. */
export function sessionControl(body: Buffer): string | undefined {
  for (const line of body.toString('latin1').split(/\r?\n/)) {
    if (line.startsWith('m=')) return undefined;
    const control = isAttribute(line) ? CONTROL.exec(line)?.[1] : undefined;
    if (control !== undefined) return control.trimEnd();
  }
  return undefined;
}

function rewriteLine(line: string, map: SdpMap): string {
  if (line.startsWith('o=')) return mapAddress(line, ORIGIN, map);
  if (line.startsWith('c=')) return mapAddress(line, CONNECTION, map);
  const control = isAttribute(line) && CONTROL_URL.exec(line);
  if (!control) return line;
  const [whole, before = '', url = ''] = control;
  return before + map.url(url) + line.slice(whole.length);
}

/** The address type follows the new address; a host name leaves it alone. */
function mapAddress(line: string, pattern: RegExp, map: SdpMap): string {
  const match = pattern.exec(line);
  if (!match) return line;
  const [whole, before = '', family = '', gap = '', address = ''] = match;
  const mapped = map.address(address);
  const newFamily = mapped === address ? family : familyOf(mapped, family);
  return before + newFamily + gap + mapped + line.slice(whole.length);
}

function familyOf(address: string, otherwise: string): string {
  if (address.includes(':')) return 'IP6';
  return /^[0-9.]+$/.test(address) ? 'IP4' : otherwise;
}

function beginSection(media: string, formats: string, direction: Direction | undefined): MediaSection {
  const payloadTypes = formats
    .split(/[ \t]+/)
    .filter((format) => /^\d{1,3}$/.test(format))
    .map(Number);
  const section: MediaSection = { media, payloadTypes };
  const clock = staticClock(payloadTypes[0]);
  if (clock !== undefined) section.clockRate = clock;
  if (direction !== undefined) section.direction = direction;
  return section;
}

function readAttribute(section: MediaSection, line: string): void {
  const control = CONTROL.exec(line)?.[1];
  if (control !== undefined) section.control = control.trimEnd();
  const rtpmap = RTPMAP.exec(line);
  if (rtpmap && Number(rtpmap[1]) === section.payloadTypes[0]) section.clockRate = Number(rtpmap[2]);
  const direction = directionOf(line);
  if (direction !== undefined) section.direction = direction;
}

/** Most lines are none: a look at two characters is cheaper than one expression after the other. */
function isAttribute(line: string): boolean {
  return line[1] === '=' && (line[0] === 'a' || line[0] === 'A');
}

function directionOf(line: string): Direction | undefined {
  return DIRECTION.exec(line)?.[1] as Direction | undefined;
}

function staticClock(payloadType: number | undefined): number | undefined {
  if (payloadType === undefined || payloadType > LAST_STATIC) return undefined;
  const is90kHz = payloadType === MPEG_AUDIO || payloadType >= FIRST_VIDEO;
  return is90kHz ? 90_000 : (AUDIO_CLOCKS[payloadType] ?? 8_000);
}
