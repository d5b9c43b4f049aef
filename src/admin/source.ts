/** What the admin API shows and changes. The primary implements it; tests have a fake. */
import type { MonitorKind } from '../config/types.js';
import type { HeldListenerReport, SessionReport } from '../tasks/reports.js';

export type { MediaListenerReport, SessionReport, TrafficReport, WireReport } from '../tasks/reports.js';

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

/** An RTSP listener, one UDP port of a stream, or an RTSP connection that the engine holds. */
export type ListenerReport = RtspListenerReport | HeldListenerReport;

export interface RtspListenerReport {
  kind: 'rtsp';
  vserver: string;
  address: string;
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
  /** RTSP connections that it holds, to clients and servers; the engine only. */
  wires?: number;
  rssBytes: number;
  cpuSec: number;
}

export interface StatReport {
  name: string;
  unit: string;
  about: string;
  value: number;
  /** Its parts by engine thread, where it has any and there are several. */
  threads?: number[];
}

export interface UpgradeReport {
  /** The new primary. */
  pid: number;
  /** Whether it takes over what lives, or takes new connections only while the old one drains. */
  mode: 'adopt' | 'drain';
  /** Why it does not adopt. */
  reason?: string;
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
  /** Starts the program anew and gives way to it. Rejects with PENSTOCK_ERR_UPGRADE. */
  upgrade(): Promise<UpgradeReport>;
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
