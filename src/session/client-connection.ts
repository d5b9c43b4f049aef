import type { Socket } from 'node:net';
import { PenstockError } from '../errors.js';
import type { Claim } from '../router/claim.js';
import { routePath } from '../router/route-path.js';
import type { Service } from '../router/service.js';
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
/** Statuses of a TEARDOWN after which the session is still wanted: authentication, wrong state, redirection. */
const TEARDOWN_GOES_ON = new Set([401, 407, 455, 459, 460]);

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
  | { kind: 'interleaved'; stream: number; channels: number[] };

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
  #path = '';
  #media: MediaSection[] = [];
  /** Frames passed to the client since the last tick. */
  #framesPassed = 0;
  #nextCseq = 1;

  constructor(proxy: RtspProxy, socket: Socket, vserver: Vserver) {
    this.#proxy = proxy;
    this.vserver = vserver;
    this.#connection = new RtspConnection(socket, {
      onMessage: (message) => this.#receive(message),
      onFrame: (channel, frame) => this.#frameFromClient(channel, frame),
      onEnd: () => this.#onEnd(),
      onClose: (error) => this.#onClose(error),
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
      this.#serverRequests.answer(message, (id) => this.#proxy.codec.decode(id)?.serverId);
      return;
    }
    this.#queue.push(message);
    if (this.#queue.length > MAX_PENDING_REQUESTS) this.#connection.pause();
    if (!this.#busy) void this.#work();
  }

  /** Answers one request after the other: the order of the answers is that of the requests. */
  async #work(): Promise<void> {
    this.#busy = true;
    for (let request = this.#queue.shift(); request; request = this.#queue.shift()) {
      if (this.#queue.length < MAX_PENDING_REQUESTS) this.#connection.resume();
      const reply = await this.#answer(request);
      this.#connection.send(reply);
    }
    this.#busy = false;
    this.#finishIfIdle();
  }

  async #answer(request: RtspRequest): Promise<RtspResponse> {
    this.#proxy.counters.requests++;
    try {
      if (request.version !== RTSP_VERSION) {
        throw new PenstockError('PENSTOCK_ERR_VERSION', `${request.version} is not ${RTSP_VERSION}`);
      }
      const serverId = this.#serverIdOf(request);
      const reply = serverId ? await this.#inSession(request, serverId) : await this.#beforeSession(request);
      return reply;
    } catch (error) {
      return this.#refuse(request, error);
    }
  }

  #refuse(request: RtspRequest, error: unknown): RtspResponse {
    const known = error instanceof PenstockError && error.rtspStatus !== undefined;
    const status = known ? (error.rtspStatus as number) : 500;
    const details = { code: known ? error.code : undefined, client: this.remote.ip, method: request.method, status };
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

  async #inSession(request: RtspRequest, target: Target): Promise<RtspResponse> {
    this.#proxy.keeper.touch(target.service, target.serverId as string);
    const reused = this.#isConnected(target.service);
    try {
      return await this.#exchange(request, target);
    } catch (error) {
      // A connection that the server closed while it was idle says nothing about the request: try once more, on a new one.
      if (!reused || !isUnreachable(error)) throw error;
      return await this.#exchange(request, target);
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
        this.#proxy.log.warn({ service: service.name, code: (error as PenstockError).code }, (error as Error).message);
        service.connectFailed();
        this.#proxy.serviceFailed(service, (error as Error).message);
        failed.add(service);
        this.#unbind();
      }
    }
  }

  #choose(request: RtspRequest, exclude: ReadonlySet<Service>): Service {
    const key = this.#key(request);
    const route = this.#proxy.router.route({ vserver: this.vserver, key, connectionService: this.#bound, exclude });
    if (route.claim) {
      this.#claim = route.claim;
      this.#bound = route.service;
      this.#path = key.path;
    }
    return route.service;
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
    const faces = this.#faces(request, service);
    rewriteRequest(request, serverId);
    service.requestSent();
    if (request.method === 'SETUP' && request.headers.has('Transport')) {
      return await this.#setUp(request, upstream, faces, serverId);
    }
    const reply = await this.#ask(upstream, request, faces);
    this.#learn(request, reply, target);
    rewriteReply(reply, faces);
    return reply;
  }

  #ask(upstream: Upstream, request: RtspRequest, faces: Faces): Promise<RtspResponse> {
    return upstream.request(request, this.#proxy.config.replyTimeoutMs, (provisional) => {
      rewriteReply(provisional, faces);
      this.#connection.send(provisional);
    });
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
      rewriteReply(reply, faces);
      return reply;
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
  #learn(request: RtspRequest, reply: RtspResponse, { service, serverId }: Target): void {
    if (request.method === 'DESCRIBE' && reply.status === 200) this.#media = mediaSections(reply.body);
    if (request.method === 'ANNOUNCE' && reply.status === 200) this.#media = mediaSections(request.body);
    if (serverId === undefined) return;
    if (request.method === 'TEARDOWN') this.#tornDown(request, reply, service, serverId);
    else this.#proxy.keeper.answered(service, serverId, request, reply.status);
  }

  #tornDown(request: RtspRequest, reply: RtspResponse, service: Service, serverId: string): void {
    if (TEARDOWN_GOES_ON.has(reply.status) || (reply.status >= 300 && reply.status < 400)) return;
    for (const [slot, session] of this.#sessions) {
      if (session.service !== service || session.serverId !== serverId) continue;
      const stream = session.streams.get(request.uri);
      // RFC 2326 §10.7: the URL of one stream of several ends that stream alone.
      if (stream && session.streams.size > 1 && reply.status < 300) {
        this.closeStream(slot, request.uri);
        return;
      }
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
    if (!upstream || upstream.closed || upstream.waiting) return false;
    const request = makeRequest('TEARDOWN', url, { CSeq: String(this.#nextCseq++), Session: serverId });
    upstream.request(request, this.#proxy.config.replyTimeoutMs).then(
      (reply) => this.#proxy.log.debug({ service: upstream.service.name, status: reply.status }, 'TEARDOWN answered'),
      (error: Error) => this.#proxy.log.debug({ service: upstream.service.name }, `TEARDOWN: ${error.message}`),
    );
    return true;
  }

  #closeChannels(stream: CarriedStream): void {
    if (stream.kind === 'interleaved') for (const channel of stream.channels) this.channels.close(channel);
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
    rewriteServerRequest(request, this.#faces(request, upstream.service));
    this.#serverRequests.ask(upstream, request);
    this.#connection.send(request);
  }

  onFrame(upstream: Upstream, channel: number, frame: Buffer): void {
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
    const lost = this.#endSessions('server-disconnected', (s) => s.interleaved && s.service === upstream.service);
    if (lost > 0 && !this.#closed) this.close();
  }

  // ---- the end

  #onEnd(): void {
    this.#ended = true;
    this.#finishIfIdle();
  }

  #onClose(error: Error | undefined): void {
    this.#closed = true;
    this.#ended = true;
    if (error instanceof PenstockError) {
      this.#proxy.counters.badInput++;
      this.#proxy.log.info({ client: this.remote.ip, code: error.code }, error.message);
    }
    this.#finishIfIdle();
  }

  /** A TEARDOWN and a FIN often come together: what was asked is done first. */
  #finishIfIdle(): void {
    if (!this.#ended || this.#busy || this.#finished) return;
    this.#finished = true;
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
    const ending = [...this.#sessions].filter(([, session]) => which(session));
    for (const [slot] of ending) this.#proxy.keeper.end(slot, reason);
    return ending.length;
  }

  #key(request: RtspRequest): { clientIp: string; path: string } {
    return { clientIp: this.remote.ip, path: routePath(request.uri) };
  }

  #faces(request: RtspRequest, service: Service): Faces {
    const url = request.uri === '*' ? undefined : parseRtspUrl(request.uri);
    return {
      isServer: (authority) => this.#proxy.names(service, authority),
      appliance: url ? authorityText(url) : formatAuthority(this.local.ip, this.local.port),
      serverIp: service.ip,
      applianceIp: this.#proxy.clientMediaAddress(this.local.ip).advertised,
      encodeId: (serverId) => this.#proxy.codec.encode(service, serverId),
    };
  }
}

/** As the client wrote it: without a port where it wrote none. */
function authorityText({ host, port }: { host: string; port?: number }): string {
  if (port !== undefined) return formatAuthority(host, port);
  return host.includes(':') ? `[${host}]` : host;
}

function isUnreachable(error: unknown): boolean {
  return error instanceof PenstockError && error.code === 'PENSTOCK_ERR_SERVICE_UNREACHABLE';
}
