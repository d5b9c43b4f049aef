import type { LimitsConfig } from '../config/types.js';
import { PenstockError } from '../errors.js';
import type { Claim } from '../router/claim.js';
import type { Service } from '../router/service.js';
import type { Vserver } from '../router/vserver.js';
import { RtspConnection } from '../rtsp/connection.js';
import type { RtspMessage, RtspRequest, RtspResponse } from '../rtsp/message.js';
import { isSuccess, makeResponse } from '../rtsp/status.js';
import type { Transport } from '../rtsp/transport.js';
import { type CarriedStream, usesChannelsOf } from './carried-sessions.js';
import type { ChannelMap } from './channel-map.js';
import { ClientFaces } from './client-faces.js';
import { ClientIds } from './client-ids.js';
import { ClientSessions, type InheritedStream } from './client-sessions.js';
import { Exchanges } from './exchanges.js';
import { FrameRelay } from './frame-relay.js';
import { Inheritance, type InheritedUpstream } from './inheritance.js';
import { OwnTeardowns } from './own-teardowns.js';
import { Presentation } from './presentation.js';
import type { RtspProxy } from './proxy.js';
import { nameBase, type Redirection, Redirects } from './redirects.js';
import {
  rewriteClientAnswer,
  rewriteReply,
  rewriteRequest,
  rewriteServerRequest,
  sessionIdOf,
  toRedirected,
} from './rewriter.js';
import { ServerRequests } from './server-requests.js';
import { ServiceBinding } from './service-binding.js';
import type { SessionCarrier } from './session-keeper.js';
import type { StreamWires } from './stream-row-writer.js';
import { isUnreachable, Upstream, type UpstreamHandler } from './upstream.js';
import { Upstreams } from './upstreams.js';
import type { WireTransport } from './wire-transport.js';
import type { Wiring } from './wiring.js';

const RTSP_VERSION = 'RTSP/1.0';
/** RFC 2326 §12.31; a bucket of requests fills within a second. */
const RETRY_SOON = { 'Retry-After': '1' };

/** What a request asks for, once its Session id is understood. */
interface Target {
  service: Service;
  /** The server's own id; undefined before there is a session. */
  serverId: string | undefined;
}

/**
 * One client connection: requests answered in order, one upstream per service that the client
 * talks to, interleaved frames both ways. Sessions may outlive it.
 */
export class ClientConnection implements UpstreamHandler, SessionCarrier {
  readonly vserver: Vserver;
  /** The proxy whose connection this is, as far as TCP knows. */
  readonly forwardedBy: string | undefined;
  readonly limits: LimitsConfig;
  readonly #proxy: RtspProxy;
  readonly #connection: RtspConnection;
  readonly #queue: RtspRequest[] = [];
  readonly #upstreams: Upstreams;
  readonly #sessions: ClientSessions;
  readonly #wiring: Wiring;
  readonly #binding: ServiceBinding;
  readonly #frames: FrameRelay;
  readonly #faces: ClientFaces;
  readonly #ids: ClientIds;
  readonly #redirects: Redirects;
  readonly #exchanges: Exchanges;
  readonly #serverRequests = new ServerRequests();
  readonly #teardowns: OwnTeardowns;
  #busy = false;
  #ended = false;
  #closed = false;
  #finished = false;
  /** What made the client's bytes unreadable. */
  #fault: Error | undefined;
  #lastRequestMs: number;
  #sawRequest = false;
  #sawSession = false;
  /** Of the newest DESCRIBE or ANNOUNCE. */
  #presentation = Presentation.NONE;

  constructor(proxy: RtspProxy, transport: Transport, vserver: Vserver) {
    this.#proxy = proxy;
    this.vserver = vserver;
    this.forwardedBy = transport.proxied?.by.ip;
    this.limits = proxy.config.limits;
    this.#lastRequestMs = proxy.now();
    const events = {
      onMessage: (message: RtspMessage) => this.#receive(message),
      onFrame: (channel: number, frame: Buffer) => this.#frames.toServer(channel, frame),
      onEnd: () => this.#onEnd(),
      onFault: (error: Error) => this.#onFault(error),
      onClose: () => this.#onClose(),
    };
    this.#connection = new RtspConnection(transport, events, this.limits);
    this.#sessions = new ClientSessions(proxy.keeper, this);
    const ends = { source: transport.remote, destination: transport.proxied?.destination ?? transport.local };
    const dial = (service: Service) => proxy.dialer.dial(service, ends);
    this.#upstreams = new Upstreams(this, dial, (upstream) => this.#wiring.follow(upstream));
    this.#wiring = proxy.wiring(this.#connection, vserver, this.#upstreams, this.#sessions.carried);
    this.#redirects = new Redirects(proxy, vserver);
    this.#ids = new ClientIds(proxy.codec);
    this.#faces = new ClientFaces(
      proxy,
      { local: transport.local, remote: transport.remote },
      this.#redirects,
      this.#ids,
    );
    this.#frames = new FrameRelay(proxy, this.#connection, this.channels);
    const parts = { connection: this.#connection, faces: this.#faces, wiring: this.#wiring };
    this.#exchanges = new Exchanges({ proxy, client: this, ...parts });
    this.#teardowns = new OwnTeardowns(proxy);
    this.#binding = new ServiceBinding(proxy.router, vserver, this.remote.ip);
  }

  /** Leaves the connection to the engine, and so to a successor of this process. False: not now, a request is being answered. */
  handOver(): boolean {
    if (!this.#busy) this.#wiring.move(false);
    return !this.#busy;
  }

  get remote() {
    return this.#connection.remote;
  }

  get local() {
    return this.#connection.local;
  }

  get channels(): ChannelMap {
    return this.#sessions.channels;
  }

  /** Once a second or so: deadlines, the move of what is quiet, and the activity of interleaved media. */
  tick(nowMs: number): void {
    this.#connection.checkDeadline(nowMs);
    this.#upstreams.checkDeadlines(nowMs);
    this.#checkIdle(nowMs);
    if (!this.#busy && this.#sessions.carried.size > 0) this.#wiring.move(false);
    const wireActive = this.#wiring.takeActivity();
    if (this.#frames.takePassed() === 0 && !wireActive) return;
    // Frames that the client's kernel took from us are a sign of life of the client too.
    for (const slot of this.#sessions.carried.slots(({ interleaved }) => interleaved))
      this.#proxy.table.touchClient(slot);
  }

  #checkIdle(nowMs: number): void {
    const { firstRequestMs, idleMs } = this.limits;
    if (this.#busy || this.#sawSession || this.#ended) return;
    if (nowMs - this.#lastRequestMs <= (this.#sawRequest ? idleMs : firstRequestMs)) return;
    this.#proxy.counters.connectionsIdle++;
    this.close();
  }

  /** Ends the connection as soon as nothing is being answered. */
  close(): void {
    this.#ended = true;
    this.#finishIfIdle();
  }

  // ---- requests

  #receive(message: RtspMessage): void {
    if (message.kind === 'response') {
      this.#passAnswer(message);
      return;
    }
    if (this.#ended) return;
    this.#queue.push(message);
    if (this.#queue.length > this.limits.pendingRequests) this.#holdBack();
    if (!this.#busy) this.#work().catch((error: Error) => this.#broken(error));
  }

  /** What follows stays in the client's socket until all that waits is answered. */
  #holdBack(): void {
    if (!this.#connection.transport.paused) this.#proxy.counters.connectionsHeldBack++;
    this.#connection.pause();
  }

  /** The client's answer to a request of a server. */
  #passAnswer(response: RtspResponse): void {
    const upstream = this.#serverRequests.take(response);
    if (!upstream) {
      this.#connection.done();
      return;
    }
    // As good a sign of life as a request: some servers ask so that they need not wait for their own timeout.
    for (const slot of this.#slotsAt(upstream.service)) this.#proxy.table.touchClient(slot);
    rewriteClientAnswer(response, (id) => this.#serverIdAt(upstream.service, id));
    upstream.connection.send(response, this.#connection);
  }

  /** A fault of ours. It must cost this connection, not the worker. */
  #broken(error: Error): void {
    this.#proxy.log.error({ err: error, client: this.remote.ip }, 'a connection broke');
    this.#busy = false;
    this.#connection.destroy(error);
    this.#exchanges.gate.open();
  }

  /** Answers one request after the other: the order of the answers is that of the requests. */
  async #work(): Promise<void> {
    this.#busy = true;
    for (let request = this.#queue.shift(); request; request = this.#queue.shift()) {
      const reply = await this.#answer(request);
      this.#connection.send(reply, this.#connection);
      this.#exchanges.finish();
      if (this.#sessions.carried.interleaved) this.#wiring.move(this.#queue.length > 0);
    }
    this.#busy = false;
    this.#connection.resume();
    this.#finishIfIdle();
  }

  async #answer(request: RtspRequest): Promise<RtspResponse> {
    this.#proxy.counters.requests++;
    this.#lastRequestMs = this.#proxy.now();
    this.#sawRequest = true;
    try {
      this.#proxy.admission.request(this.remote.ip);
      if (request.version !== RTSP_VERSION && request.version.toUpperCase() !== RTSP_VERSION) {
        throw new PenstockError('PENSTOCK_ERR_VERSION', `${request.version} is not ${RTSP_VERSION}`);
      }
      const serverId = this.#serverIdOf(request);
      return serverId ? await this.#inSession(request, serverId) : await this.#beforeSession(request);
    } catch (error) {
      return this.#refuse(request, error);
    }
  }

  /** `request`: undefined where the client's bytes never became one. */
  #refuse(request: RtspRequest | undefined, error: unknown): RtspResponse {
    const known = error instanceof PenstockError && error.rtspStatus !== undefined;
    const status = known ? (error.rtspStatus as number) : 500;
    const details = { code: known ? error.code : undefined, client: this.remote.ip, method: request?.method, status };
    const level = known ? (status === 454 || status < 450 ? 'info' : 'warn') : 'error';
    this.#proxy.log[level]({ ...details, err: known ? undefined : error }, (error as Error).message);
    this.#proxy.counters.refused++;
    return makeResponse(request, status, details.code === 'PENSTOCK_ERR_TOO_MANY_REQUESTS' ? RETRY_SOON : {});
  }

  /** The address and server id inside the public id. Throws PENSTOCK_ERR_SESSION_NOT_FOUND. */
  #serverIdOf(request: RtspRequest): Target | undefined {
    const publicId = sessionIdOf(request);
    if (publicId === undefined) return undefined;
    const decoded = this.#ids.decode(publicId);
    if (!decoded) throw new PenstockError('PENSTOCK_ERR_SESSION_NOT_FOUND', 'the Session id leads to no service');
    const service = this.#proxy.router.memberAt(decoded.address, this.vserver);
    return { service, serverId: decoded.serverId };
  }

  /** The server's own id inside a public one, if it is one of that service. */
  #serverIdAt(service: Service, publicId: string): string | undefined {
    const decoded = this.#ids.decode(publicId);
    const isHere = decoded?.address.ip === service.ip && decoded.address.port === service.port;
    return isHere ? decoded.serverId : undefined;
  }

  async #inSession(request: RtspRequest, target: Target): Promise<RtspResponse> {
    this.#sawSession = true;
    this.#proxy.keeper.touch(target.service, target.serverId as string);
    const reused = this.#upstreams.connected(target.service);
    try {
      return await this.#exchange(request, target);
    } catch (error) {
      if (!isUnreachable(error)) throw error;
      if (!reused) {
        this.#proxy.unreachable(target.service, error);
        throw error;
      }
      // A connection that the server closed while it was idle says nothing about the request: once more, on a new one.
      return await this.#inSession(request, target);
    }
  }

  /** Without a Session the request may go to any usable service: those that fail before their first byte are skipped. */
  async #beforeSession(request: RtspRequest): Promise<RtspResponse> {
    const failed = new Set<Service>();
    for (;;) {
      const service = this.#choose(request, failed);
      const reused = this.#upstreams.connected(service);
      try {
        return await this.#askFor(request, service);
      } catch (error) {
        if (!isUnreachable(error)) throw error;
        if (reused) continue;
        this.#proxy.unreachable(service, error);
        failed.add(service);
        this.#binding.leave();
      }
    }
  }

  #choose(request: RtspRequest, exclude: ReadonlySet<Service>): Service {
    const bound = this.#binding.service;
    if (bound && this.#sessions.carried.size === 0 && this.#binding.shouldLeave(request.uri)) {
      this.#binding.leave();
      this.#upstreams.connected(bound)?.closeWhenIdle();
    }
    return this.#binding.choose(request.uri, exclude);
  }

  /** One request to one service and its answer, both rewritten. `followed`: redirections that led here. */
  async #exchange(request: RtspRequest, target: Target, followed = 0): Promise<RtspResponse> {
    const { service, serverId } = target;
    const upstream = this.#upstreams.connected(service) ?? (await this.#upstreams.connect(service));
    this.#faces.hear(request.uri);
    const faces = this.#faces.of(service);
    rewriteRequest(request, serverId);
    service.requestSent();
    const reply =
      request.method === 'SETUP'
        ? await this.#exchanges.setUp(upstream, request, serverId, this.#presentation)
        : await this.#exchanges.ask(upstream, request);
    const redirection = this.#redirects.read(reply, request.uri);
    if (redirection && serverId === undefined && this.#redirects.shouldFollow(request, redirection, followed)) {
      const found = await this.#follow(request, redirection, followed + 1);
      if (found) return found;
    }
    rewriteReply(reply, faces);
    if (redirection) this.#binding.expect(redirection.uri, redirection.service);
    this.#learn(request, reply, target);
    return reply;
  }

  /** An exchange without a session, for what the client's URL was found to mean. */
  async #askFor(request: RtspRequest, service: Service): Promise<RtspResponse> {
    const asked = request.uri;
    request.uri = this.#redirects.found(request, service);
    try {
      const reply = await this.#exchange(request, { service, serverId: undefined });
      nameBase(request, reply, asked);
      return reply;
    } catch (error) {
      request.uri = asked;
      throw error;
    }
  }

  /** Asks the server that a redirection names; undefined if it cannot be reached: the client has to know then. */
  async #follow(request: RtspRequest, redirection: Redirection, followed: number): Promise<RtspResponse | undefined> {
    const { service } = redirection;
    const asked = request.uri;
    // What the former server sent behind its answer waits for no answer of its own.
    this.#exchanges.settle();
    this.#leaveFor(service, asked, redirection.uri);
    if (request.method === 'DESCRIBE') {
      request.uri = toRedirected(redirection.uri, this.#faces.of(service));
      this.#redirects.follow(asked, service, request.uri);
    }
    try {
      return await this.#exchange(request, { service, serverId: undefined }, followed);
    } catch (error) {
      if (!isUnreachable(error)) throw error;
      this.#proxy.unreachable(service, error);
      this.#binding.leave();
      request.uri = asked;
      return undefined;
    }
  }

  #leaveFor(service: Service, from: string, to: string): void {
    const former = this.#binding.service;
    this.#binding.move(from, to, service);
    const isNeeded = former === service || this.#sessions.carried.size > 0;
    if (former && !isNeeded) this.#upstreams.connected(former)?.closeWhenIdle();
  }

  /** What an answer, as the client gets it, tells about media and session. */
  #learn(request: RtspRequest, reply: RtspResponse, target: Target): void {
    const { service, serverId } = target;
    if (isSuccess(reply)) this.#presentation = Presentation.after(request, reply) ?? this.#presentation;
    if (serverId !== undefined) this.#sessions.answered(request, reply, service, serverId);
  }

  // ---- sessions on this connection

  /** A SETUP succeeded: records the stream under its session. */
  carry(slot: number, service: Service, serverId: string, stream: CarriedStream): void {
    this.#sessions.carried.addStream(slot, service, serverId, stream);
    this.#sawSession = true;
    this.#binding.stay(service);
  }

  #slotsAt(service: Service | undefined): number[] {
    return this.#sessions.carried.slots((session) => session.service === service);
  }

  /** The claim by which this connection holds the service, if it does: its session takes its place. */
  claimFor(service: Service): Claim | undefined {
    return this.#binding.claimFor(service);
  }

  closeStream(slot: number, uri: string): void {
    this.#sessions.closeStream(slot, uri);
  }

  wiresOf(upstream: Upstream): StreamWires | undefined {
    return this.#wiring.wiresOf(upstream);
  }

  /** The engine thread of a stream whose media passes between sockets and these connections; undefined where none can. */
  bridgeThread(upstream: Upstream): number | undefined {
    return this.#wiring.canMove(upstream) ? this.#wiring.thread : undefined;
  }

  forget(slot: number): void {
    this.#sessions.carried.delete(slot);
  }

  teardown(slot: number, url: string, serverId: string): boolean {
    const session = this.#sessions.carried.get(slot);
    const upstream = session && this.#upstreams.connected(session.service);
    if (!upstream) return false;
    const streams = [...session.streams.values()].flatMap((stream) => stream.url ?? []);
    this.sendTeardown(upstream, url, serverId, streams);
    return true;
  }

  sendTeardown(upstream: Upstream, url: string, serverId: string, streams: readonly string[] = []): void {
    this.#teardowns.send(upstream, url, serverId, streams);
  }

  /** Goes on where a predecessor stopped. All wires are paused until the engine has said where they stand. */
  inherit(client: WireTransport, upstreams: readonly InheritedUpstream[], streams: readonly InheritedStream[]): void {
    for (const { transport, service } of upstreams) {
      const upstream = Upstream.over(transport, service, this);
      upstream.cseqAhead = transport.wire.row.cseqAhead;
      this.#upstreams.add(upstream);
    }
    this.#faces.inherit(client.wire.view.authority);
    for (const stream of streams) {
      const upstream = this.#upstreams.connected(stream.service);
      const carried = this.#sessions.inherit(stream, upstream, this.#proxy);
      if (carried) this.carry(stream.row.session, stream.service, stream.serverId, carried);
    }
    this.#serverRequests.inherit([...this.#upstreams]);
    this.#exchanges.inherit(new Inheritance(client, [...this.#upstreams]));
  }

  // ---- upstream side

  onServerRequest(upstream: Upstream, request: RtspRequest): void {
    if (this.#exchanges.gate.closed) {
      this.#exchanges.gate.wait(() => this.onServerRequest(upstream, request));
      return;
    }
    for (const slot of this.#slotsAt(upstream.service)) this.#proxy.table.touchServer(slot);
    const redirection = this.#redirects.read(request, request.uri);
    if (redirection) this.#binding.expect(redirection.uri, redirection.service);
    rewriteServerRequest(request, this.#faces.of(upstream.service));
    this.#serverRequests.ask(upstream, request);
    this.#connection.send(request, upstream.connection);
  }

  onFrame(upstream: Upstream, channel: number, frame: Buffer): void {
    if (this.#exchanges.gate.closed) {
      this.#exchanges.gate.wait(() => this.onFrame(upstream, channel, frame));
      return;
    }
    this.#frames.toClient(upstream, channel, frame);
  }

  /** Interleaved media cannot go on without its connection: the client sees what it would see of the server itself. */
  onUpstreamClose(upstream: Upstream): void {
    this.#upstreams.closed(upstream);
    this.channels.closeUpstream(upstream);
    this.#serverRequests.forget(upstream);
    const lost = this.#sessions.end('server-disconnected', (session) => usesChannelsOf(session, upstream));
    if (lost > 0 && !this.#closed) this.close();
  }

  // ---- the end

  #onEnd(): void {
    this.#ended = true;
    this.#finishIfIdle();
  }

  /** What was asked before is answered first. */
  #onFault(error: Error): void {
    this.#proxy.counters.badInput++;
    this.#fault = error;
    this.#ended = true;
    this.#finishIfIdle();
  }

  /** Nobody waits for the answers to what it still asked; only what it wanted to end is ended. */
  #onClose(): void {
    this.#queue.splice(0, this.#queue.length, ...this.#queue.filter(({ method }) => method === 'TEARDOWN'));
    this.#closed = true;
    this.#ended = true;
    this.#finishIfIdle();
  }

  /** A TEARDOWN and a FIN often come together: what was asked is done first. */
  #finishIfIdle(): void {
    if (!this.#ended || this.#busy || this.#finished) return;
    this.#finished = true;
    if (this.#fault) this.#connection.send(this.#refuse(undefined, this.#fault));
    const udpToo = this.#proxy.config.teardownOnDisconnect;
    this.#sessions.end('client-disconnected', (session) => session.interleaved || udpToo);
    this.#wiring.release();
    this.#sessions.detachAll();
    this.#binding.close();
    this.#upstreams.closeWhenIdle();
    this.#connection.end();
    this.#proxy.connectionClosed(this);
  }
}
