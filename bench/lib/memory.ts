import { readFileSync } from 'node:fs';

/** Bytes that only this process has: heap, stacks, buffers. */
export function anonymousBytes(pid: number): number {
  return field(`/proc/${pid}/status`, 'RssAnon');
}

/** Bytes of the shared region that this process has touched. */
export function sharedBytes(pid: number): number {
  return field(`/proc/${pid}/status`, 'RssShmem');
}

/** What the kernel's slab allocator holds on the whole machine. */
export function slabBytes(): number {
  return field('/proc/meminfo', 'Slab');
}

function field(file: string, name: string): number {
  const value = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(readFileSync(file, 'utf8'))?.[1];
  return Number(value ?? 0) * 1024;
}
