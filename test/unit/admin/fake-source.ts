import type { AdminSource, ServiceReport, SessionReport } from '../../../src/admin/source.js';

const service: ServiceReport = {
  name: '[::1]:554',
  vserver: 'default',
  address: '[::1]:554',
  state: 'up',
  reason: '',
  weight: 1,
  maxSessions: 0,
  sessions: 3,
  sessionsTotal: 30,
  requestsTotal: 300,
  connectFailures: 0,
  refusedSetups: 0,
  monitor: 'tcp',
  stateSec: 65,
};

const session: SessionReport = {
  slot: 7,
  worker: 0,
  vserver: 'default',
  service: '[::1]:554',
  client: '192.0.2.9:40000',
  serverId: 'abc',
  controlUrl: 'rtsp://192.0.2.1/cam',
  state: 'playing',
  transport: 'udp',
  streams: 2,
  tier: 'gso',
  tierReason: 'switched off',
  ageSec: 3725,
  clientIdleSec: 1.5,
  wire: 3,
  toClient: { packets: 10, bytes: 1_234_567 },
  toServer: { packets: 1, bytes: 80 },
  dropped: 4,
};

export class FakeSource implements AdminSource {
  isReady = false;
  readonly service = { ...service };

  ready(): boolean {
    return this.isReady;
  }
  vservers() {
    return [
      {
        name: 'default',
        listen: ['0.0.0.0:554'],
        method: 'round-robin',
        services: 1,
        servicesUp: 1,
        sessions: 3,
        sessionsTotal: 30,
      },
    ];
  }
  services() {
    return [this.service];
  }
  async sessions() {
    return [session];
  }
  listeners() {
    return [
      { kind: 'rtsp' as const, vserver: 'default', address: '0.0.0.0:554' },
      {
        kind: 'media' as const,
        stream: 3,
        session: 7,
        media: 'video' as const,
        side: 'client' as const,
        part: 'rtp' as const,
        address: '192.0.2.1:20000',
        state: 'latched' as const,
        remote: '192.0.2.9:5000',
        latches: 1,
        rx: { packets: 1, bytes: 12 },
        tx: { packets: 10, bytes: 1_234_567 },
        refused: 2,
        punches: 1,
        overflowed: 0,
        lost: 0,
        jitterMs: 1.25,
      },
      {
        kind: 'wire' as const,
        wire: 4,
        side: 'server' as const,
        of: '[::1]:554',
        client: 3,
        address: '192.0.2.1:33000',
        remote: '[::1]:554',
        state: 'open' as const,
        rx: { packets: 5, bytes: 500 },
        tx: { packets: 0, bytes: 80 },
        refused: 0,
        unrouted: 0,
      },
    ];
  }
  processes() {
    return [{ name: 'primary', pid: 1, state: 'ready' as const, starts: 1, upSec: 5, rssBytes: 1e6, cpuSec: 0.5 }];
  }
  stats(): never {
    throw new Error('the table is gone');
  }
  async upgrade() {
    return { pid: 2, mode: 'drain' as const, reason: 'the services changed' };
  }
  changeService(name: string, action: 'drain' | 'enable' | 'disable') {
    if (name !== this.service.name) return undefined;
    this.service.state = ({ drain: 'draining', enable: 'unknown', disable: 'disabled' } as const)[action];
    return this.service;
  }
  setWeight(name: string, weight: number) {
    if (name !== this.service.name) return undefined;
    this.service.weight = weight;
    return this.service;
  }
}
