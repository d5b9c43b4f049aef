import { type CaseResults, medianOf, type Results, type ScenarioResults, spreadOf } from './results.js';
import type { Column } from './scenario.js';
import type { Spread } from './statistics.js';

/** One group of a scenario: the titles, then a row of cells for each case. */
export interface Table {
  group: string;
  titles: string[];
  rows: string[][];
}

/** `median`, with `(min-max)` where there were several rounds. */
export function cellText(value: Spread | undefined, { digits }: Column): string {
  if (!value) return '';
  const median = value.median.toFixed(digits);
  if (value.count === 1) return median;
  return `${median} (${value.min.toFixed(digits)}-${value.max.toFixed(digits)})`;
}

/** A table for each group. With `against`, each median has the ratio to that run's beside it. */
export function tables(scenario: ScenarioResults, against?: Results): Table[] {
  const groups = [...new Set(scenario.cases.map(({ group }) => group))];
  return groups.map((group) => table(scenario, group, against));
}

function table(scenario: ScenarioResults, group: string, against: Results | undefined): Table {
  const cases = scenario.cases.filter((one) => one.group === group);
  // A column that no case filled was not measured here.
  const columns = scenario.columns.filter(({ key }) => cases.some(({ rounds }) => spreadOf(rounds, key)));
  const row = (one: CaseResults): string[] => {
    if (one.absent !== undefined) return [`${one.name}: ${one.absent}`, ...columns.map(() => '')];
    return [
      one.name,
      ...columns.map((column) => {
        const value = spreadOf(one.rounds, column.key);
        return cellText(value, column) + ratio(value, against && medianOf(against, scenario.name, one, column.key));
      }),
    ];
  };
  return { group, titles: ['', ...columns.map(({ title }) => title)], rows: cases.map(row) };
}

/** `×1.20` of a former median. */
function ratio(value: Spread | undefined, before: number | undefined): string {
  return value && before ? ` ×${(value.median / before).toFixed(2)}` : '';
}

export function plainTable({ titles, rows }: Table): string {
  // A reason has the line for itself and makes no column wide.
  const full = rows.filter((row) => row.length === 1 || row.slice(1).some(Boolean));
  const widths = titles.map((title, column) =>
    Math.max(title.length, ...full.map((row) => (row[column] ?? '').length)),
  );
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  ');
  return [titles, ...rows].map((row) => line(row).trimEnd()).join('\n');
}
