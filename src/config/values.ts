import { z } from 'zod';
import { canonicalIp, parseAddress, parseHostPort, parseListen, parseMediaAddress, ValueError } from './addresses.js';
import type { ListenAddress, MediaAddress, PortRange, RtspListen } from './types.js';
import { BATCH_DELAY_AUTO } from './types.js';

const MIN_MEDIA_PORT = 1024;
const MAX_PORT = 65535;
/** One stream takes two pairs. */
const MIN_MEDIA_PORTS = 4;
const MAX_BATCH_DELAY_US = 2000;
const MAX_NAME = 64;
/** Longer ones would push the help of all flags to the right. */
const MAX_PLACEHOLDER = 26;
const UNIT_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const;
const UNIT_BYTES = { '': 1, k: 1024, m: 1024 * 1024 } as const;

/** The type of one option: what it takes from YAML, a flag or the environment, and how that is said. */
export interface ValueType<T> {
  readonly schema: z.ZodType<T>;
  /** Completes "expected …" in faults and is the type column of the documentation. */
  readonly accepts: string;
  /** Stands for the value in the help of a flag; empty for a switch. */
  readonly placeholder: string;
}

const scalar = z.union([z.string(), z.number(), z.boolean()]).transform((value) => String(value).trim());

function textual<T>(accepts: string, placeholder: string, parse: (text: string) => T): ValueType<T> {
  return { schema: scalar.transform(checked(parse)), accepts, placeholder };
}

/** A parser that throws ValueError, as a transformation that reports it. */
function checked<T>(parse: (text: string) => T) {
  return (text: string, context: z.RefinementCtx): T => {
    try {
      return parse(text);
    } catch (error) {
      if (!(error instanceof ValueError)) throw error;
      context.addIssue({ code: 'custom', message: error.message });
      return z.NEVER;
    }
  };
}

export function choice<const T extends readonly string[]>(values: T): ValueType<T[number]> {
  const written = values.join('|');
  const placeholder = written.length > MAX_PLACEHOLDER ? 'NAME' : written;
  return { schema: scalar.pipe(z.enum(values)), accepts: `one of ${values.join(', ')}`, placeholder };
}

export function integer(min: number, max: number): ValueType<number> {
  return textual(`a whole number from ${min} to ${max}`, 'N', (text) => {
    if (!/^\d+$/.test(text)) throw new ValueError('not a whole number');
    return within(Number(text), min, max);
  });
}

export function fraction(min: number, max: number): ValueType<number> {
  return textual(`a number from ${min} to ${max}`, 'X', (text) => {
    if (!/^\d*\.?\d+$/.test(text)) throw new ValueError('not a number');
    return within(Number(text), min, max);
  });
}

export const toggle: ValueType<boolean> = {
  schema: scalar.pipe(z.stringbool({ truthy: ['true', 'yes', 'on', '1'], falsy: ['false', 'no', 'off', '0'] })),
  accepts: 'true or false',
  placeholder: '',
};

/** Milliseconds from seconds; a unit may be written. */
export function duration(minSec: number, maxSec: number): ValueType<number> {
  const accepts = `seconds from ${minSec} to ${maxSec}, or with a unit (500ms, 90s, 2m, 1h)`;
  return textual(accepts, 'SEC', (text) => {
    const match = /^(\d*\.?\d+)\s*(ms|s|m|h)?$/.exec(text);
    if (match === null) throw new ValueError('not a duration');
    const unit = (match[2] ?? 's') as keyof typeof UNIT_MS;
    return Math.round(within(Number(match[1]) * UNIT_MS[unit], minSec * 1000, maxSec * 1000));
  });
}

/** Microseconds from milliseconds, or BATCH_DELAY_AUTO. */
export const batchDelay: ValueType<number> = textual(
  'auto, or milliseconds from 0 to 2 (0.5, 0.5ms, 500us)',
  'auto|0..2ms',
  (text) => {
    if (text === 'auto') return BATCH_DELAY_AUTO;
    const match = /^(\d*\.?\d+)\s*(ms|us)?$/.exec(text);
    if (match === null) throw new ValueError('not a delay');
    return Math.round(within(Number(match[1]) * (match[2] === 'us' ? 1 : 1000), 0, MAX_BATCH_DELAY_US));
  },
);

export function bytes(min: number, max: number): ValueType<number> {
  return textual(`bytes from ${min} to ${max}, or with a unit (256k, 4M)`, 'BYTES', (text) => {
    const match = /^(\d+)([km]?)$/i.exec(text);
    if (match === null) throw new ValueError('not a size');
    const unit = (match[2] ?? '').toLowerCase() as keyof typeof UNIT_BYTES;
    return within(Number(match[1]) * UNIT_BYTES[unit], min, max);
  });
}

export const portRange: ValueType<PortRange> = textual(
  `FIRST-LAST from ${MIN_MEDIA_PORT} to ${MAX_PORT}, first even, last odd`,
  'FIRST-LAST',
  (text) => {
    const match = /^(\d+)\s*-\s*(\d+)$/.exec(text);
    if (match === null) throw new ValueError('not FIRST-LAST');
    const range = { min: Number(match[1]), max: Number(match[2]) };
    if (range.min > range.max) throw new ValueError('the range is inverted');
    if (range.min < MIN_MEDIA_PORT || range.max > MAX_PORT) throw new ValueError('out of range');
    if (range.min % 2 !== 0) throw new ValueError('the first port is odd: RTP ports are even');
    if (range.max % 2 !== 1) throw new ValueError('the last port is even: RTCP ports are odd');
    if (range.max - range.min + 1 < MIN_MEDIA_PORTS) throw new ValueError('one stream needs four ports');
    return range;
  },
);

export const listenAddress: ValueType<RtspListen> = textual(
  '[rtsp://|rtsps://]ADDR[:PORT] with an IP address (IPv6 in brackets) or * for every IPv4 address',
  'ADDR:PORT',
  parseListen,
);

export const adminAddress: ValueType<ListenAddress> = textual(
  'ADDR:PORT with an IP address (IPv6 in brackets)',
  'ADDR:PORT',
  parseAddress,
);

export const mediaAddress: ValueType<MediaAddress> = textual(
  '[client:|server:]ADDR[=ADVERTISED] with IP addresses',
  '[SIDE:]ADDR[=ADVERTISED]',
  parseMediaAddress,
);

export const hostPort: ValueType<{ host: string; port: number; tls: boolean }> = textual(
  '[rtsp://|rtsps://]HOST[:PORT] with a name or IP address (IPv6 in brackets)',
  'HOST:PORT',
  parseHostPort,
);

/** A whole service in one line; src/config/vservers.ts takes it apart. */
export const server: ValueType<string> = textual(
  '[rtsp://|rtsps://]HOST[:PORT][?weight=N&max-sessions=N&name=NAME&monitor=KIND&path=/x&…]',
  'HOST:PORT[?KEY=VALUE&…]',
  (text) => text,
);

/** Addresses of other machines; canonical text. */
export const addresses: ValueType<string[]> = {
  schema: z
    .union([z.array(scalar).transform((parts) => parts.join(',')), scalar])
    .transform(checked((text) => text.split(',').map((part) => canonicalIp(part.trim())))),
  accepts: 'IP addresses, separated by commas',
  placeholder: 'ADDR,…',
};

/** `ADDRESS/BITS`, canonical; an address alone is one host. */
export const network: ValueType<string> = textual('an IP address, or a network as ADDR/BITS', 'ADDR[/BITS]', (text) => {
  const [address = '', bits, ...more] = text.split('/');
  const ip = canonicalIp(address);
  const longest = ip.includes(':') ? 128 : 32;
  if (more.length > 0 || (bits !== undefined && !/^\d{1,3}$/.test(bits))) throw new ValueError('not ADDR/BITS');
  return `${ip}/${within(bits === undefined ? longest : Number(bits), 0, longest)}`;
});

/** A file or directory; made absolute by the loader, which knows what it is relative to. */
export const filePath: ValueType<string> = textual('a path', 'PATH', (text) => {
  if (text === '') throw new ValueError('it is empty');
  return text;
});

/** A name that can be typed on a command line and stands in a URL without escapes. */
export const identifier: ValueType<string> = textual(
  `a name of 1 to ${MAX_NAME} letters, digits and . _ : - [ ]`,
  'NAME',
  (text) => {
    if (text.length > MAX_NAME || !/^[\w.:[\]-]+$/.test(text)) throw new ValueError('not such a name');
    return text;
  },
);

/** A host as a certificate names it. */
export const serverName: ValueType<string> = textual('a host name or IP address', 'NAME', (text) => {
  return parseHostPort(text.includes(':') ? `[${text}]` : text).host;
});

/** The path of a URL, with its query if there is one. */
export const urlPath: ValueType<string> = textual('a path that begins with /', 'PATH', (text) => {
  if (!/^\/[\x21-\x7e]*$/.test(text)) throw new ValueError('not such a path');
  return text;
});

export const statusCodes: ValueType<number[]> = (() => {
  const schema = z
    .union([z.array(scalar), scalar.transform((text) => text.split(',').map((part) => part.trim()))])
    .pipe(z.array(z.string().regex(/^[1-5]\d\d$/)).min(1))
    .transform((list) => list.map(Number));
  return { schema, accepts: 'RTSP statuses from 100 to 599, separated by commas', placeholder: 'STATUS,…' };
})();

function within(value: number, min: number, max: number): number {
  if (value < min || value > max) throw new ValueError('out of range');
  return value;
}
