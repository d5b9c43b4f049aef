import type { Results } from './results.js';
import { cells } from './table.js';

/** docs/benchmarks.md of one run. */
export function benchmarksPage(results: Results): string {
  const { machine } = results;
  const parts = [
    '<!-- Made by `npm run bench -- --docs FILE`; do not edit. -->',
    '# Benchmarks',
    `One run of \`npm run bench\` on ${results.date}, commit ${machine.commit}: medians of ${results.rounds} interleaved ` +
      `rounds, smallest and largest in parentheses, ${results.seconds} s a measurement. Absolute values are this ` +
      "machine's; what was measured side by side can be compared.",
    `Machine: ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, Linux ${machine.kernel}, ` +
      `Node ${machine.node}, at most ${machine.fileLimit} descriptors per process, ` +
      `net.core.rmem_max ${machine.rmemMax}; load of the minute before: ${machine.load.toFixed(2)}. ` +
      `Client, appliance and servers in ${results.bed === 'namespaces' ? 'network namespaces joined by veth pairs' : 'one namespace, over loopback'}.`,
    ...results.notes.map((note) => `Note: ${note}`),
  ];
  for (const scenario of results.scenarios) {
    parts.push(`## ${scenario.name}`, scenario.about, markdownTable(cells(scenario)));
  }
  return `${parts.join('\n\n')}\n`;
}

function markdownTable(rows: string[][]): string {
  const [titles = [], ...body] = rows;
  const line = (row: readonly string[]): string => `| ${row.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const rule = titles.map((_, column) => (column === 0 ? '---' : '---:'));
  return [titles, rule, ...body].map(line).join('\n');
}
