import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Bound, Daemon } from '../lib/daemon.js';
import { RTSP_PORT } from '../lib/load.js';
import { hasCommand, missingPackages } from '../lib/missing.js';
import type { Bed } from '../lib/place.js';
import type { TcpProxy } from '../lib/proxy.js';
import type { Relay } from '../lib/relay.js';
import { type PortBlock, portBlocks, portsOf } from './ports.js';
import { aimedRelay } from './relay.js';

const RECEIVE_BUFFER = '4m';
/** Listening and connected sockets of all streams. */
const CONNECTIONS = 16_000;

const missing = (): string | undefined =>
  missingPackages(hasCommand('nginx') && streamModule() !== undefined, 'nginx-light', 'libnginx-mod-stream');

/** One worker that relays each port's datagrams to a client. */
export const nginxUdp: Relay = {
  name: 'nginx stream',
  missing,
  async start(bed, farm, streams) {
    const blocks = portBlocks(streams);
    const servers = blocks.map((block) => udpServer(bed, block)).join('');
    const ports = portsOf(blocks);
    const daemon = await start(bed, servers, { protocol: 'udp', ip: bed.appliance.ip, port: ports.at(-1) ?? 0 });
    return aimedRelay(bed, farm, { ip: bed.appliance.ip, ports, pid: daemon.pid, stop: () => daemon.stop() });
  },
};

/** One worker that copies bytes between connections. */
export const nginxTcp: TcpProxy = {
  name: 'nginx stream',
  missing,
  async start(bed, server) {
    const address = `${bed.edge}:${RTSP_PORT}`;
    const body = `server { listen ${address} backlog=4096; proxy_pass ${server}; proxy_timeout 1h; }\n`;
    const daemon = await start(bed, body, { protocol: 'tcp', ip: bed.edge, port: RTSP_PORT });
    return { address, pids: () => Promise.resolve(new Map([['proxy', daemon.pid]])), stop: () => daemon.stop() };
  },
};

function udpServer(bed: Bed, { first, last, clientPort }: PortBlock): string {
  return (
    `server { listen ${bed.appliance.ip}:${first}-${last} udp rcvbuf=${RECEIVE_BUFFER}; ` +
    `proxy_pass ${bed.client.ip}:${clientPort}; proxy_timeout 1h; }\n`
  );
}

function start(bed: Bed, servers: string, bound: Bound): Promise<Daemon> {
  const module = streamModule();
  const configuration = [
    module ? `load_module ${module};` : '',
    'daemon off; master_process off; error_log stderr crit; pid nginx.pid;',
    `worker_rlimit_nofile ${CONNECTIONS}; events { worker_connections ${CONNECTIONS}; }`,
    `stream {\nproxy_buffer_size 64k;\n${servers}}\n`,
  ].join('\n');
  const command = (file: string, folder: string) =>
    ['nginx', '-e', 'stderr', '-p', folder, '-c', file] as const satisfies [string, ...string[]];
  return Daemon.start(bed, command, configuration, bound);
}

/** Its file; '' where it is built in, undefined where there is none. */
function streamModule(): string | undefined {
  const { stderr } = spawnSync('nginx', ['-V'], { encoding: 'utf8' });
  const built = stderr ?? '';
  if (/--with-stream(?!=dynamic|_)/.test(built)) return '';
  const file = join(/--modules-path=(\S+)/.exec(built)?.[1] ?? '', 'ngx_stream_module.so');
  return existsSync(file) ? file : undefined;
}
