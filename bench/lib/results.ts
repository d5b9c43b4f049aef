import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Machine } from './machine.js';
import type { Column, Values } from './scenario.js';
import { type Spread, spread } from './statistics.js';

/** A whole run. Each case keeps the values of every round; medians are made when they are shown. */
export interface Results {
  format: 1;
  date: string;
  machine: Machine;
  bed: string;
  rounds: number;
  seconds: number;
  notes: string[];
  scenarios: ScenarioResults[];
}

export interface ScenarioResults {
  name: string;
  about: string;
  columns: Column[];
  cases: { name: string; rounds: Values[] }[];
}

export function readResults(file: string): Results {
  const results = JSON.parse(readFileSync(file, 'utf8')) as Results;
  if (results.format !== 1) throw new Error(`${file}: not a result of this bench`);
  return results;
}

export function writeResults(file: string, results: Results): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(results, null, 1)}\n`);
}

/** The spread of one number of a case over its rounds. */
export function spreadOf(rounds: readonly Values[], key: string): Spread | undefined {
  return spread(rounds.flatMap((values) => values[key] ?? []));
}

/** The median a former run had in the same place. */
export function former(results: Results, scenario: string, name: string, key: string): number | undefined {
  const found = results.scenarios.find((one) => one.name === scenario)?.cases.find((one) => one.name === name);
  return found && spreadOf(found.rounds, key)?.median;
}
