import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ShowName, Shown } from '../../src/admin/source.js';
import type { Namespace } from './netns.js';
import { eventually, Program } from './program.js';

const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url));

export interface LogLine {
  level: string;
  msg: string;
  [key: string]: unknown;
}

const isError = ({ level }: LogLine): boolean => level === 'error' || level === 'fatal';

function readLines(text: string): LogLine[] {
  const lines = text.split('\n').slice(0, -1); // the last one may be half a line
  return lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as LogLine);
}

/** The command line as a program in a namespace. `through`: a command that starts it, such as setpriv. */
export function penstock(namespace: Namespace, args: string[], through: string[] = []): Program {
  const [command = '', ...all] = [...through, process.execPath, MAIN, ...args];
  const child = namespace.spawn(command, all, { stdio: ['ignore', 'pipe', 'pipe'] });
  return new Program(`penstock ${args[0]}`, child);
}

/** `penstock origin …`; resolves when it listens. */
export async function startOrigin(namespace: Namespace, args: string[]): Promise<Program> {
  const program = penstock(namespace, ['origin', ...args]);
  await program.until('its URL', () => /^rtsp:\/\/\S+/m.exec(program.stdout)?.[0]);
  return program;
}

/** A running appliance. */
export class Penstock {
  readonly stateDir: string;
  readonly #program: Program;
  readonly #ownStateDir: boolean;
  /** Another one after an upgrade. */
  #primary: number;
  #ended = false;

  private constructor(namespace: Namespace, args: string[], stateDir?: string, through?: string[]) {
    this.#ownStateDir = stateDir === undefined;
    this.stateDir = stateDir ?? mkdtempSync(join(tmpdir(), 'penstock-state-'));
    // Tests leave sessions behind on purpose: SIGTERM ends them at once.
    const always = ['--state-dir', this.stateDir, '--drain-timeout', '0'];
    this.#program = penstock(namespace, ['serve', ...always, ...args], through);
    this.#primary = this.#program.pid;
  }

  /** `penstock serve ARGS`; resolves at the log line that says ready. Without `stateDir` a temporary one is used. */
  static async start(namespace: Namespace, args: string[], stateDir?: string, through?: string[]): Promise<Penstock> {
    const appliance = new Penstock(namespace, args, stateDir, through);
    await appliance.log('ready');
    return appliance;
  }

  get pid(): number {
    return this.#primary;
  }

  get logs(): LogLine[] {
    return readLines(this.#program.stderr);
  }

  /** The first log line, past or coming, with that message (and whatever else `match` asks for). */
  async log(msg: string, match: (line: LogLine) => boolean = () => true): Promise<LogLine> {
    return await this.#program.until(`log "${msg}"`, () => this.logs.find((line) => line.msg === msg && match(line)));
  }

  /** GET /show/WHAT of the admin socket. */
  async show<K extends ShowName>(what: K): Promise<Shown[K][]> {
    return await getJson<Shown[K][]>(join(this.stateDir, 'admin.sock'), `/show/${what}`);
  }

  /** SIGUSR2; resolves when the new primary is ready, with the log line that tells how it took over. */
  async upgrade(): Promise<LogLine> {
    const before = this.logs.length;
    const fresh = async (what: string, match: (line: LogLine) => boolean) =>
      await this.#program.until(what, () => this.logs.slice(before).find(match));
    process.kill(this.#primary, 'SIGUSR2');
    const begun = await fresh('an upgrade', (line) => line.msg.startsWith('upgrade: ') && 'mode' in line);
    await fresh('its end', ({ msg }) => msg === 'upgrade: the new version works');
    this.#primary = Number(begun.successor);
    return begun;
  }

  /** SIGHUP; resolves with what the log says of the reload, its last line included. */
  async reload(): Promise<string[]> {
    const before = this.logs.length;
    const said = () => this.logs.slice(before).filter(({ msg }) => msg.startsWith('reload: '));
    const isLast = ({ level }: LogLine) => level === 'info' || level === 'error';
    process.kill(this.#primary, 'SIGHUP');
    return await this.#program.until('a reload', () =>
      said().some(isLast) ? said().map(({ msg }) => msg) : undefined,
    );
  }

  /** Pids of the primary and of all that it started. */
  pids(): number[] {
    return [this.pid, ...descendants(this.pid)];
  }

  /** SIGTERM. Throws unless it exits with 0 and logged no error but `expected`. Does nothing when it was ended before. */
  async stop(expected?: RegExp): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    process.kill(this.#primary, 'SIGTERM');
    const { code, signal } = await this.#program.exited;
    const errors = this.logs.filter((line) => isError(line) && !expected?.test(line.msg));
    if (code !== 0 || errors.length > 0) {
      throw new Error(`penstock ended with ${code ?? signal}, errors: ${JSON.stringify(errors, null, 1)}`);
    }
    this.#removeStateDir();
  }

  /** SIGKILL to all of its processes at once, as when the machine loses power. The state directory stays. */
  async crash(): Promise<void> {
    this.#ended = true;
    for (const pid of this.pids()) process.kill(pid, 'SIGKILL');
    await this.#program.exited;
  }

  /** SIGKILL to the primary alone; resolves when all that it had started has ended by itself. */
  async killPrimary(): Promise<void> {
    this.#ended = true;
    const children = descendants(this.pid);
    process.kill(this.pid, 'SIGKILL');
    await this.#program.exited;
    await eventually('its children end', () =>
      children.every((pid) => !existsSync(`/proc/${pid}`)) ? true : undefined,
    );
    this.#removeStateDir();
  }

  #removeStateDir(): void {
    if (this.#ownStateDir) rmSync(this.stateDir, { recursive: true, force: true });
  }
}

function getJson<T>(socketPath: string, path: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const get = request({ socketPath, path }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => {
        if (response.statusCode === 200) resolve(JSON.parse(text) as T);
        else reject(new Error(`GET ${path}: ${response.statusCode} ${text}`));
      });
    });
    get.on('error', reject);
    get.end();
  });
}

function descendants(pid: number): number[] {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((thread) => {
    const file = `/proc/${pid}/task/${thread}/children`;
    return existsSync(file) ? readFileSync(file, 'utf8').split(' ').filter(Boolean).map(Number) : [];
  });
  return children.flatMap((child) => [child, ...descendants(child)]);
}

export interface Resources {
  descriptors: number;
  sockets: number;
  residentKiB: number;
}

/** What a process holds now (proc(5)). */
export function resources(pid: number): Resources {
  const descriptors = readdirSync(`/proc/${pid}/fd`);
  const sockets = descriptors.filter((fd) => linkOf(`/proc/${pid}/fd/${fd}`).startsWith('socket:'));
  const resident = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return { descriptors: descriptors.length, sockets: sockets.length, residentKiB: Number(resident) };
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''; // closed since it was listed
    throw error;
  }
}
