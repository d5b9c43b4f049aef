#!/usr/bin/env node
/** The command line: the only place where the parts of an appliance meet. */
import { runCli } from './cli/program.js';
import { terminalOf } from './cli/terminal.js';

// A reader that has seen enough (`show session | head`) is not an error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

const code = await runCli(process.argv.slice(2), {
  hooks: {
    // Loaded when needed: `check` and `show` want neither the addon nor the cluster.
    serve: async (config, hooks) => (await import('./process/primary.js')).runPrimary(config, hooks),
    probe: async () => (await import('./engine/binding.js')).loadBinding().probe(),
  },
  env: process.env,
  cwd: process.cwd(),
  out: (text) => process.stdout.write(`${text}\n`),
  error: (text) => process.stderr.write(`${text}\n`),
  width: process.stdout.columns,
  terminal: () => terminalOf(process.stdin, process.stdout),
  exitCode: 0,
});
process.exitCode = code;
