import type { Socket } from 'node:net';
import { PenstockError } from '../errors.js';
import type { Claim } from '../router/claim.js';
import { routePath } from '../router/route-path.js';
import type { Service } from '../router/service.js';
import type { ServiceStateName } from '../router/service-cells.js';
import type { Vserver } from '../router/vserver.js';
import { RtspConnection } from '../rtsp/connection.js';
import { formatAuthority, parseRtspUrl } from '../rtsp/headers/url.js';
import type { RtspMessage, RtspRequest, RtspResponse } from '../rtsp/message.js';
import { type MediaSection, mediaSections } from '../rtsp/sdp.js';
import { makeRequest, makeResponse } from '../rtsp/status.js';
import { ChannelMap } from './channel-map.js';
import type { RtspProxy } from './proxy.js';
import { type Faces, rewriteReply, rewriteRequest, rewriteServerRequest, sessionIdOf } from './rewriter.js';
import { ServerRequests } from './server-requests.js';
import type { EndReason, SessionCarrier } from './session-keeper.js';
import { Setup } from './setup.js';
import { Upstream, type UpstreamHandler } from './upstream.js';

const RTSP_VERSION = 'RTSP/1.0';
/** Requests a client may have waiting; more are left in its socket until these are answered. */
const MAX_PENDING_REQUESTS = 32;
/** A connection that never had to do with a session ends after this long without a request. */
const IDLE_CONNECTION_MS = 120_000;
/** Statuses of a TEARDOWN after which the session is still wanted: authentication, wrong state, redirection. */
const TEARDOWN_GOES_ON = new Set([401, 407, 455, 459, 460]);

const NO_NEW_SESSIONS: ReadonlySet<string> = new Set(['down', 'draining', 'disabled'] satisfies ServiceStateName[]);

/** A session as one client connection knows it. */
interface CarriedSession {
  service: Service;
  serverId: string;
  interleaved: boolean;
  /** By the Request-URI of its SETUP. */
  streams: Map<string, CarriedStream>;
}

export type CarriedStream =
  | { kind: 'udp' | 'opaque'; stream: number }
  | { kind: 'interleaved'; stream: number; channels: number[]; upstream: Upstream };

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
  readonly channels = new ChannelMap();
  readonly #proxy: RtspProxy;
  readonly #connection: RtspConnection;
  readonly #queue: RtspRequest[] = [];
  readonly #upstreams = new Map<Service, Upstream>();
  readonly #sessions = new Map<number, CarriedSession>();
  readonly #serverRequests = new ServerRequests();
  #busy = false;
  #ended = false;
  #closed = false;
  #finished = false;
  #bound: Service | undefined;
  #claim: Claim | undefined;
  /** Of the newest request without a session that names one. */
  #path = '';
  /** `host:port` by which the client calls us. */
  #authority: string | undefined;
  /** What made the client's bytes unreadable. */
  #fault: Error | undefined;
  /** From the arrival of a server's answer until it is sent: what came behind it. */
  #held: (() => void)[] | undefined;
  #lastRequestMs: number;
  #sawSession = false;
  #media: MediaSection[] = [];
  /** Frames passed to the client since the last tick. */
  #framesPassed = 0;
  #nextCseq = 1;

  constructor(proxy: RtspProxy, socket: Socket, vserver: Vserver) {
    this.#proxy = proxy;
    this.vserver = vserver;
    this.#lastRequestMs = proxy.now();
    this.#connection = new RtspConnection(socket, {
      onMessage: (message) => this.#receive(message),
      onFrame: (channel, frame) => this.#frameFromClient(channel, frame),
      onEnd: () => this.#onEnd(),
      onFault: (error) => this.#onFault(error),
      onClose: () => this.#onClose(),
    });
  }

  get remote() {
    return this.#connection.remote;
  }

  get local() {
    return this.#connection.local;
  }

  get sessionCount(): number {
    return this.#sessions.size;
  }

  /** Once a second or so: deadlines, and the activity of interleaved media, which passes here and not through the engine. */
  tick(nowMs: number): void {
    this.#connection.checkDeadline(nowMs);
    for (const upstream of this.#upstreams.values()) upstream.connection.checkDeadline(nowMs);
    if (!this.#busy && !this.#sawSession && nowMs - this.#lastRequestMs > IDLE_CONNECTION_MS) this.close();
    if (this.#framesPassed === 0) return;
    this.#framesPassed = 0;
    for (const [slot, session] of this.#sessions) {
      // Frames that the client's kernel took from us are a sign of life of the client too.
      if (session.interleaved) this.#proxy.table.touchClient(slot);
    }
  }

  /** Ends the connection as soon as nothing is being answered. */
  close(): void {
    this.#ended = true;
    this.#finishIfIdle();
  }

  // ---- requests

  #receive(message: RtspMessage): void {
    if (message.kind === 'response') {
      this.#serverRequests.answer(message, (id, { service }) => this.#serverIdAt(service, id));
      return;
    }
    if (this.#ended) return;
    this.#queue.push(message);
    if (this.#queue.length > MAX_PENDING_REQUESTS) this.#connection.pause();
    if (!this.#busy) this.#work().catch((error: Error) => this.#broken(error));
  }

  /** A fault of ours. It must cost this connection, not the worker. */
  #broken(error: Error): void {
    this.#proxy.log.error({ err: error, client: this.remote.ip }, 'a connection broke');
    this.#busy = false;
    this.#held = undefined;
    this.#connection.destroy(error);
  }

  /** Answers one request after the other: the order of the answers is that of the requests. */
  async #work(): Promise<void> {
    this.#busy = true;
    for (let request = this.#queue.shift(); request; request = this.#queue.shift()) {
      if (this.#queue.length < MAX_PENDING_REQUESTS) this.#connection.resume();
      const reply = await this.#answer(request);
      this.#connection.send(reply);
      this.#deliverHeld();
    }
    this.#busy = false;
    this.#finishIfIdle();
  }

  async #answer(request: RtspRequest): Promise<RtspResponse> {
    this.#proxy.counters.requests++;
    this.#lastRequestMs = this.#proxy.now();
    try {
      if (request.version.toUpperCase() !== RTSP_VERSION) {
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
    return makeResponse(request, status);
  }

  /** The address and server id inside the public id. Throws PENSTOCK_ERR_SESSION_NOT_FOUND. */
  #serverIdOf(request: RtspRequest): Target | undefined {
    const publicId = sessionIdOf(request);
    if (publicId === undefined) return undefined;
    const decoded = this.#proxy.codec.decode(publicId);
    if (!decoded) throw new PenstockError('PENSTOCK_ERR_SESSION_NOT_FOUND', 'the Session id leads to no service');
    const { service } = this.#proxy.router.route({
      vserver: this.vserver,
      key: this.#key(request),
      session: decoded.address,
    });
    return { service, serverId: decoded.serverId };
  }

  /** The server's own id inside a public one, if it is one of that service. */
  #serverIdAt(service: Service, publicId: string): string | undefined {
    const decoded = this.#proxy.codec.decode(publicId);
    const isHere = decoded?.address.ip === service.ip && decoded.address.port === service.port;
    return isHere ? decoded.serverId : undefined;
  }

  async #inSession(request: RtspRequest, target: Target): Promise<RtspResponse> {
    this.#sawSession = true;
    this.#proxy.keeper.touch(target.service, target.serverId as string);
    const reused = this.#isConnected(target.service);
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
      const reused = this.#isConnected(service);
      try {
        return await this.#exchange(request, { service, serverId: undefined });
      } catch (error) {
        if (!isUnreachable(error)) throw error;
        if (reused) continue;
        this.#proxy.unreachable(service, error);
        failed.add(service);
        this.#unbind();
      }
    }
  }

  #choose(request: RtspRequest, exclude: ReadonlySet<Service>): Service {
    const key = this.#key(request);
    if (this.#bound && this.#shouldLeave(this.#bound, key.path)) this.#leave(this.#bound);
    if (key.path !== '') this.#path = key.path;
    const route = this.#proxy.router.route({ vserver: this.vserver, key, connectionService: this.#bound, exclude });
    if (route.claim) {
      this.#claim = route.claim;
      this.#bound = route.service;
    }
    return route.service;
  }

  /**
   * A connection without a session stays with its service, but for two reasons: the service takes no more
   * sessions, or it was chosen for `OPTIONS *`, which has no path that could be hashed.
   */
  #shouldLeave(service: Service, path: string): boolean {
    if (this.#sessions.size > 0) return false;
    if (NO_NEW_SESSIONS.has(service.state)) return true;
    return this.vserver.method === 'url-hash' && this.#path === '' && path !== '';
  }

  #leave(service: Service): void {
    this.#unbind();
    this.#upstreams.get(service)?.closeWhenIdle();
  }

  #unbind(): void {
    this.#claim?.release();
    this.#claim = undefined;
    this.#bound = undefined;
  }

  /** One request to one service and its answer, both rewritten. */
  async #exchange(request: RtspRequest, target: Target): Promise<RtspResponse> {
    const { service, serverId } = target;
    const upstream = await this.#upstream(service);
    this.#authority = authorityText(request.uri) ?? this.#authority;
    const faces = this.#faces(service);
    rewriteRequest(request, serverId);
    service.requestSent();
    const reply =
      request.method === 'SETUP'
        ? await this.#setUp(request, upstream, faces, serverId)
        : await this.#ask(upstream, request, faces);
    this.#learn(request, reply, target);
    rewriteReply(reply, faces);
    return reply;
  }

  #ask(upstream: Upstream, request: RtspRequest, faces: Faces): Promise<RtspResponse> {
    return upstream.request(request, this.#proxy.config.replyTimeoutMs, {
      onProvisional: (provisional) => {
        rewriteReply(provisional, faces);
        this.#connection.send(provisional);
      },
      onFinal: () => {
        this.#held = [];
      },
    });
  }

  /** What the server sent right behind its answer must not overtake it: our work on the answer takes a few turns. */
  #deliverHeld(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const deliver of held) deliver();
  }

  async #setUp(
    request: RtspRequest,
    upstream: Upstream,
    faces: Faces,
    serverId: string | undefined,
  ): Promise<RtspResponse> {
    const setup = new Setup(this.#proxy, this, upstream, request, serverId);
    let reply: RtspResponse | undefined;
    try {
      setup.prepare();
      reply = await this.#ask(upstream, request, faces);
      setup.complete(reply, this.#media);
      return reply;
    } catch (error) {
      if (reply) setup.undo(reply);
      throw error;
    } finally {
      setup.release();
      if (reply && reply.status >= 500 && serverId === undefined) this.#setupRefused(upstream.service, reply);
    }
  }

  #setupRefused(service: Service, reply: RtspResponse): void {
    service.setupRefused();
    this.#proxy.serviceFailed(service, `SETUP answered ${reply.status} ${reply.reason}`);
  }

  /** What an answer tells about media and session. */
  #learn(request: RtspRequest, reply: RtspResponse, target: Target): void {
    const { service, serverId } = target;
    if (request.method === 'DESCRIBE' && reply.status === 200) this.#media = mediaSections(reply.body);
    if (request.method === 'ANNOUNCE' && reply.status === 200) this.#media = mediaSections(request.body);
    if (serverId === undefined) return;
    if (request.method === 'TEARDOWN') this.#tornDown(request, reply, service, serverId);
    else {
      const isAggregate = () => !this.#namesOneStream(request, service, serverId);
      this.#proxy.keeper.answered(service, serverId, request, reply.status, isAggregate);
    }
  }

  /** RFC 2326 §10.7: the URL of one stream of several means that stream alone. */
  #namesOneStream({ uri }: RtspRequest, service: Service, serverId: string): boolean {
    const streams = this.#sessions.get(this.#slotOf(service, serverId) ?? -1)?.streams;
    return this.#proxy.keeper.namesOneStream(service, serverId, uri, streams);
  }

  #slotOf(service: Service, serverId: string | undefined): number | undefined {
    for (const [slot, session] of this.#sessions) {
      if (session.service === service && session.serverId === serverId) return slot;
    }
    return undefined;
  }

  #tornDown(request: RtspRequest, reply: RtspResponse, service: Service, serverId: string): void {
    if (TEARDOWN_GOES_ON.has(reply.status) || (reply.status >= 300 && reply.status < 400)) return;
    if (reply.status < 300 && this.#namesOneStream(request, service, serverId)) {
      const slot = this.#slotOf(service, serverId);
      if (slot !== undefined) this.closeStream(slot, request.uri);
      return;
    }
    this.#proxy.keeper.ended(service, serverId, 'teardown');
  }

  // ---- sessions on this connection

  /** A SETUP succeeded: records the stream under its session. */
  carry(slot: number, service: Service, serverId: string, uri: string, stream: CarriedStream): void {
    let session = this.#sessions.get(slot);
    if (!session) {
      session = { service, serverId, interleaved: false, streams: new Map() };
      this.#sessions.set(slot, session);
    }
    session.interleaved ||= stream.kind === 'interleaved';
    session.streams.set(uri, stream);
    this.#sawSession = true;
    this.#bound ??= service;
  }

  /** The claim by which this connection holds the service, if it does: its session takes its place. */
  claimFor(service: Service): Claim | undefined {
    return this.#claim?.service === service ? this.#claim : undefined;
  }

  /** Ends one stream of a session of this connection; nothing happens if there is none for that URL. */
  closeStream(slot: number, uri: string): void {
    const session = this.#sessions.get(slot);
    const stream = session?.streams.get(uri);
    if (!session || !stream) return;
    session.streams.delete(uri);
    this.#closeChannels(stream);
    this.#proxy.keeper.closeStream(stream.stream);
  }

  forget(slot: number): void {
    for (const stream of this.#sessions.get(slot)?.streams.values() ?? []) this.#closeChannels(stream);
    this.#sessions.delete(slot);
  }

  teardown(slot: number, url: string, serverId: string): boolean {
    const session = this.#sessions.get(slot);
    const upstream = session && this.#upstreams.get(session.service);
    if (!upstream || upstream.closed) return false;
    this.sendTeardown(upstream, url, serverId);
    return true;
  }

  /** A TEARDOWN of our own, behind whatever the server is being asked. */
  sendTeardown(upstream: Upstream, url: string, serverId: string): void {
    const request = makeRequest('TEARDOWN', url, { CSeq: String(this.#nextCseq++), Session: serverId });
    upstream.request(request, this.#proxy.config.replyTimeoutMs).then(
      (reply) => this.#proxy.log.debug({ service: upstream.service.name, status: reply.status }, 'TEARDOWN answered'),
      (error: unknown) => {
        // The connection went away under it; the server may still hold the session.
        if (isUnreachable(error)) this.#proxy.keeper.sendTeardown(upstream.service, url, serverId);
        else this.#proxy.log.debug({ service: upstream.service.name, err: error }, 'TEARDOWN failed');
      },
    );
  }

  #closeChannels(stream: CarriedStream): void {
    if (stream.kind !== 'interleaved') return;
    for (const channel of stream.channels) this.channels.close(channel, stream.stream);
  }

  // ---- upstream side

  #isConnected(service: Service): boolean {
    return this.#upstreams.get(service)?.closed === false;
  }

  async #upstream(service: Service): Promise<Upstream> {
    const known = this.#upstreams.get(service);
    if (known && !known.closed) return known;
    const upstream = await Upstream.open(service, this, this.#proxy.config.connectTimeoutMs);
    this.#upstreams.set(service, upstream);
    return upstream;
  }

  onServerRequest(upstream: Upstream, request: RtspRequest): void {
    if (this.#held) {
      this.#held.push(() => this.onServerRequest(upstream, request));
      return;
    }
    rewriteServerRequest(request, this.#faces(upstream.service));
    this.#serverRequests.ask(upstream, request);
    this.#connection.send(request);
  }

  onFrame(upstream: Upstream, channel: number, frame: Buffer): void {
    if (this.#held) {
      this.#held.push(() => this.onFrame(upstream, channel, frame));
      return;
    }
    const clientChannel = this.channels.toClient(upstream, channel);
    const route = this.channels.toServer(clientChannel);
    if (!route) {
      this.#proxy.counters.framesUnknownChannel++;
      return;
    }
    if (this.#connection.sendFrame(clientChannel, frame)) {
      this.#framesPassed++;
      this.#proxy.counters.framesToClient++;
      this.#proxy.table.countFrame(route.stream, route.serverLeg, frame.length);
    } else this.#frameDropped(route.stream, route.serverLeg);
  }

  #frameFromClient(channel: number, frame: Buffer): void {
    const route = this.channels.toServer(channel);
    if (!route) {
      this.#proxy.counters.framesUnknownChannel++;
      return;
    }
    if (route.upstream.sendFrame(route.channel, frame)) {
      this.#proxy.counters.framesToServer++;
      this.#proxy.table.countFrame(route.stream, route.clientLeg, frame.length);
    } else this.#frameDropped(route.stream, route.clientLeg);
  }

  #frameDropped(stream: number, leg: number): void {
    this.#proxy.counters.framesDropped++;
    this.#proxy.table.countDroppedFrame(stream, leg);
  }

  /** Interleaved media cannot go on without its connection: the client sees what it would see of the server itself. */
  onUpstreamClose(upstream: Upstream): void {
    if (this.#upstreams.get(upstream.service) === upstream) this.#upstreams.delete(upstream.service);
    this.channels.closeUpstream(upstream);
    this.#serverRequests.forget(upstream);
    const lost = this.#endSessions('server-disconnected', (session) => usesChannelsOf(session, upstream));
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

  #onClose(): void {
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
    this.#endSessions('client-disconnected', (session) => session.interleaved || udpToo);
    for (const slot of this.#sessions.keys()) this.#proxy.keeper.detach(slot, this);
    this.#sessions.clear();
    if (this.#claim) {
      const key = { clientIp: this.remote.ip, path: this.#path };
      this.#proxy.router.connectionClosed(this.vserver, key, this.#claim);
    }
    for (const upstream of this.#upstreams.values()) upstream.closeWhenIdle();
    this.#connection.end();
    this.#proxy.connectionClosed(this);
  }

  #endSessions(reason: EndReason, which: (session: CarriedSession) => boolean): number {
    // A session may have gone on over a newer connection of its client.
    const ending = [...this.#sessions].filter(([slot, s]) => which(s) && this.#proxy.keeper.isCarrier(slot, this));
    for (const [slot] of ending) this.#proxy.keeper.end(slot, reason);
    return ending.length;
  }

  #key(request: RtspRequest): { clientIp: string; path: string } {
    return { clientIp: this.remote.ip, path: routePath(request.uri) };
  }

  #faces(service: Service): Faces {
    return {
      isServer: (authority) => this.#proxy.names(service, authority),
      appliance: this.#authority ?? formatAuthority(this.local.ip, this.local.port),
      serverIp: service.ip,
      applianceIp: this.#proxy.clientMediaAddress(this.local.ip).advertised,
      encodeId: (serverId) => this.#proxy.codec.encode(service, serverId),
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

function usesChannelsOf(session: CarriedSession, upstream: Upstream): boolean {
  return [...session.streams.values()].some((stream) => stream.kind === 'interleaved' && stream.upstream === upstream);
}

function isUnreachable(error: unknown): error is PenstockError {
  return error instanceof PenstockError && error.code === 'PENSTOCK_ERR_SERVICE_UNREACHABLE';
}
