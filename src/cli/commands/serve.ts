import type { Command } from 'commander';
import { loadConfig } from '../../config/load.js';
import { resolveConfig } from '../../config/resolve.js';
import type { Config } from '../../config/types.js';
import { createLogger } from '../../log/logger.js';
import type { Context } from '../context.js';
import { ALL_OPTIONS, addOptions, givenFlags } from '../flags.js';

export function addServe(program: Command, context: Context): void {
  const command = program
    .command('serve')
    .summary('run an appliance')
    .description(
      'Runs an appliance until SIGTERM or SIGINT. The first signal drains: no new sessions, those that ' +
        'live go on for --drain-timeout; the second ends at once. SIGHUP reads the configuration again and ' +
        'takes over what needs no restart, while sessions go on. Each flag is also a key of the ' +
        'configuration file and an environment variable PENSTOCK_…; a flag wins over the environment, the ' +
        'environment over the file.',
    );
  addOptions(command, ALL_OPTIONS).action(async (given: Record<string, unknown>) => {
    const read = () => readConfig(context, givenFlags(given));
    await context.hooks.serve(await read(), { reread: read });
  });
}

/** The complete configuration; what deserves attention is logged. */
export async function readConfig(context: Context, flags: Record<string, unknown>): Promise<Config> {
  const { config: spec, warnings } = loadConfig({ flags, env: context.env, cwd: context.cwd });
  const config = await resolveConfig(spec);
  if (warnings.length > 0) {
    const log = createLogger({ level: config.logLevel, process: 'primary' });
    for (const warning of warnings) log.warn(warning);
  }
  return config;
}
