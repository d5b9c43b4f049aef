import { spawnSync } from 'node:child_process';

export function hasCommand(name: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${name}`]).status === 0;
}

/** The first number with dots that a program writes when asked so; undefined where there is none. */
export function versionOf(command: string, flag: string): string | undefined {
  const { stdout, stderr } = spawnSync(command, [flag], { encoding: 'utf8' });
  return /\d+(\.\d+)+/.exec(`${stdout ?? ''}${stderr ?? ''}`)?.[0];
}

/** What to type for a program that is not there; undefined where it is. */
export function missingPackages(works: boolean, ...packages: string[]): string | undefined {
  return works ? undefined : `not installed: apt-get install -y --no-install-recommends ${packages.join(' ')}`;
}
