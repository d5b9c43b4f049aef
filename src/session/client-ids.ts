import type { DecodedSession, ServiceAddress, SessionCodec } from './session-codec.js';

interface KnownId extends DecodedSession {
  publicId: string;
}

/**
 * The public ids that one client sees. Nearly all of its messages name one session, so the newest id is kept: to seal
 * it or to open it anew costs more than the rest of a message's rewriting. A client that came with an id
 * under an older key goes on seeing that one.
 */
export class ClientIds {
  readonly #codec: Pick<SessionCodec, 'encode' | 'decode'>;
  #newest: KnownId | undefined;

  constructor(codec: Pick<SessionCodec, 'encode' | 'decode'>) {
    this.#codec = codec;
  }

  encode({ ip, port }: ServiceAddress, serverId: string): string {
    const known = this.#newest;
    if (known?.serverId === serverId && known.address.ip === ip && known.address.port === port) return known.publicId;
    const address = { ip, port };
    const publicId = this.#codec.encode(address, serverId);
    this.#newest = { publicId, address, serverId };
    return publicId;
  }

  /** Undefined for what is no id of this farm. Whether the service is still a member is for the router to say. */
  decode(publicId: string): DecodedSession | undefined {
    if (this.#newest?.publicId === publicId) return this.#newest;
    const decoded = this.#codec.decode(publicId);
    if (decoded) this.#newest = { publicId, ...decoded };
    return decoded;
  }
}
