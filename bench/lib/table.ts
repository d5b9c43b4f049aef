import { former, type Results, type ScenarioResults, spreadOf } from './results.js';
import type { Column } from './scenario.js';
import type { Spread } from './statistics.js';

/** Rows of cells, the first being the titles. */
export type Cells = string[][];

/** `median`, with `(min-max)` where there were several rounds. */
export function cellText(value: Spread | undefined, { digits }: Column): string {
  if (!value) return '';
  const median = value.median.toFixed(digits);
  if (value.count === 1) return median;
  return `${median} (${value.min.toFixed(digits)}-${value.max.toFixed(digits)})`;
}

export function cells(scenario: ScenarioResults, against?: Results): Cells {
  // A column that no case filled was not measured in this run.
  const columns = scenario.columns.filter(({ key }) => scenario.cases.some(({ rounds }) => spreadOf(rounds, key)));
  const rows = scenario.cases.map(({ name, rounds }) => [
    name,
    ...columns.map((column) => {
      const value = spreadOf(rounds, column.key);
      return cellText(value, column) + ratio(value, against && former(against, scenario.name, name, column.key));
    }),
  ]);
  return [['', ...columns.map(({ title }) => title)], ...rows];
}

/** `×1.20` of a former median. */
function ratio(value: Spread | undefined, before: number | undefined): string {
  return value && before ? ` ×${(value.median / before).toFixed(2)}` : '';
}

export function plainTable(rows: Cells): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  const line = (row: string[]): string =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  ');
  return rows.map((row) => line(row).trimEnd()).join('\n');
}
