import type { Command } from 'commander';
import { loadConfig, loadOptions } from '../../config/load.js';
import type { OptionKey } from '../../config/schema.js';
import { PenstockError } from '../../errors.js';
import type { Context, Probe } from '../context.js';
import { diagnose, type Finding, type Wanted } from '../diagnosis.js';
import { addOptions, givenFlags } from '../flags.js';
import { thisMachine } from '../machine.js';

/** No appliance can run here. */
const EXIT_FATAL = 1;
const STATUS_WIDTH = 6;
const GAP = 2;
const FLAGS: readonly OptionKey[] = [
  'config',
  'listen',
  'media-ports',
  'workers',
  'max-streams',
  'receive-buffer',
  'interleaved-backlog',
  'packet-path',
  'state-dir',
];

export function addDoctor(program: Command, context: Context): void {
  const command = program
    .command('doctor')
    .summary('what this machine allows')
    .description(
      'Tells what this machine allows an appliance with these options, and the command that mends what is ' +
        'missing. The exit status is 1 if no appliance could run here.',
    )
    .option('--json', 'Print JSON in place of text.');
  addOptions(command, FLAGS).action(async (given: Record<string, unknown>) => {
    const findings = diagnose(thisMachine, await probe(context), readWanted(context, given));
    context.out(given.json === true ? JSON.stringify(findings, null, 2) : formatFindings(findings));
    if (findings.some((finding) => finding.status === 'fatal')) context.exitCode = EXIT_FATAL;
  });
}

async function probe(context: Context): Promise<Probe | string> {
  try {
    return await context.hooks.probe();
  } catch (error) {
    if (error instanceof PenstockError && error.code === 'PENSTOCK_ERR_ADDON') return error.message;
    throw error;
  }
}

function readWanted(context: Context, given: Record<string, unknown>): Wanted {
  const sources = { flags: givenFlags(given), env: context.env, cwd: context.cwd };
  const values = loadOptions(sources);
  const vservers = values.config === undefined ? [] : loadConfig(sources).config.vservers;
  return {
    listen: vservers.length === 0 ? values.listen : vservers.flatMap(({ listen }) => listen),
    mediaPorts: values['media-ports'],
    workers: values.workers,
    maxStreams: values['max-streams'],
    receiveBuffer: values['receive-buffer'],
    interleavedBacklog: values['interleaved-backlog'],
    packetPath: values['packet-path'],
    stateDir: values['state-dir'],
  };
}

function formatFindings(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map(({ name }) => name.length)) + GAP;
  return findings.map((finding) => formatFinding(finding, width)).join('\n');
}

function formatFinding({ status, name, found, fix }: Finding, width: number): string {
  const line = `${status.padEnd(STATUS_WIDTH)}${name.padEnd(width)}${found}`;
  return fix === undefined ? line : `${line}\n${' '.repeat(STATUS_WIDTH + width)}fix: ${fix}`;
}
