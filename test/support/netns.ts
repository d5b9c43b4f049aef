import { type ChildProcess, execFileSync, fork, type SpawnOptions, spawn } from 'node:child_process';
import type { Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';

const PREFIX = 'penstock';
const HELPER = fileURLToPath(new URL('./socket-helper.mjs', import.meta.url));

/** Addresses of the test network. The appliance is .1 (and ::1) of each link, the peer .2. */
export const NET = {
  client: { ip: '10.77.1.2', edge: '10.77.1.1', ip6: 'fd77:1::2', edge6: 'fd77:1::1' },
  serverA: { ip: '10.77.2.2', edge: '10.77.2.1', ip6: 'fd77:2::2', edge6: 'fd77:2::1' },
  serverB: { ip: '10.77.3.2', edge: '10.77.3.1', ip6: 'fd77:3::2', edge6: 'fd77:3::1' },
  client2: { ip: '10.77.4.2', edge: '10.77.4.1', ip6: 'fd77:4::2', edge6: 'fd77:4::1' },
} as const;

export type PeerName = keyof typeof NET;

let sequence = 0;

/** `ip` as a command; its output, or an Error that carries what it wrote on stderr. */
function ip(...args: string[]): string {
  return execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Start time of a process in clock ticks (proc(5), field 22): with the pid it names a process for ever. */
function startTime(pid: number): string | undefined {
  if (!existsSync(`/proc/${pid}/stat`)) return undefined;
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
}

/** Names of our namespaces say which process made them, so that a later run can tell stale ones. */
function namespacePrefix(): string {
  return `${PREFIX}-${process.pid}-${startTime(process.pid)}`;
}

function deleteNamespace(name: string): void {
  for (const pid of ip('netns', 'pids', name).split('\n').filter(Boolean)) {
    try {
      process.kill(Number(pid), 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // it ended by itself meanwhile
    }
  }
  ip('netns', 'del', name);
}

/** Removes the namespaces, and what runs in them, of test processes that no longer live. */
export function removeStaleNamespaces(): void {
  for (const line of ip('netns', 'list').split('\n')) {
    const name = line.split(' ')[0] ?? '';
    const match = /^penstock-(\d+)-(\d+)-/.exec(name);
    if (match && startTime(Number(match[1])) !== match[2]) deleteNamespace(name);
  }
}

type HelperReply = { id: number; error?: string };

/** One network namespace: programs and sockets of ours that live in it. */
export class Namespace {
  readonly name: string;
  #helper: ChildProcess | undefined;
  #nextRequest = 1;

  constructor(name: string) {
    this.name = name;
    ip('netns', 'add', name);
    this.ip('link', 'set', 'lo', 'up');
  }

  /** `ip -n NAMESPACE …` */
  ip(...args: string[]): string {
    return ip('-n', this.name, ...args);
  }

  /** Runs to the end; stdout. Throws when the command fails. */
  exec(command: string, args: string[], options: { timeoutMs?: number } = {}): string {
    return execFileSync('ip', ['netns', 'exec', this.name, command, ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: options.timeoutMs ?? 30_000,
      killSignal: 'SIGKILL',
    });
  }

  /** The child is the command itself: `ip netns exec` replaces itself by it, so signals and pid are its own. */
  spawn(command: string, args: string[], options: SpawnOptions = {}): ChildProcess {
    return spawn('ip', ['netns', 'exec', this.name, command, ...args], options);
  }

  /** A TCP connection made inside the namespace, usable in this process. No byte is lost before you listen for it. */
  async connect(host: string, port: number, localAddress?: string): Promise<Socket> {
    return (await this.#request({ op: 'connect', host, port, localAddress })) as Socket;
  }

  /** A UDP socket bound inside the namespace, usable in this process. Port 0 means any. */
  async bindUdp(address: string, port = 0): Promise<UdpSocket> {
    return (await this.#request({ op: 'udp', address, port })) as UdpSocket;
  }

  /** A TCP server that listens inside the namespace, usable in this process. */
  async listen(address: string, port: number, onConnection: (socket: Socket) => void): Promise<Server> {
    const handle = await this.#request({ op: 'listen', address, port });
    const server = createServer(onConnection);
    server.listen(handle as Server);
    await once(server, 'listening');
    return server;
  }

  /** Stops everything that runs in the namespace and deletes it. */
  destroy(): void {
    this.#helper?.removeAllListeners();
    this.#helper?.disconnect();
    this.#helper = undefined;
    deleteNamespace(this.name);
  }

  // A socket belongs to the namespace it was made in, whoever holds it later. So a small
  // process inside makes it and sends the descriptor over Node's IPC channel.
  async #request(message: Record<string, unknown>): Promise<unknown> {
    const helper = this.#startHelper();
    const id = this.#nextRequest++;
    return await new Promise((resolve, reject) => {
      const finish = (settle: () => void): void => {
        helper.off('message', onMessage);
        helper.off('exit', onExit);
        settle();
      };
      const onExit = (): void => finish(() => reject(new Error(`the socket helper of ${this.name} ended`)));
      const onMessage = (reply: HelperReply, handle: unknown): void => {
        if (reply.id !== id) return;
        if (reply.error) {
          finish(() => reject(Object.assign(new Error(reply.error), { code: reply.error })));
        } else {
          finish(() => resolve(handle));
        }
      };
      helper.on('message', onMessage as (message: unknown, handle: unknown) => void);
      helper.on('exit', onExit);
      helper.send({ ...message, id });
    });
  }

  #startHelper(): ChildProcess {
    if (!this.#helper) {
      this.#helper = fork(HELPER, [], {
        execPath: 'ip',
        execArgv: ['netns', 'exec', this.name, process.execPath],
        stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      });
      this.#helper.setMaxListeners(0);
      this.#helper.unref();
      this.#helper.channel?.unref();
    }
    return this.#helper;
  }
}

/** The test network: client — appliance — serverA, serverB, and on request a second client. */
export class TestNetwork {
  readonly appliance: Namespace;
  readonly client: Namespace;
  readonly serverA: Namespace;
  readonly serverB: Namespace;
  #client2: Namespace | undefined;
  readonly #prefix: string;
  readonly #onExit = (): void => this.destroy();
  #destroyed = false;

  private constructor() {
    this.#prefix = `${namespacePrefix()}-${sequence++}`;
    process.on('exit', this.#onExit);
    this.appliance = new Namespace(`${this.#prefix}-appliance`);
    this.client = this.#join('client');
    this.serverA = this.#join('serverA');
    this.serverB = this.#join('serverB');
    // The appliance's namespace also routes: peers can reach each other directly, for the
    // baseline, and so that a packet that bypasses the appliance would be seen in a capture.
    this.appliance.exec('sysctl', ['-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1']);
  }

  /** Needs root. Everything is removed by `destroy()`, at the exit of this process, or by the next run. */
  static create(): TestNetwork {
    if (process.getuid?.() !== 0) {
      throw new Error('tests with real peers make network namespaces and need root: sudo npm test');
    }
    removeStaleNamespaces();
    return new TestNetwork();
  }

  /** A client in another subnet, made at first use. */
  get client2(): Namespace {
    this.#client2 ??= this.#join('client2');
    return this.#client2;
  }

  /** Removes the link between a peer and the appliance and makes another of the same names and addresses. */
  replug(peer: 'client' | 'serverA' | 'serverB'): void {
    this[peer].ip('link', 'del', 'eth0');
    this.#plug(this[peer], peer);
  }

  destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    process.off('exit', this.#onExit);
    for (const namespace of [this.client, this.#client2, this.serverA, this.serverB, this.appliance]) {
      namespace?.destroy();
    }
  }

  #join(peer: PeerName): Namespace {
    const namespace = new Namespace(`${this.#prefix}-${peer}`);
    this.#plug(namespace, peer);
    return namespace;
  }

  #plug(namespace: Namespace, peer: PeerName): void {
    const net = NET[peer];
    namespace.ip('link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', peer, 'netns', this.appliance.name);
    const sides = [
      { at: namespace, device: 'eth0', ip4: net.ip, ip6: net.ip6 },
      { at: this.appliance, device: peer, ip4: net.edge, ip6: net.edge6 },
    ];
    for (const { at, device, ip4, ip6 } of sides) {
      at.ip('addr', 'add', `${ip4}/24`, 'dev', device);
      at.ip('addr', 'add', `${ip6}/64`, 'dev', device, 'nodad'); // usable at once
      at.ip('link', 'set', device, 'up');
    }
    namespace.ip('route', 'add', 'default', 'via', net.edge);
    namespace.ip('-6', 'route', 'add', 'default', 'via', net.edge6);
  }
}
