import type { Command } from 'commander';
import type { AdminTarget } from '../admin/client.js';
import { adminSocketPath } from '../admin/socket-file.js';
import { loadOptions } from '../config/load.js';
import type { OptionKey } from '../config/schema.js';
import type { Context } from './context.js';
import { addOptions, givenFlags } from './flags.js';

const KEYS: readonly OptionKey[] = ['config', 'admin', 'state-dir'];

/** The flags that say which appliance a command talks to. */
export function addTargetOptions(command: Command): Command {
  return addOptions(command, KEYS);
}

/** The unix socket in the state directory, or the TCP address where one is configured. */
export function readTarget(context: Context, given: Record<string, unknown>): AdminTarget {
  const flags = givenFlags(given);
  const { admin, 'state-dir': stateDir } = loadOptions({ flags, env: context.env, cwd: context.cwd });
  // Somebody who names a state directory means the socket in it, whatever the environment says about TCP.
  const wantsSocket = flags.admin === undefined && flags['state-dir'] !== undefined;
  return admin === undefined || wantsSocket ? { socketPath: adminSocketPath(stateDir) } : admin;
}
