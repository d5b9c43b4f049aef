import type { Service } from '../router/service.js';
import type { PeerAddress } from '../rtsp/connection.js';
import { formatAuthority, parseRtspUrl } from '../rtsp/headers/url.js';
import type { ClientIds } from './client-ids.js';
import type { RtspProxy } from './proxy.js';
import type { Redirects } from './redirects.js';
import type { Faces } from './rewriter.js';

/** What one client calls us by, and what it must see in place of a server's own names. */
export class ClientFaces {
  readonly #proxy: RtspProxy;
  readonly #local: PeerAddress;
  readonly #redirects: Redirects;
  readonly #ids: ClientIds;
  /** `host:port` of the newest request that names one. */
  #authority: string | undefined;

  constructor(proxy: RtspProxy, local: PeerAddress, redirects: Redirects, ids: ClientIds) {
    this.#proxy = proxy;
    this.#local = local;
    this.#redirects = redirects;
    this.#ids = ids;
  }

  get authority(): string | undefined {
    return this.#authority;
  }

  /** What the client told a predecessor; empty = nothing. */
  inherit(authority: string): void {
    if (authority !== '') this.#authority = authority;
  }

  /** A request of the client names us. */
  hear(uri: string): void {
    this.#authority = authorityText(uri) ?? this.#authority;
  }

  of(service: Service): Faces {
    return {
      isServer: (authority) => this.#proxy.names(service, authority),
      leadsHere: (authority) => this.#redirects.serviceAt(authority) !== undefined,
      appliance: this.#authority ?? formatAuthority(this.#local.ip, this.#local.port),
      serverIp: service.ip,
      applianceIp: this.#proxy.clientMediaAddress(this.#local.ip).advertised,
      encodeId: (serverId) => this.#ids.encode(service, serverId),
    };
  }
}

/** As the client wrote it: without a port where it wrote none. Undefined for `*` and the like. */
function authorityText(uri: string): string | undefined {
  const url = parseRtspUrl(uri);
  if (!url) return undefined;
  const { host, port } = url;
  if (port !== undefined) return formatAuthority(host, port);
  return host.includes(':') ? `[${host}]` : host;
}
