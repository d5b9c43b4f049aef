/**
 * The resolved configuration. Plain data: it travels as JSON from the primary to the workers and
 * the engine. Every duration carries its unit in its name; every address is canonical text without
 * brackets; nothing here is optional but what really may be absent.
 */

export const METHODS = ['round-robin', 'least-sessions', 'url-hash', 'source-hash', 'random-two'] as const;
export const PORT_POLICIES = ['preserve', 'pool'] as const;
export const LATCHINGS = ['off', 'same-ip', 'any'] as const;
export const SESSION_ID_MODES = ['sealed', 'prefix', 'suffix'] as const;
export const PACKET_PATHS = ['auto', 'offload', 'gso', 'mmsg'] as const;
export const REDIRECTS = ['rewrite', 'follow', 'pass'] as const;
export const OVERFLOWS = ['drop-frames', 'close'] as const;
export const MEDIA_SIDES = ['client', 'server'] as const;
export const BRIDGINGS = ['auto', 'off'] as const;
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export const CLIENT_CERTIFICATES = ['none', 'optional', 'required'] as const;
export const PROXY_HEADERS = ['none', 'v1', 'v2'] as const;
export const MONITOR_KINDS = ['tcp', 'options', 'describe', 'none'] as const;

export type Method = (typeof METHODS)[number];
export type PortPolicy = (typeof PORT_POLICIES)[number];
export type Latching = (typeof LATCHINGS)[number];
export type SessionIdMode = (typeof SESSION_ID_MODES)[number];
export type PacketPath = (typeof PACKET_PATHS)[number];
export type RedirectMode = (typeof REDIRECTS)[number];
export type Overflow = (typeof OVERFLOWS)[number];
export type MediaSide = (typeof MEDIA_SIDES)[number];
export type Bridging = (typeof BRIDGINGS)[number];
export type LogLevel = (typeof LOG_LEVELS)[number];
export type ClientCertificates = (typeof CLIENT_CERTIFICATES)[number];
export type ProxyHeaderVersion = (typeof PROXY_HEADERS)[number];
export type MonitorKind = (typeof MONITOR_KINDS)[number];

/** `batchDelayUs` when the engine decides by itself. */
export const BATCH_DELAY_AUTO = -1;

/** An IP address of this machine and a port; port 0 lets the kernel choose. */
export interface ListenAddress {
  address: string;
  port: number;
}

/** Where RTSP is spoken, and whether inside TLS. */
export interface RtspListen extends ListenAddress {
  tls: boolean;
}

/** Files in PEM form; `key` may be the file of the certificate. */
export interface CertificateFiles {
  certificate: string;
  key: string;
}

/** What a vserver shows to clients that come by TLS, and what it asks of them. */
export interface TlsConfig {
  /** The first is shown to clients that name no host, or one that no certificate is for. */
  certificates: CertificateFiles[];
  clientCertificates: ClientCertificates;
  /** Authorities of client certificates: a file in PEM form. */
  clientCa?: string;
}

/** How a service is spoken to inside TLS. */
export interface ServiceTls {
  /** Whether its certificate must be valid for its name. */
  verify: boolean;
  /** Authorities in PEM form; absent: those that Node.js knows. */
  ca?: string;
  /** Name that is asked for and verified; absent: the configured host. */
  serverName?: string;
}

/**
 * An address of this machine for media of one side, and what peers are told instead of it (1:1 NAT). Of the servers' side
 * there is at most one per family: servers are connected to from there.
 */
export interface MediaAddress {
  side: MediaSide;
  address: string;
  advertised?: string;
}

export interface PortRange {
  min: number;
  max: number;
}

export interface MonitorConfig {
  /** `none`: the service is taken as up; only failing connects and SETUPs count. */
  kind: MonitorKind;
  intervalMs: number;
  timeoutMs: number;
  /** Successes in a row that bring a service up. */
  rise: number;
  /** Failures in a row that take it down. */
  fall: number;
  /** Share of the interval, 0…1, by which each check is moved at random. */
  jitter: number;
  /** Path (and query) of the URL that `options` and `describe` ask for. */
  path: string;
  /** RTSP statuses that count as success for `describe`. */
  expect: number[];
}

/** One RTSP server as written in the configuration; `host` may be a name. */
export interface ServiceSpec {
  name: string;
  host: string;
  port: number;
  weight: number;
  /** Sessions at a time over the whole appliance; 0 = no limit. */
  maxSessions: number;
  /** Addresses from which it sends media, beside its own; canonical text. */
  mediaSources: string[];
  /** Absent: RTSP without TLS. */
  tls?: ServiceTls;
  /** Whether it is told who the client of a connection is. */
  proxyProtocol: ProxyHeaderVersion;
  monitor: MonitorConfig;
}

/** The same with the address that the primary resolved at start: canonical IP text. */
export interface ServiceConfig extends ServiceSpec {
  ip: string;
}

/** Beyond a limit a request is refused, or a connection closed. */
export interface LimitsConfig {
  /** Bytes of a line, header lines, bytes of a head, of a body, of a Request-URI. */
  line: number;
  headers: number;
  head: number;
  body: number;
  uri: number;
  /** Requests of one connection that wait. */
  pendingRequests: number;
  /** From the first byte of a message to its last. */
  messageMs: number;
  /** From a connection to its first request. */
  firstRequestMs: number;
  /** Without a request, and without a session ever. */
  idleMs: number;
  /** Bytes of our messages that wait for a peer. */
  messageBacklog: number;
  /** Over all workers. */
  connections: number;
  clientConnections: number;
  clientSessions: number;
  /** In the life of a session. */
  sessionSetups: number;
  /** Per second, client address and worker; 0 = no limit. */
  clientRequests: number;
  /** Bits per second of one stream and direction; 0 = no limit. */
  streamRate: number;
}

export interface VserverOf<Service> {
  name: string;
  listen: RtspListen[];
  /** Present where a listen address asks for it. */
  tls?: TlsConfig;
  method: Method;
  services: Service[];
}

export interface ConfigOf<Service> {
  vservers: VserverOf<Service>[];
  /** Networks whose connections begin with a PROXY header: `ADDRESS/BITS`. */
  proxyProtocolFrom: string[];
  /** Where there is none of a side and family: the address on which the peer is reached. */
  mediaAddresses: MediaAddress[];
  /** Inclusive; starts even, ends odd. */
  mediaPorts: PortRange;
  portPolicy: PortPolicy;
  latching: Latching;
  sessionId: SessionIdMode;
  sessionKeyFile?: string;
  /** A session ends when control and media have been silent this long. */
  idleTimeoutMs: number;
  /** A session ends when its client has been silent this long, whatever the server sends. */
  clientTimeoutMs: number;
  /** Connecting to a service. */
  connectTimeoutMs: number;
  /** Waiting for the reply of a service. */
  replyTimeoutMs: number;
  /** How long sessions may go on after SIGTERM. */
  drainTimeoutMs: number;
  /** How long a freed port pair must be silent. */
  quarantineMs: number;
  teardownOnDisconnect: boolean;
  redirects: RedirectMode;
  packetPath: PacketPath;
  /** Microseconds, or BATCH_DELAY_AUTO. */
  batchDelayUs: number;
  workers: number;
  engineThreads: number;
  /** Pin each engine thread to a core of its own. */
  pinThreads: boolean;
  /** Rows of the session table per worker. */
  maxSessions: number;
  /** Rows of the stream table per worker. */
  maxStreams: number;
  limits: LimitsConfig;
  /** Bytes asked for each media socket. */
  receiveBuffer: number;
  /** Bytes of interleaved media that may wait for a reader that is too slow. */
  interleavedBacklog: number;
  /** What happens beyond. */
  interleavedOverflow: Overflow;
  /** Whether UDP is converted to interleaved TCP, and back, where a server speaks only one of them. */
  bridge: Bridging;
  /** TCP address of the admin API, beside the unix socket STATE_DIR/admin.sock. */
  admin?: ListenAddress;
  stateDir: string;
  logLevel: LogLevel;
}

export type VserverSpec = VserverOf<ServiceSpec>;
export type VserverConfig = VserverOf<ServiceConfig>;
/** What `loadConfig` gives: complete but for the addresses of services named by host. */
export type ConfigSpec = ConfigOf<ServiceSpec>;
/** What every process works with. */
export type Config = ConfigOf<ServiceConfig>;
