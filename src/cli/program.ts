import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { PenstockError } from '../errors.js';
import { addCheck } from './commands/check.js';
import { addDemo } from './commands/demo.js';
import { addDoctor } from './commands/doctor.js';
import { addOrigin } from './commands/origin.js';
import { addServe } from './commands/serve.js';
import { addServiceCommands } from './commands/service.js';
import { addShow } from './commands/show.js';
import { addTop } from './commands/top.js';
import { addUpgrade } from './commands/upgrade.js';
import type { Context } from './context.js';

/** Something unforeseen; every foreseen error has a status of its own in the table of errors. */
const EXIT_UNEXPECTED = 1;
const EXIT_USAGE = 2;
const DEFAULT_WIDTH = 80;
/** Columns beside the flags; narrower, the sentences are not wrapped. */
const MIN_ABOUT_WIDTH = 30;

/** All commands. Does nothing until it parses. */
export function createProgram(context: Context): Command {
  const program = new Command('penstock')
    .description('Load balancer and media relay for RTSP.')
    .version(version(), '--version', 'Print the version.')
    .helpOption('--help', 'Print help.')
    .helpCommand(false)
    .configureHelp({ minWidthToWrap: MIN_ABOUT_WIDTH })
    .configureOutput({
      writeOut: (text) => context.out(text.trimEnd()),
      writeErr: (text) => context.error(text.trimEnd()),
      getOutHelpWidth: () => context.width ?? DEFAULT_WIDTH,
      getErrHelpWidth: () => context.width ?? DEFAULT_WIDTH,
    })
    .exitOverride();
  addServe(program, context);
  addDemo(program, context);
  addOrigin(program, context);
  addCheck(program, context);
  addDoctor(program, context);
  addShow(program, context);
  addTop(program, context);
  addServiceCommands(program, context);
  addUpgrade(program, context);
  return program;
}

/** Runs one command line (without node and script); gives the exit status. */
export async function runCli(args: readonly string[], context: Context): Promise<number> {
  try {
    await createProgram(context).parseAsync(args, { from: 'user' });
    return context.exitCode;
  } catch (error) {
    return report(error, context);
  }
}

function report(error: unknown, context: Context): number {
  // Commander has already written its message; help and version come as "errors" with status 0.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE;
  if (error instanceof PenstockError) {
    const lines = error.message.split('\n');
    context.error([`penstock: ${error.code}`, ...lines.map((line) => `  ${line}`)].join('\n'));
    return error.exitStatus ?? EXIT_UNEXPECTED;
  }
  context.error(`penstock: ${error instanceof Error ? error.stack : String(error)}`);
  return EXIT_UNEXPECTED;
}

function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
