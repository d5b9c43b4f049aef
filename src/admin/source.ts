/** What the admin API shows and changes. The primary implements it; tests have a fake. */
import type { MonitorKind } from '../config/types.js';

export type ServiceState = 'up' | 'down' | 'draining' | 'disabled' | 'unknown';

export interface VserverReport {
  name: string;
  /** `ADDR:PORT` as bound. */
  listen: string[];
  method: string;
  services: number;
  servicesUp: number;
  sessions: number;
  sessionsTotal: number;
}

export interface ServiceReport {
  name: string;
  vserver: string;
  address: string;
  state: ServiceState;
  /** Why it is in this state, e.g. the last failed check; empty if there is nothing to say. */
  reason: string;
  weight: number;
  /** 0 = no limit. */
  maxSessions: number;
  sessions: number;
  sessionsTotal: number;
  requestsTotal: number;
  connectFailures: number;
  refusedSetups: number;
  monitor: MonitorKind;
  /** Seconds in this state. */
  stateSec: number;
}

export interface SessionReport {
  /** Global slot of the session table. */
  slot: number;
  worker: number;
  vserver: string;
  service: string;
  client: string;
  /** The id that the server issued. */
  serverId: string;
  controlUrl: string;
  state: 'ready' | 'playing' | 'recording';
  transport: 'udp' | 'interleaved' | 'none';
  streams: number;
  ageSec: number;
  /** Since the last RTSP message or media of this side; absent = never seen. */
  clientIdleSec?: number;
  serverIdleSec?: number;
  toClient: TrafficReport;
  toServer: TrafficReport;
}

export interface TrafficReport {
  packets: number;
  bytes: number;
}

/** An RTSP listener, or one UDP port of a stream. */
export type ListenerReport = RtspListenerReport | MediaListenerReport;

export interface RtspListenerReport {
  kind: 'rtsp';
  vserver: string;
  address: string;
}

export interface MediaListenerReport {
  kind: 'media';
  /** Global slot of the stream table. */
  stream: number;
  session: number;
  side: 'client' | 'server';
  part: 'rtp' | 'rtcp';
  address: string;
  state: 'unused' | 'waiting' | 'latched' | 'relearning' | 'closed';
  /** Where packets go to, once it is known. */
  remote?: string;
  latches: number;
  rx: TrafficReport;
  tx: TrafficReport;
  refused: number;
  punches: number;
  /** RFC 3550 quality of what arrives here. */
  lost: number;
  jitterMs?: number;
  roundTripMs?: number;
}

export interface ProcessReport {
  name: string;
  pid: number;
  state: 'empty' | 'starting' | 'ready' | 'draining';
  /** How often it was started. */
  starts: number;
  upSec: number;
  /** Open client connections; workers only. */
  connections?: number;
  rssBytes: number;
  cpuSec: number;
}

export interface StatReport {
  name: string;
  unit: string;
  about: string;
  value: number;
}

export type ServiceAction = 'drain' | 'enable' | 'disable';

/** Lists may be given at once or later; nothing here may block the event loop. */
export interface AdminSource {
  /** All listeners are bound, the engine and every worker are ready. */
  ready(): boolean;
  vservers(): Promise<VserverReport[]> | VserverReport[];
  services(): Promise<ServiceReport[]> | ServiceReport[];
  sessions(): Promise<SessionReport[]> | SessionReport[];
  listeners(): Promise<ListenerReport[]> | ListenerReport[];
  processes(): Promise<ProcessReport[]> | ProcessReport[];
  stats(): Promise<StatReport[]> | StatReport[];
  /** Returns the service as it is then, or undefined if there is none of this name. */
  changeService(name: string, action: ServiceAction): ServiceReport | undefined;
  setWeight(name: string, weight: number): ServiceReport | undefined;
}

/** What `show` takes, and the row type of each. */
export interface Shown {
  vserver: VserverReport;
  service: ServiceReport;
  session: SessionReport;
  listener: ListenerReport;
  process: ProcessReport;
  stat: StatReport;
}
export const SHOWN = ['vserver', 'service', 'session', 'listener', 'process', 'stat'] as const;
export type ShowName = (typeof SHOWN)[number];
