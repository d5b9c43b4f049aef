import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';
import { commit } from './appliance.js';
import { versionOf } from './missing.js';

export interface Machine {
  kernel: string;
  cpu: string;
  cores: number;
  memoryGiB: number;
  node: string;
  commit: string;
  /** Descriptors a process may have. */
  fileLimit: number;
  rmemMax: number;
  /** Versions of rivals that are there. */
  rivals: Record<string, string>;
  /** Of the last minute before the run: what else was going on. */
  load: number;
}

export function machine(): Machine {
  return {
    kernel: /^[\d.]+/.exec(release())?.[0] ?? release(), // what follows is the builder's
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    commit: commit(),
    fileLimit: fileLimit(),
    rmemMax: Number(readFileSync('/proc/sys/net/core/rmem_max', 'utf8')),
    rivals: rivals(),
    load: loadavg()[0] ?? 0,
  };
}

function rivals(): Record<string, string> {
  const asked = [
    ['nginx', '-v'],
    ['rtpengine', '--version'],
    ['haproxy', '-v'],
    ['nft', '--version'],
  ] as const;
  return Object.fromEntries(
    asked.flatMap(([command, flag]) => {
      const version = versionOf(command, flag);
      return version === undefined ? [] : [[command, version]];
    }),
  );
}

export function fileLimit(): number {
  const text = execFileSync('sh', ['-c', 'ulimit -H -n'], { encoding: 'utf8' }).trim();
  return text === 'unlimited' ? Number.MAX_SAFE_INTEGER : Number(text);
}

/** Of UDP, on both sides. */
const DESCRIPTORS_PER_STREAM = 4;
/** A client's connection and the one to its server. */
const DESCRIPTORS_PER_SESSION = 2;
/** Of connections to workers, the region, the addon, the log. */
const DESCRIPTORS_BESIDE = 400;

/** How many sessions of so many streams one process of the product can hold. */
export function mostSessions(streamsEach: number): number {
  const each = DESCRIPTORS_PER_SESSION + streamsEach * DESCRIPTORS_PER_STREAM;
  return Math.floor((fileLimit() - DESCRIPTORS_BESIDE) / each);
}
