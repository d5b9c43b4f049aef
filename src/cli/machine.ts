import { accessSync, constants, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';
import { type NetworkInterface, networkInterfaces } from './network-interfaces.js';

/** What doctor reads from this machine; tests have another one. */
export interface Machine {
  nodeVersion: string;
  /** undefined where there are no user ids. */
  uid: number | undefined;
  /** Trimmed text of a file in /proc/sys, or undefined. */
  sysctl(name: string): string | undefined;
  /** Whether this user can write into the directory, or make it. */
  writable(directory: string): boolean;
  cpus: number;
  interfaces(): NetworkInterface[];
}

export const thisMachine: Machine = {
  nodeVersion: process.versions.node,
  uid: process.getuid?.(),
  sysctl: (name) => readText(`/proc/sys/${name.replaceAll('.', '/')}`),
  writable: canWrite,
  cpus: availableParallelism(),
  interfaces: () => networkInterfaces(),
};

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    // Not every kernel has every setting.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function canWrite(directory: string): boolean {
  try {
    accessSync(directory, constants.W_OK | constants.X_OK);
    return true;
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    return missing && dirname(directory) !== directory && canWrite(dirname(directory));
  }
}
