import { availableParallelism } from 'node:os';

export type Core = 'load' | 'product' | 'any';

/**
 * The command with its core before it. With two cores or more the load has the first one and what
 * is measured the second, so that one does not slow the other.
 */
export function pinned(core: Core, command: string, args: readonly string[]): [string, string[]] {
  if (core === 'any' || availableParallelism() < 2) return [command, [...args]];
  return ['taskset', ['-c', core === 'load' ? '0' : '1', command, ...args]];
}
