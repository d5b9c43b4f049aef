/** Turns the option table into flags, and flags back into values by option name. */
import { type Command, Option as Flag } from 'commander';
import { OPTIONS, type Option, type OptionKey } from '../config/schema.js';

export const ALL_OPTIONS = Object.keys(OPTIONS) as OptionKey[];

export function addOptions(command: Command, keys: readonly OptionKey[]): Command {
  for (const key of keys) {
    const option: Option<unknown> = OPTIONS[key];
    const about = `${option.about.replaceAll('`', '')}${standardText(option)}`;
    if (option.type.placeholder === '') {
      command.addOption(new Flag(`--${key}`, about)).addOption(new Flag(`--no-${key}`, `Not --${key}.`));
      continue;
    }
    const flag = new Flag(`--${key} <${option.type.placeholder}>`, about);
    if (option.list) flag.argParser((text: string, before: string[] | undefined) => [...(before ?? []), text]);
    command.addOption(flag);
  }
  return command;
}

/** The values of option flags that were given, by option name. */
export function givenFlags(given: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const entries = ALL_OPTIONS.map((key) => [key, given[new Flag(`--${key}`).attributeName()]] as const);
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
}

function standardText({ standard, standardText: text, list, unit, type }: Option<unknown>): string {
  const shown =
    text ?? (typeof standard === 'string' ? standard : Array.isArray(standard) ? standard.join(' ') : undefined);
  const notes = [
    ...(list ? ['repeatable'] : []),
    ...(shown === undefined || type.placeholder === ''
      ? []
      : [`default: ${shown.replaceAll('`', '')}${unit === 's' ? ' s' : ''}`]),
  ];
  return notes.length === 0 ? '' : ` (${notes.join('; ')})`;
}
