/** Turns the option table into flags, and flags back into values by option name. */
import { type Command, Option as Flag } from 'commander';
import { OPTIONS, type Option, type OptionKey } from '../config/schema.js';

export const ALL_OPTIONS = Object.keys(OPTIONS) as OptionKey[];

/** Adds flags; `standards` are defaults that a command has of its own, for its help. */
export function addOptions(
  command: Command,
  keys: readonly OptionKey[],
  standards: Readonly<Partial<Record<OptionKey, string>>> = {},
): Command {
  for (const key of keys) {
    const standard = standards[key];
    const option: Option<unknown> = standard === undefined ? OPTIONS[key] : withStandard(OPTIONS[key], standard);
    const about = `${option.about.replaceAll('`', '')}${notes(option)}`;
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

function withStandard({ standardText: _, ...option }: Option<unknown>, standard: string): Option<unknown> {
  return { ...option, standard };
}

/** What stands in parentheses behind the sentence about a flag. */
function notes(option: Option<unknown>): string {
  const { list, type } = option;
  const standard = type.placeholder === '' ? undefined : standardOf(option);
  const parts = [
    ...(list ? ['repeatable'] : []),
    ...(type.placeholder === 'NAME' ? [type.accepts] : []),
    ...(standard === undefined ? [] : [`default: ${standard}`]),
  ];
  return parts.length === 0 ? '' : ` (${parts.join('; ')})`;
}

function standardOf({ standard, standardText, unit }: Option<unknown>): string | undefined {
  if (standardText !== undefined) return standardText.replaceAll('`', '');
  if (typeof standard === 'string') return unit === 's' ? `${standard} s` : standard;
  return Array.isArray(standard) ? standard.join(' ') : undefined;
}
