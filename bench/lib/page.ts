import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { barChart } from './chart.js';
import { ROOT } from './paths.js';
import { type CaseResults, type Results, type ScenarioResults, spreadOf } from './results.js';
import { type Table, tables } from './table.js';

const DOCS = join(ROOT, 'docs');
const CHARTS = 'benchmarks';
const PRODUCT = 'penstock';

interface ChartWish {
  file: string;
  title: string;
  scenario: string;
  /** The last group that matches. */
  group: RegExp;
  key: string;
}

const CHART_WISHES: ChartWish[] = [
  relayChart('frames-process', /^100 streams, frames, 1200 B, 50 kpps$/, 'aUs', 'CPU of the processes'),
  relayChart('frames-machine', /^100 streams, frames, 1200 B, 50 kpps$/, 'bUs', 'CPU of the whole machine'),
  relayChart('singly-process', /^\d{4} streams, singly, 1200 B, 50 kpps$/, 'aUs', 'CPU of the processes'),
  relayChart('singly-machine', /^\d{4} streams, singly, 1200 B, 50 kpps$/, 'bUs', 'CPU of the whole machine'),
  relayChart('delay', /^100 streams, as recorded from gst-rtsp-server$/, 'addedP50Us', 'Added delay, median'),
  relayChart(
    'most',
    /^100 streams, frames, 1200 B, as fast as possible$/,
    'kpps',
    'Thousand packets a second that came out',
  ),
  {
    file: 'tcp',
    title: 'Media in the RTSP connection: CPU µs/frame',
    scenario: 'interleaved',
    group: /^100 streams, frames, 1200 B, 10 kframes/,
    key: 'frameUs',
  },
  {
    file: 'control',
    title: 'Sessions per CPU-second, one stream each',
    scenario: 'control',
    group: /1 stream/,
    key: 'perCpuSecond',
  },
];

function relayChart(name: string, group: RegExp, key: string, what: string): ChartWish {
  return { file: `relay-${name}`, title: what, scenario: 'relay', group, key };
}

/** Writes docs/benchmarks.md of one run, and its charts beside it. */
export function writePage(results: Results): void {
  const charts = drawCharts(results);
  rmSync(join(DOCS, CHARTS), { recursive: true, force: true });
  mkdirSync(join(DOCS, CHARTS));
  for (const { file, svg } of charts) writeFileSync(join(DOCS, CHARTS, file), svg);
  writeFileSync(join(DOCS, 'benchmarks.md'), page(results, charts));
}

interface DrawnChart {
  scenario: string;
  file: string;
  title: string;
  svg: string;
}

function drawCharts(results: Results): DrawnChart[] {
  return CHART_WISHES.flatMap(({ file, scenario: name, group, key, title }) => {
    const scenario = results.scenarios.find((one) => one.name === name);
    const found = scenario?.cases.findLast((one) => group.test(one.group))?.group;
    const column = scenario?.columns.find((one) => one.key === key);
    if (!scenario || found === undefined || !column) return [];
    const bars = scenario.cases.flatMap((one) => {
      const value = one.group === found ? spreadOf(one.rounds, key) : undefined;
      return value ? [{ label: one.name, value, product: one.name.startsWith(PRODUCT) }] : [];
    });
    const unit = / (µs\S*)$/.exec(column.title)?.[1];
    const whole = name === 'relay' ? `${title}${unit ? `, ${unit}` : ''}: ${found}` : title;
    return [
      {
        scenario: name,
        file: `${file}.svg`,
        title: whole,
        svg: barChart({ title: whole, digits: column.digits, bars }),
      },
    ];
  });
}

function page(results: Results, charts: readonly DrawnChart[]): string {
  const parts = [
    '<!-- Made by `npm run bench -- --docs`; do not edit. -->',
    '# Benchmarks',
    introduction(results),
    ...results.notes.map((note) => `Note: ${note}.`),
    '## Beside its rivals',
    rivals(results),
  ];
  for (const scenario of results.scenarios) {
    parts.push(`## ${title(scenario.name)}`, scenario.about);
    parts.push(...charts.filter((one) => one.scenario === scenario.name).map(image));
    parts.push(...details(scenario));
  }
  parts.push('## Again', AGAIN);
  return `${parts.filter(Boolean).join('\n\n')}\n`;
}

function introduction({ machine, ...results }: Results): string {
  const peers =
    Object.entries(machine.rivals)
      .map((pair) => pair.join(' '))
      .join(', ') || 'none';
  const place =
    results.bed === 'namespaces' ? 'network namespaces joined by veth pairs' : 'one network namespace, over loopback';
  return (
    `One run of \`npm run bench\` on ${results.date.slice(0, 10)} at ${machine.commit}: medians of ${results.rounds} ` +
    `round${results.rounds === 1 ? '' : 's'}, in each of which everything is measured after everything else; smallest and largest in parentheses; ` +
    `no spread: measured once; ${results.seconds} s a measurement, ${Math.round(results.minutes)} minutes in all. Absolute values are this ` +
    'machine’s; compare what stands in one table. Bars are medians, thin lines reach from the smallest to the largest.\n\n' +
    `Machine: ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, Linux ${machine.kernel}, Node ` +
    `${machine.node}, ${machine.fileLimit} descriptors per process, net.core.rmem_max ${machine.rmemMax}; load of the ` +
    `minute before ${machine.load.toFixed(2)}. Rivals: ${peers}. Client, appliance and servers are in ${place}.`
  );
}

/** One row for each kind of media, one column for each rival and cost. */
function rivals({ scenarios }: Results): string {
  const relay = scenarios.find(({ name }) => name === 'relay');
  if (!relay) return '';
  const columns = [
    { key: 'gsoRatio', tier: 'gso', letter: 'A' },
    { key: 'offloadRatio', tier: 'offload', letter: 'B' },
  ].flatMap(({ key, ...rest }) =>
    [...new Set(relay.cases.filter((one) => spreadOf(one.rounds, key)).map(({ name }) => name))].map((rival) => ({
      key,
      rival,
      ...rest,
    })),
  );
  const groups = [...new Set(relay.cases.map(({ group }) => group))];
  const cell = (group: string, rival: string, key: string): string => {
    const found = relay.cases.find((one) => one.group === group && one.name === rival);
    return (found && spreadOf(found.rounds, key)?.median.toFixed(2)) ?? '';
  };
  const rows = groups.map((group) => [group, ...columns.map(({ key, rival }) => cell(group, rival, key))]);
  const titles = ['', ...columns.map(({ rival, tier, letter }) => `${tier} / ${rival}, ${letter}`)];
  return [
    'CPU of penstock in that of its rival, with the same streams in the same round: 0.5 is half. A is the CPU of the ' +
      'processes per packet, B that of the whole machine. Tier gso needs no privileges, offload runs in the kernel.',
    markdownTable({ group: '', titles, rows: rows.filter((row) => row.slice(1).some(Boolean)) }),
    absences(relay.cases),
  ].join('\n\n');
}

/** What is not there, once. */
function absences(cases: readonly CaseResults[]): string {
  const lines = cases.flatMap(({ name, absent }) => (absent === undefined ? [] : [`- ${name}: ${absent}`]));
  return [...new Set(lines)].join('\n');
}

/** The tables of a scenario: many groups are folded away. */
function details(scenario: ScenarioResults): string[] {
  return tables(scenario).flatMap((table) => {
    if (table.group === '') return [markdownTable(table)];
    return [`<details><summary>${table.group}</summary>`, markdownTable(table), '</details>'];
  });
}

const title = (name: string): string => name.charAt(0).toUpperCase() + name.slice(1);
const image = ({ file, title }: DrawnChart): string => `![${title}](${CHARTS}/${file})`;

function markdownTable({ titles, rows }: Table): string {
  const line = (row: readonly string[]): string => `| ${row.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const rule = titles.map((_, column) => (column === 0 ? '---' : '---:'));
  return [titles, rule, ...rows].map(line).join('\n');
}

const AGAIN = `\`\`\`sh
sudo npm run bench -- --docs                       # everything; on a machine that does nothing else
sudo npm run bench -- relay/100 --only gso,nginx   # a part
sudo npm run bench -- --compare FILE               # beside an earlier run, whose results --out kept
sudo npm run bench -- --quick                      # two minutes; fails where the product loses a packet
\`\`\`

Without root everything runs over loopback: less is measured, and \`kernel NAT\` not at all. Rivals that are not
installed are named with the packages that bring them. The generator (\`bench/native\`) has one core, what is measured
another; with two cores or fewer nothing is left for anybody else.`;
