import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Namespace } from './netns.js';
import { eventually, Program } from './program.js';

/** Real proxies: haproxy and nginx, as child processes in a namespace. */

export interface TcpProxy {
  /** What it wrote: a line for each connection, if its configuration asks for that. */
  readonly log: string;
  stop(): Promise<void>;
}

/** Where a connection comes in, and where it goes; each with what the proxy's own configuration says of it. */
export interface Way {
  port: number;
  listen?: string;
  to: string;
  server?: string;
}

/** haproxy; a line of its log is "client, what that connected to", as the first to speak told it. */
export async function startHaproxy(namespace: Namespace, ways: readonly Way[]): Promise<TcpProxy> {
  const frontends = ways.map(
    ({ port, to, listen = '', server = '' }) =>
      `listen on-${port}\n  bind :::${port} v4v6 ${listen}\n  log-format "%ci:%cp, %fi:%fp"\n  server one ${to} ${server}\n`,
  );
  const text = `global
  log stdout format raw local0
defaults
  mode tcp
  log global
  option logasap
  timeout connect 5s
  timeout client 1h
  timeout server 1h
${frontends.join('')}`;
  return await start(namespace, ways, text, (file) => ['haproxy', '-db', '-f', file]);
}

/** nginx with its module `stream`; a line of its log is "client, what that connected to", as the PROXY header told it. */
export async function startNginx(namespace: Namespace, ways: readonly Way[]): Promise<TcpProxy> {
  const servers = ways.map(
    ({ port, to, listen = '', server = '' }) =>
      `server { listen [::]:${port} ipv6only=off ${listen}; proxy_pass ${to}; proxy_timeout 1h; ${server} }`,
  );
  const text = `load_module ${MODULES}/ngx_stream_module.so;
${NGINX}
stream {
log_format who '$proxy_protocol_addr:$proxy_protocol_port, $proxy_protocol_server_addr:$proxy_protocol_server_port';
access_log ${ACCESS_LOG} who;
${servers.join('\n')}
}
`;
  return await start(namespace, ways, text, nginx);
}

/** nginx as a reverse proxy for HTTP, which passes bodies on as they come. */
export async function startHttpProxy(namespace: Namespace, way: Pick<Way, 'port' | 'to'>): Promise<TcpProxy> {
  const text = `${NGINX}
http {
access_log ${ACCESS_LOG};
server {
  listen ${way.port};
  location / {
    proxy_pass http://${way.to};
    proxy_http_version 1.1;
    proxy_buffering off;
    proxy_request_buffering off;
    proxy_read_timeout 1h;
  }
}
}
`;
  return await start(namespace, [way], text, nginx);
}

const nginx = (file: string, folder: string): [string, ...string[]] => [
  'nginx',
  '-e',
  'stderr',
  '-p',
  folder,
  '-c',
  file,
];
const NGINX = 'daemon off; master_process off; error_log stderr crit; pid nginx.pid; events {}';
const MODULES = '/usr/lib/nginx/modules';
const ACCESS_LOG = 'access.log';

async function start(
  namespace: Namespace,
  ways: readonly Pick<Way, 'port'>[],
  configuration: string,
  command: (file: string, folder: string) => [string, ...string[]],
): Promise<TcpProxy> {
  const folder = mkdtempSync(join(tmpdir(), 'penstock-proxy-'));
  const file = join(folder, 'proxy.conf');
  writeFileSync(file, configuration);
  const [name, ...args] = command(file, folder);
  const program = new Program(name, namespace.spawn(name, args, { stdio: ['ignore', 'pipe', 'pipe'] }));
  for (const { port } of ways) {
    await eventually(`${name} listens on ${port}`, async () => {
      if (!program.running) await program.success();
      return namespace.exec('ss', ['-Htln', `sport = :${port}`]).trim() || undefined;
    });
  }
  return {
    get log() {
      const file = join(folder, ACCESS_LOG);
      return existsSync(file) ? readFileSync(file, 'utf8') : program.stdout;
    },
    async stop() {
      await program.stop('SIGKILL');
      rmSync(folder, { recursive: true });
    },
  };
}
