/** The generated pages of docs/: from the option table, the table of errors and the commands. */
import { type Command, Help } from 'commander';
import { LIVE_OPTIONS } from '../config/reload.js';
import {
  envName,
  LIMIT_OPTIONS,
  MONITOR_OPTIONS,
  OPTIONS,
  type Option,
  SERVICE_OPTIONS,
  type Shape,
  VSERVER_OPTIONS,
} from '../config/schema.js';
import { ERRORS } from '../errors.js';
import { createProgram } from './program.js';

const HELP_WIDTH = 100;
const GENERATED = '<!-- Made by scripts/generate-docs.mjs; do not edit. -->';

/** Text by file name. */
/** All but the limits, which have a table of their own. */
const GENERAL = Object.fromEntries(Object.entries(OPTIONS).filter(([key]) => !(key in LIMIT_OPTIONS)));

export function generateDocs(): Record<string, string> {
  return { 'configuration.md': configurationPage(), 'errors.md': errorsPage(), 'cli.md': cliPage() };
}

function configurationPage(): string {
  return `${GENERATED}
# Configuration

Each option can be given as a flag of \`penstock serve\`, as an environment variable, and as a key of a
YAML file (\`--config\`). A flag wins over the environment, the environment over the file, the file over
the default. \`penstock check FILE\` names every fault of a file with its line; \`examples/\` has files to
start from.

- Lists: a flag is repeated, a variable separates by commas, the file has a list.
- Durations are seconds, or have a unit: \`500ms\`, \`90s\`, \`2m\`, \`1h\`.
- Relative paths in a file are relative to that file.
- IPv6 addresses stand in brackets; in YAML such a value needs quotes.

## Reloading

On SIGHUP a running appliance reads its configuration again: the file, with the flags and the environment
that it was started with. A file with a fault changes nothing; the log names the fault. Sessions and
connections go on. Without a restart these change:

- the services of a vserver, with their weights, limits, monitors and names, and its \`method\`. The
  sessions of a service that is removed go on until they end; it gets no new ones. A weight that
  \`penstock set\` gave stays until the file names another.
- the certificates and authorities that the file names (files that change by themselves are noticed anyway),
  but not what is asked of clients;
- the session keys: the key file is read again. To rotate, put the new key before the old one, and take
  the old one out when the sessions that began under it have ended.
- ${LIVE_OPTIONS.map((name) => `\`${name}\``).join(', ')}, for what begins from then on.

Whatever else is different is named in one line of the log and stays as it was until a restart or
\`penstock upgrade\`.

## Options

${optionTable(GENERAL, true)}

## Limits

What one client, or all of them, may ask for. Beyond a limit a request is refused with the status that is named, or
its connection is closed; nobody else notices. \`penstock show stat\` counts each. Counts per client address are kept
over all workers, in 8192 buckets: two addresses that share one are counted together. See [security.md](security.md).

${optionTable(LIMIT_OPTIONS, true)}

## Vservers

\`listen\` and \`server\` describe one vserver named \`default\`. A file can have several under \`vservers\`
instead; given together with \`--listen\` or \`--server\`, the vserver of the command line replaces them.

Keys of each entry of \`vservers\`, beside \`services\`, the list of its services:

${optionTable(VSERVER_OPTIONS)}

Keys of each entry of \`services\`, beside \`monitor\`:

${optionTable(SERVICE_OPTIONS)}

Keys of \`monitor\`, which may also be just the kind; what is not said comes from the top-level
\`monitor-…\` options:

${optionTable(MONITOR_OPTIONS)}

A service can be written in one line too, as \`--server\` takes it, with \`monitor\` being the kind and the
other keys of a monitor beside it: \`cam-1:554?name=left&weight=3&monitor=describe&path=/live\`.
`;
}

function optionTable(shape: Shape, withEnv = false): string {
  const head = ['Key', 'Value', 'Default', 'Meaning', ...(withEnv ? ['Environment'] : [])];
  const rows = Object.entries(shape).map(([key, option]) => [
    `\`${key}\`${option.list ? ' (list)' : ''}${option.notInFile ? ' (not in files)' : ''}`,
    option.type.accepts,
    standardOf(option),
    option.about,
    ...(withEnv ? [`\`${envName(key)}\``] : []),
  ]);
  return markdownTable(head, rows);
}

function standardOf({ standard, standardText, unit }: Option<unknown>): string {
  if (standardText !== undefined) return standardText;
  const texts = typeof standard === 'string' ? [standard] : typeof standard === 'function' ? [] : (standard ?? []);
  if (texts.length === 0) return '–';
  const isNumber = texts.every((text) => /^\d+$/.test(text));
  return `${texts.map((text) => `\`${text}\``).join(', ')}${unit !== undefined && isNumber ? ` ${unit}` : ''}`;
}

function errorsPage(): string {
  const entries = Object.entries(ERRORS as Record<string, { rtsp?: number; exit?: number; about: string }>);
  const rows = entries.map(([code, { rtsp, exit, about }]) => [
    `\`${code}\``,
    String(rtsp ?? ''),
    String(exit ?? ''),
    about,
  ]);
  return `${GENERATED}
# Errors

Every error has a code that stands in the log (\`code\`), and where it concerns a client the RTSP status
of the answer, where it ends a command the exit status.

${markdownTable(['Code', 'RTSP', 'Exit', 'Meaning'], rows)}

## Exit statuses

${markdownTable(['Status', 'Meaning'], exitRows(entries))}
`;
}

function exitRows(entries: readonly [string, { exit?: number }][]): string[][] {
  const codes = new Map<number, string[]>();
  for (const [code, { exit }] of entries) {
    if (exit !== undefined) codes.set(exit, [...(codes.get(exit) ?? []), `\`${code}\``]);
  }
  const rows = [...codes].sort(([a], [b]) => a - b).map(([exit, list]) => [String(exit), list.join(', ')]);
  const first = [
    ['0', 'the command did what it was asked, or an appliance ended after a signal'],
    ['1', 'something unforeseen (please report it); or `doctor` found that no appliance can run'],
  ];
  return [...first, ...rows];
}

function cliPage(): string {
  const program = createProgram({
    hooks: { serve: unused, probe: unused },
    env: {},
    cwd: '.',
    out: () => {},
    error: () => {},
    exitCode: 0,
    width: HELP_WIDTH,
  });
  const sections = program.commands.map((command) => `## penstock ${command.name()}\n\n${helpOf(command)}`);
  return `${GENERATED}
# Command line

${helpOf(program)}

${sections.join('\n\n')}

Exit statuses: see [errors](errors.md#exit-statuses).
`;
}

function helpOf(command: Command): string {
  const help = new Help();
  help.prepareContext({ helpWidth: HELP_WIDTH });
  return `\`\`\`text\n${help.formatHelp(command, help).trimEnd()}\n\`\`\``;
}

function unused(): never {
  throw new TypeError('documentation runs no command');
}

function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}
