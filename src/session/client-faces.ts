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
  /** Until a request names us. */
  readonly #unnamed: CalledBy;
  /** From the newest request that names us. */
  #calledBy: CalledBy | undefined;
  /** That request's URI up to its path. */
  #heard = '';
  #newest: { service: Service; faces: Faces } | undefined;

  constructor(proxy: RtspProxy, ends: Ends, redirects: Redirects, ids: ClientIds) {
    this.#proxy = proxy;
    this.#ends = ends;
    this.#unnamed = { scheme: 'rtsp', authority: formatAuthority(ends.local.ip, ends.local.port) };
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

  /** Nearly all messages are of one service. */
  of(service: Service): Faces {
    const appliance = this.#calledBy ?? this.#unnamed;
    const newest = this.#newest;
    if (newest?.service === service && newest.faces.appliance === appliance) return newest.faces;
    const faces = this.#make(service, appliance);
    this.#newest = { service, faces };
    return faces;
  }

  #make(service: Service, appliance: CalledBy): Faces {
    const proxy = this.#proxy;
    const { local, remote } = this.#ends;
    return {
      isServer: (authority) => proxy.names(service, authority),
      leadsHere: (authority) => this.#redirects.serviceAt(authority) !== undefined,
      appliance,
      serverIp: service.ip,
      // A reload may change it.
      get applianceIp() {
        return proxy.mediaPlace('client', { local: local.ip, peer: remote.ip })?.advertised ?? local.ip;
      },
      encodeId: (serverId) => this.#ids.encode(service, serverId),
    };
  }
}
