import { resolve } from 'node:path';
import type { Faults, Locate, Path } from './faults.js';
import type { Option, Shape, Values } from './schema.js';

/**
 * Reads the keys of `raw` that stand in `shape`. Nothing stops at the first fault: faulty keys are
 * reported and left out, faulty list items become undefined (so that indices still match the source).
 */
export function parseShape<S extends Shape>(
  shape: S,
  raw: Readonly<Record<string, unknown>>,
  path: Path,
  locate: Locate,
  faults: Faults,
): Values<S> {
  const values: Record<string, unknown> = {};
  for (const [key, option] of Object.entries(shape)) {
    if (raw[key] === undefined) continue;
    const value = parseOption(option, raw[key], [...path, key], locate, faults);
    if (value !== undefined) values[key] = value;
  }
  return values as Values<S>;
}

/** Paths among the values of `shape`, relative to `base`, made absolute. */
export function absolutePaths<S extends Shape>(shape: S, values: Values<S>, base: string): Values<S> {
  const absolute = (value: unknown) => (typeof value === 'string' ? resolve(base, value) : value);
  const entries = Object.entries(values).map(([key, value]) => {
    if (shape[key]?.path !== true) return [key, value];
    return [key, Array.isArray(value) ? value.map(absolute) : absolute(value)];
  });
  return Object.fromEntries(entries) as Values<S>;
}

/** Reports each key of `raw` that is not in `known`. */
export function refuseUnknown(
  raw: Readonly<Record<string, unknown>>,
  known: readonly string[],
  path: Path,
  locate: Locate,
  faults: Faults,
): void {
  for (const key of Object.keys(raw)) {
    if (!known.includes(key)) faults.addUnknownKey(locate([...path, key]), key, known);
  }
}

/** The value of one option, or undefined with a fault added. */
export function parseOption(
  option: Option<unknown>,
  raw: unknown,
  path: Path,
  locate: Locate,
  faults: Faults,
): unknown {
  if (!option.list) return parseValue(option, raw, path, locate, faults);
  if (!Array.isArray(raw)) return [parseValue(option, raw, path, locate, faults)];
  return raw.map((item: unknown, index) => parseValue(option, item, [...path, index], locate, faults));
}

function parseValue(option: Option<unknown>, raw: unknown, path: Path, locate: Locate, faults: Faults): unknown {
  const result = option.type.schema.safeParse(raw);
  if (result.success) return result.data;
  const why = result.error.issues.find((issue) => issue.code === 'custom')?.message ?? '';
  faults.addValue(locate(path), option.type.accepts, raw, why);
  return undefined;
}

export function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
