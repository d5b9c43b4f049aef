import { createCipheriv, createDecipheriv, createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { formatIp, parseIp } from '../engine/ip-bytes.js';
import { PenstockError } from '../errors.js';

/** A service of the farm. `ip` is canonical text: dotted IPv4 or RFC 5952 IPv6, without a zone. */
export interface ServiceAddress {
  ip: string;
  port: number;
}

export interface DecodedSession {
  address: ServiceAddress;
  /** The Session id that the server issued, as it wrote it. */
  serverId: string;
}

export type SessionIdMode = 'sealed' | 'prefix' | 'suffix';

export interface SessionCodecOptions {
  mode: SessionIdMode;
  /** The first key encodes, every key decodes (rotation). Only `sealed` uses them. */
  keys: readonly Buffer[];
  /** Says whether an address is a service of the farm. An id that leads anywhere else does not decode. */
  isMember(address: ServiceAddress): boolean;
}

/**
 * Translates between a server's Session id and the public id that a client sees. Deterministic
 * in (key, address, server id), and without state: the public id alone leads to the server.
 */
export class SessionCodec {
  readonly #options: SessionCodecOptions;
  #scheme: Scheme;

  constructor(options: SessionCodecOptions) {
    this.#options = options;
    this.#scheme = makeScheme(options);
  }

  /** Rotation: ids under a key that is not among them decode no more. */
  rekey(keys: readonly Buffer[]): void {
    this.#scheme = makeScheme({ ...this.#options, keys });
  }

  /** Throws PENSTOCK_ERR_CONFIG for a service address that is no numeric IP and port. */
  encode(address: ServiceAddress, serverId: string): string {
    return this.#scheme.encode(packAddress(address), serverId);
  }

  /** Undefined for everything that this farm did not issue, or whose service is no member of the farm. */
  decode(publicId: string): DecodedSession | undefined {
    for (const { packed, serverId } of this.#scheme.candidates(publicId)) {
      const address = unpackAddress(packed);
      if (serverId !== '' && address !== undefined && this.#options.isMember(address)) return { address, serverId };
    }
    return undefined;
  }
}

interface Candidate {
  packed: Buffer;
  serverId: string;
}

/** One way of writing a packed address and a server id as one text. */
interface Scheme {
  encode(packed: Buffer, serverId: string): string;
  /** What the text may mean, likeliest first. */
  candidates(publicId: string): Iterable<Candidate>;
}

function makeScheme(options: SessionCodecOptions): Scheme {
  if (options.mode === 'sealed') return new SealedScheme(options.keys);
  return new PlainScheme(options.mode);
}

// ---- packed addresses: IP bytes, then the port in network order

const PORT_BYTES = 2;
const PACKED_V4 = 4 + PORT_BYTES;
const PACKED_V6 = 16 + PORT_BYTES;

function packAddress(address: ServiceAddress): Buffer {
  const ip = parseIp(address.ip);
  if (ip === undefined || !Number.isInteger(address.port) || address.port < 0 || address.port > 65535) {
    throw new PenstockError(
      'PENSTOCK_ERR_CONFIG',
      `a service address must be a numeric IP and a port, not ${address.ip} port ${address.port}`,
    );
  }
  const packed = Buffer.alloc(ip.bytes.length + PORT_BYTES);
  packed.set(ip.bytes);
  packed.writeUInt16BE(address.port, ip.bytes.length);
  return packed;
}

function unpackAddress(packed: Buffer): ServiceAddress | undefined {
  const length = packed.length - PORT_BYTES;
  if (packed.length !== PACKED_V4 && packed.length !== PACKED_V6) return undefined;
  const ip = formatIp({ family: length === 4 ? 4 : 6, bytes: packed.subarray(0, length) });
  return { ip, port: packed.readUInt16BE(length) };
}

// ---- prefix and suffix: plain lower-case hex around the server id, readable in a capture

const PLAIN_HEX = /^[0-9a-f]*$/;

class PlainScheme implements Scheme {
  readonly #first: boolean;

  constructor(mode: 'prefix' | 'suffix') {
    this.#first = mode === 'prefix';
  }

  encode(packed: Buffer, serverId: string): string {
    const hex = packed.toString('hex');
    return this.#first ? hex + serverId : serverId + hex;
  }

  // Nothing in the text says how long the address is. IPv6 goes first: that 36 characters are by
  // chance the hex of a member's IPv6 address is far less likely than the same of 12.
  *candidates(publicId: string): Iterable<Candidate> {
    for (const bytes of [PACKED_V6, PACKED_V4]) {
      const at = this.#first ? bytes * 2 : publicId.length - bytes * 2;
      if (at < 0 || at > publicId.length) continue;
      const [front, back] = [publicId.slice(0, at), publicId.slice(at)];
      const [hex, serverId] = this.#first ? [front, back] : [back, front];
      if (PLAIN_HEX.test(hex)) yield { packed: Buffer.from(hex, 'hex'), serverId };
    }
  }
}

// ---- sealed: hex(tag, encrypted address block), then the server id
//
// SIV (RFC 5297) in shape: the tag is a MAC over the address and the server id, and is also the
// IV that the address is encrypted under, so equal input gives equal text, and nothing but equal
// input shares an IV. The block has one length for IPv4 and IPv6: the text shows neither.

const TAG_BYTES = 8;
const IV_BYTES = 16; // AES-CTR: the tag, then a counter from zero
const BLOCK_BYTES = 1 + PACKED_V6; // length of the packed address, the address, zeros
const SEAL_CHARS = 2 * (TAG_BYTES + BLOCK_BYTES);
const SEAL = new RegExp(`^[0-9a-f]{${SEAL_CHARS}}`);
const SUBKEY_BYTES = 32;
const CIPHER = 'aes-256-ctr';

interface Subkeys {
  mac: Buffer;
  cipher: Buffer;
}

class SealedScheme implements Scheme {
  readonly #keys: Subkeys[];
  readonly #first: Subkeys;

  constructor(keys: readonly Buffer[]) {
    this.#keys = keys.map((key) => ({ mac: subkey(key, 'tag'), cipher: subkey(key, 'address') }));
    const [first] = this.#keys;
    if (first === undefined) throw new PenstockError('PENSTOCK_ERR_KEY_FILE', 'sealed session ids need a key');
    this.#first = first;
  }

  encode(packed: Buffer, serverId: string): string {
    const block = Buffer.alloc(BLOCK_BYTES);
    block[0] = packed.length;
    block.set(packed, 1);
    const tag = sealTag(this.#first, block, serverId);
    const cipher = createCipheriv(CIPHER, this.#first.cipher, initialVector(tag));
    return tag.toString('hex') + cipher.update(block).toString('hex') + serverId;
  }

  // Upper-case hex is refused: each id has one spelling, else a change of case would still decode.
  *candidates(publicId: string): Iterable<Candidate> {
    if (!SEAL.test(publicId)) return;
    const seal = Buffer.from(publicId.slice(0, SEAL_CHARS), 'hex');
    const serverId = publicId.slice(SEAL_CHARS);
    for (const keys of this.#keys) {
      const block = openSeal(keys, seal, serverId);
      if (block !== undefined) yield { packed: block.subarray(1, 1 + (block[0] ?? 0)), serverId };
    }
  }
}

function openSeal(keys: Subkeys, seal: Buffer, serverId: string): Buffer | undefined {
  const tag = seal.subarray(0, TAG_BYTES);
  const decipher = createDecipheriv(CIPHER, keys.cipher, initialVector(tag));
  const block = decipher.update(seal.subarray(TAG_BYTES));
  return timingSafeEqual(tag, sealTag(keys, block, serverId)) ? block : undefined;
}

/** The MAC over block and server id; the block's fixed length keeps the two apart. */
function sealTag(keys: Subkeys, block: Buffer, serverId: string): Buffer {
  return createHmac('sha256', keys.mac).update(block).update(serverId, 'utf8').digest().subarray(0, TAG_BYTES);
}

function initialVector(tag: Buffer): Buffer {
  const iv = Buffer.alloc(IV_BYTES);
  iv.set(tag);
  return iv;
}

function subkey(key: Buffer, purpose: string): Buffer {
  return Buffer.from(hkdfSync('sha256', key, '', `penstock session id ${purpose}`, SUBKEY_BYTES));
}
