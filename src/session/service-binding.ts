import { Claim } from '../router/claim.js';
import { routePath } from '../router/route-path.js';
import type { Router } from '../router/router.js';
import type { Service } from '../router/service.js';
import type { ServiceStateName } from '../router/service-cells.js';
import type { Vserver } from '../router/vserver.js';

const NO_NEW_SESSIONS: ReadonlySet<string> = new Set(['down', 'draining', 'disabled'] satisfies ServiceStateName[]);

/** Which service the requests of one client connection go to that name no session, and the claim by which it has it. */
export class ServiceBinding {
  readonly #router: Router;
  readonly #vserver: Vserver;
  readonly #clientIp: string;
  #service: Service | undefined;
  #claim: Claim | undefined;
  /** Of the newest request without a session that names one. */
  #path = '';
  #asked = { uri: '', path: '' };
  /** The client's own name, after a redirection, of what the service knows by another one: it leads nobody here. */
  #strange: string | undefined;

  constructor(router: Router, vserver: Vserver, clientIp: string) {
    this.#router = router;
    this.#vserver = vserver;
    this.#clientIp = clientIp;
  }

  get service(): Service | undefined {
    return this.#service;
  }

  /** Throws PENSTOCK_ERR_NO_SERVICE. `exclude`: those that failed for this request. */
  choose(uri: string, exclude: ReadonlySet<Service>): Service {
    const key = { clientIp: this.#clientIp, path: this.#pathOf(uri) };
    if (key.path !== '' && key.path !== this.#strange) this.#path = key.path;
    const { service, claim } = this.#router.route({
      vserver: this.#vserver,
      key,
      connectionService: this.#service,
      exclude,
    });
    if (claim) {
      this.#claim = claim;
      this.#service = service;
    }
    return service;
  }

  /**
   * Whether a connection that has no session should look for another service: this one takes no more
   * sessions, or it was chosen for `OPTIONS *`, which has no path that could be hashed.
   */
  shouldLeave(uri: string): boolean {
    if (this.#service === undefined) return false;
    if (NO_NEW_SESSIONS.has(this.#service.state)) return true;
    return this.#vserver.method === 'url-hash' && this.#path === '' && this.#pathOf(uri) !== '';
  }

  /** A redirection is followed: the connection belongs to that service from now on. */
  move(from: string, to: string, service: Service): void {
    this.leave();
    this.#path = routePath(to);
    this.#strange = routePath(from);
    this.#service = service;
    this.#claim = new Claim(service);
  }

  /** A server sent the client to that service: where it asks for that URL without a session, here or on a new connection. */
  expect(uri: string, service: Service): void {
    this.#router.redirected(this.#vserver, { clientIp: this.#clientIp, path: routePath(uri) }, service);
    this.leave();
  }

  /** A session came about: the connection stays with its service if it has none yet. */
  stay(service: Service): void {
    this.#service ??= service;
  }

  /** The claim on that service, if it is held by one: its session takes its place. */
  claimFor(service: Service): Claim | undefined {
    return this.#claim?.service === service ? this.#claim : undefined;
  }

  /** A client asks for the same URL several times. */
  #pathOf(uri: string): string {
    if (uri !== this.#asked.uri) this.#asked = { uri, path: routePath(uri) };
    return this.#asked.path;
  }

  leave(): void {
    this.#claim?.release();
    this.#claim = undefined;
    this.#service = undefined;
    this.#strange = undefined;
  }

  /** The connection is gone. One that never had a session is expected back: see RecentAffinity. */
  close(): void {
    if (this.#claim) {
      this.#router.connectionClosed(this.#vserver, { clientIp: this.#clientIp, path: this.#path }, this.#claim);
    }
    this.#claim = undefined;
  }
}
