import type { Service } from '../router/service.js';
import type { Vserver } from '../router/vserver.js';
import { type Authority, authorityOf, pathOf } from '../rtsp/headers/url.js';
import type { RtspMessage, RtspRequest, RtspResponse } from '../rtsp/message.js';
import type { RtspProxy } from './proxy.js';

/** Redirections of one request that are followed; then the client gets the last one. */
const MAX_FOLLOWED = 5;
const NOT_MODIFIED = 304;
const USE_PROXY = 305;

/** A server sends the client to another server of the farm, or to itself. */
export interface Redirection {
  service: Service;
  /** What the client is to ask for there. */
  uri: string;
}

/** What becomes of the redirections that a client's servers answer or ask for (RFC 2326 §11.3, §10.10). */
export class Redirects {
  readonly #proxy: RtspProxy;
  readonly #vserver: Vserver;
  /** The newest one that was followed: the client may describe its URL again, with a password. */
  #followed: { asked: string; service: Service; uri: string } | undefined;

  constructor(proxy: RtspProxy, vserver: Vserver) {
    this.#proxy = proxy;
    this.#vserver = vserver;
  }

  /** The service of the client's vserver that has this address or name; no other may be reached through us. */
  serviceAt(authority: Authority): Service | undefined {
    if (this.#proxy.config.redirects === 'pass') return undefined;
    return this.#vserver.services.find((service) => this.#proxy.names(service, authority));
  }

  /** Where an answer or a REDIRECT leads, as the server wrote it; undefined if it passes as it is. `asked`: the Request-URI. */
  read(message: RtspMessage, asked: string): Redirection | undefined {
    const location = redirects(message) ? message.headers.get('Location') : undefined;
    const authority = location === undefined ? undefined : authorityOf(location);
    const service = authority && this.serviceAt(authority);
    if (location === undefined || service === undefined) return undefined;
    const isProxy = message.kind === 'response' && message.status === USE_PROXY;
    return { service, uri: isProxy ? asked : location };
  }

  /**
   * Whether we ask the named server ourselves. A client goes on with the URLs that it knows: those of an answer to
   * DESCRIBE lead it on, anything else can only be followed to the same path at another server.
   */
  shouldFollow({ method, uri }: RtspRequest, { service, uri: next }: Redirection, followed: number): boolean {
    if (this.#proxy.config.redirects !== 'follow' || followed >= MAX_FOLLOWED) return false;
    return service.unusable() === undefined && (method === 'DESCRIBE' || pathOf(uri) === pathOf(next));
  }

  /** What the client is really asking that service for, as far as a redirection told. */
  found({ method, uri }: RtspRequest, service: Service): string {
    const followed = this.#followed;
    const isThat = method === 'DESCRIBE' && followed?.asked === uri && followed.service === service;
    return isThat ? followed.uri : uri;
  }

  /** A redirection is followed: `uri` as the client would write it. */
  follow(asked: string, service: Service, uri: string): void {
    const first = this.#followed?.uri === asked ? this.#followed.asked : asked;
    this.#followed = { asked: first, service, uri };
  }
}

/** A description that was found under another URL than the client's says so, or relative URLs in it would lead astray (§C.1.1). */
export function nameBase({ method, uri }: RtspRequest, { status, headers }: RtspResponse, asked: string): void {
  const isNamed = headers.has('Content-Base') || headers.has('Content-Location');
  if (method === 'DESCRIBE' && status === 200 && uri !== asked && !isNamed) headers.append('Content-Base', uri);
}

function redirects(message: RtspMessage): boolean {
  if (message.kind === 'request') return message.method === 'REDIRECT';
  return message.status >= 300 && message.status < 400 && message.status !== NOT_MODIFIED;
}
