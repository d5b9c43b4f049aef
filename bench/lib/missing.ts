import { spawnSync } from 'node:child_process';

/** Whether a shell of an administrator would find it. */
export function hasCommand(name: string): boolean {
  const env = { ...process.env, PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin` };
  return spawnSync('sh', ['-c', `command -v ${name}`], { env }).status === 0;
}

/** What to type for a program that is not there; undefined where it is. */
export function missingPackages(works: boolean, ...packages: string[]): string | undefined {
  return works ? undefined : `not installed: apt-get install -y --no-install-recommends ${packages.join(' ')}`;
}
