import { readdirSync, readFileSync } from 'node:fs';

/** CPU time of all living threads of a process in seconds, by the scheduler's exact clocks. */
export function cpuSeconds(pid: number): number {
  let nanoseconds = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    nanoseconds += Number(readIfThere(`/proc/${pid}/task/${thread}/schedstat`).split(' ')[0]);
  }
  return nanoseconds / 1e9;
}

/** CPU seconds of named processes since the meter was made. */
export class CpuMeter {
  readonly #pids: ReadonlyMap<string, number>;
  readonly #start: Map<string, number>;

  constructor(pids: ReadonlyMap<string, number>) {
    this.#pids = pids;
    this.#start = new Map([...pids].map(([name, pid]) => [name, cpuSeconds(pid)]));
  }

  /** Of one process, or of all whose name begins so. */
  seconds(prefix = ''): number {
    let sum = 0;
    for (const [name, pid] of this.#pids) {
      if (name.startsWith(prefix)) sum += cpuSeconds(pid) - (this.#start.get(name) ?? 0);
    }
    return sum;
  }
}

/** Of everything that media passes: a relay's processes, its servers and clients, and the kernel where it takes nobody's time. */
export function machineMeter(relay: ReadonlyMap<string, number>, farm: HasPid, crowd: HasPid): CpuMeter {
  const all = new Map(relay).set('farm', farm.pid).set('crowd', crowd.pid);
  for (const pid of softirqThreads()) all.set(`ksoftirqd ${pid}`, pid);
  return new CpuMeter(all);
}

interface HasPid {
  readonly pid: number;
}

/** The kernel threads that handle packets when nobody else's time can be taken for it. */
function softirqThreads(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && readIfThere(`/proc/${name}/comm`).startsWith('ksoftirqd/'))
    .map(Number);
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH') return '0'; // the thread ended since it was listed
    throw error;
  }
}
