import type { Service } from '../router/service.js';
import type { PeerAddress } from '../rtsp/connection.js';
import { type CalledBy, calledBy, formatAuthority } from '../rtsp/headers/url.js';
import type { ClientIds } from './client-ids.js';
import type { RtspProxy } from './proxy.js';
import type { Redirects } from './redirects.js';
import type { Faces } from './rewriter.js';

interface Ends {
  local: PeerAddress;
  remote: PeerAddress;
}

/** What one client calls us by, and what it must see in place of a server's own names. */
export class ClientFaces {
  readonly #proxy: RtspProxy;
  readonly #ends: Ends;
  readonly #redirects: Redirects;
  readonly #ids: ClientIds;
  /** From the newest request that names us. */
  #calledBy: CalledBy | undefined;
  /** That request's URI up to its path. */
  #heard = '';

  constructor(proxy: RtspProxy, ends: Ends, redirects: Redirects, ids: ClientIds) {
    this.#proxy = proxy;
    this.#ends = ends;
    this.#redirects = redirects;
    this.#ids = ids;
  }

  /** What the client calls us, for a successor; empty = it has not said. */
  get name(): string {
    return this.#calledBy ? `${this.#calledBy.scheme}://${this.#calledBy.authority}` : '';
  }

  /** As told to a predecessor. */
  inherit(name: string): void {
    this.hear(name);
  }

  /** A request of the client names us; mostly as the one before did. */
  hear(uri: string): void {
    if (this.#heard !== '' && uri.startsWith(this.#heard)) return;
    this.#calledBy = calledBy(uri) ?? this.#calledBy;
    this.#heard = uri.slice(0, uri.indexOf('/', uri.indexOf('://') + 3) + 1);
  }

  of(service: Service): Faces {
    const proxy = this.#proxy;
    const { local, remote } = this.#ends;
    return {
      isServer: (authority) => proxy.names(service, authority),
      leadsHere: (authority) => this.#redirects.serviceAt(authority) !== undefined,
      appliance: this.#calledBy ?? { scheme: 'rtsp', authority: formatAuthority(local.ip, local.port) },
      serverIp: service.ip,
      // Only a description asks for it.
      get applianceIp() {
        return proxy.mediaPlace('client', { local: local.ip, peer: remote.ip })?.advertised ?? local.ip;
      },
      encodeId: (serverId) => this.#ids.encode(service, serverId),
    };
  }
}
