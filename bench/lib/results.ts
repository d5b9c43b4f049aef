import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Machine } from './machine.js';
import type { CaseName, Column, Values } from './scenario.js';
import { type Spread, spread } from './statistics.js';

const FORMAT = 2;

/** A whole run. Each case keeps the values of every round; medians are made when they are shown. */
export interface Results {
  format: typeof FORMAT;
  date: string;
  machine: Machine;
  bed: string;
  rounds: number;
  seconds: number;
  /** How long the whole run took. */
  minutes: number;
  notes: string[];
  scenarios: ScenarioResults[];
}

export interface ScenarioResults {
  name: string;
  about: string;
  columns: Column[];
  cases: CaseResults[];
}

export interface CaseResults extends CaseName {
  /** Why there are no values. */
  absent?: string;
  rounds: Values[];
}

export function newResults(head: Omit<Results, 'format' | 'minutes' | 'notes'>): Results {
  return { format: FORMAT, ...head, minutes: 0, notes: [] };
}

export function readResults(file: string): Results {
  const results = JSON.parse(readFileSync(file, 'utf8')) as Results;
  if (results.format !== FORMAT) throw new Error(`${file}: not a result of this bench`);
  return results;
}

export function writeResults(file: string, results: Results): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(results, null, 1)}\n`);
}

/** The row of that name, made if there is none. */
export function caseOf(scenario: ScenarioResults, { group, name }: CaseName): CaseResults {
  const known = findCase(scenario, { group, name });
  if (known) return known;
  const made = { group, name, rounds: [] };
  // Rows of a group stand together, whatever a later round adds.
  const last = scenario.cases.findLastIndex((one) => one.group === group);
  scenario.cases.splice(last < 0 ? scenario.cases.length : last + 1, 0, made);
  return made;
}

export function findCase(scenario: ScenarioResults, { group, name }: CaseName): CaseResults | undefined {
  return scenario.cases.find((one) => one.group === group && one.name === name);
}

/** The spread of one number of a case over its rounds. */
export function spreadOf(rounds: readonly Values[], key: string): Spread | undefined {
  return spread(rounds.flatMap((values) => values[key] ?? []));
}

/** The median a run has in one place of its tables. */
export function medianOf(results: Results, scenario: string, which: CaseName, key: string): number | undefined {
  const found = results.scenarios.find((one) => one.name === scenario);
  const row = found && findCase(found, which);
  return row && spreadOf(row.rounds, key)?.median;
}
