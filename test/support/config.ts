import { loadConfig } from '../../src/config/load.js';
import { resolveConfig } from '../../src/config/resolve.js';
import type { Config } from '../../src/config/types.js';

/** A configuration as `penstock serve` with these flags has it. */
export async function configOf(flags: Record<string, unknown>): Promise<Config> {
  return await resolveConfig(loadConfig({ flags, env: {}, cwd: '/' }).config);
}
