import { Daemon } from '../lib/daemon.js';
import { RTSP_PORT } from '../lib/load.js';
import { hasCommand, missingPackages } from '../lib/missing.js';
import type { TcpProxy } from '../lib/proxy.js';

const CONNECTIONS = 8000;

/** One thread that copies bytes between connections. */
export const haproxyTcp: TcpProxy = {
  name: 'haproxy',
  missing: () => missingPackages(hasCommand('haproxy'), 'haproxy'),
  async start(bed, server) {
    const address = `${bed.edge}:${RTSP_PORT}`;
    const configuration = [
      `global\n  nbthread 1\n  maxconn ${CONNECTIONS}`,
      'defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h',
      `listen rtsp\n  bind ${address} backlog 4096\n  server one ${server}\n`,
    ].join('\n');
    const command = (file: string) => ['haproxy', '-db', '-f', file] as const satisfies [string, ...string[]];
    const daemon = await Daemon.start(bed, command, configuration, { protocol: 'tcp', ip: bed.edge, port: RTSP_PORT });
    return { address, pids: () => Promise.resolve(new Map([['proxy', daemon.pid]])), stop: () => daemon.stop() };
  },
};
