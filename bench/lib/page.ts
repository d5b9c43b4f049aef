import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './paths.js';
import type { Results } from './results.js';
import { type Table, tables } from './table.js';

/** Writes docs/benchmarks.md of one run. */
export function writePage(results: Results): void {
  writeFileSync(join(ROOT, 'docs', 'benchmarks.md'), benchmarksPage(results));
}

function benchmarksPage(results: Results): string {
  const parts = ['<!-- Made by `npm run bench -- --docs`; do not edit. -->', '# Benchmarks'];
  for (const scenario of results.scenarios) {
    parts.push(`## ${scenario.name}`, scenario.about, ...tables(scenario).map(markdownTable));
  }
  return `${parts.join('\n\n')}\n`;
}

function markdownTable({ titles, rows }: Table): string {
  const line = (row: readonly string[]): string => `| ${row.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const rule = titles.map((_, column) => (column === 0 ? '---' : '---:'));
  return [titles, rule, ...rows].map(line).join('\n');
}
