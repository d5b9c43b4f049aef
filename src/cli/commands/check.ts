import type { Command } from 'commander';
import { loadConfig } from '../../config/load.js';
import type { Context } from '../context.js';

export function addCheck(program: Command, context: Context): void {
  program
    .command('check')
    .summary('check a configuration file')
    .argument('<FILE>', 'the configuration file')
    .option('--json', 'Print the complete configuration, defaults included, as JSON.')
    .description(
      'Reads a configuration file as serve would, together with the environment, and names every fault ' +
        'with its line, its key and what would be accepted. Host names are not looked up.',
    )
    .action((file: string, given: { json?: true }) => {
      const { config, warnings } = loadConfig({ flags: { config: file }, env: context.env, cwd: context.cwd });
      for (const warning of warnings) context.error(`${file}: warning: ${warning}`);
      const services = config.vservers.reduce((sum, vserver) => sum + vserver.services.length, 0);
      const summary = `${file}: ok: vservers: ${config.vservers.length}, services: ${services}`;
      context.out(given.json ? JSON.stringify(config, null, 2) : summary);
    });
}
