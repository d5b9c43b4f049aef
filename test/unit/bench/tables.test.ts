import { describe, expect, it } from 'vitest';
import { barChart } from '../../../bench/lib/chart.js';
import type { Machine } from '../../../bench/lib/machine.js';
import { caseOf, newResults, type Results, type ScenarioResults } from '../../../bench/lib/results.js';
import { rotate, spread } from '../../../bench/lib/statistics.js';
import { plainTable, tables } from '../../../bench/lib/table.js';

const machine: Machine = {
  kernel: '',
  cpu: '',
  cores: 2,
  memoryGiB: 1,
  node: '',
  commit: '',
  fileLimit: 1,
  rmemMax: 1,
  rivals: {},
  load: 0,
};

function scenarioOf(...values: number[]): ScenarioResults {
  const columns = [
    { key: 'cpu', title: 'µs', digits: 1, better: 'lower' as const },
    { key: 'never', title: 'never measured', digits: 0, better: 'none' as const },
  ];
  const scenario: ScenarioResults = { name: 'relay', about: '', columns, cases: [] };
  for (const cpu of values) caseOf(scenario, { group: 'frames', name: 'ours' }).rounds.push({ cpu });
  caseOf(scenario, { group: 'frames', name: 'theirs' }).absent = 'not installed: apt-get install theirs';
  return scenario;
}

function resultsOf(scenario: ScenarioResults): Results {
  return newResults({ date: '', machine, bed: 'loopback', rounds: 3, seconds: 1, scenarios: [scenario] });
}

describe('tables of results', () => {
  it('show the median of the rounds, with its spread, and only columns that were measured', () => {
    const [table] = tables(scenarioOf(3, 1, 2));
    expect(table).toEqual({
      group: 'frames',
      titles: ['', 'µs'],
      rows: [
        ['ours', '2.0 (1.0-3.0)'],
        ['theirs: not installed: apt-get install theirs', ''],
      ],
    });
  });

  it('set medians against those of an earlier run', () => {
    const [table] = tables(scenarioOf(3), resultsOf(scenarioOf(2)));
    expect(table?.rows[0]).toEqual(['ours', '3.0 ×1.50']);
  });

  it('keep rows of a group together, whatever a later round adds', () => {
    const scenario = scenarioOf(1);
    for (const [group, name] of [
      ['other', 'ours'],
      ['frames', 'late'],
    ] as const)
      caseOf(scenario, { group, name });
    expect(scenario.cases.map(({ group, name }) => `${group} ${name}`)).toEqual([
      'frames ours',
      'frames theirs',
      'frames late',
      'other ours',
    ]);
  });

  it('are not made wide by a reason', () => {
    const [table] = tables(scenarioOf(1));
    const [titles] = plainTable(table as NonNullable<typeof table>).split('\n');
    expect(titles).toBe('       µs');
  });
});

describe('statistics', () => {
  it('take the middle of an even number of values', () => {
    expect(spread([4, 1, 2, 9])).toEqual({ median: 3, min: 1, max: 9, count: 4 });
    expect(spread([])).toBeUndefined();
  });

  it('begin with another case in each round', () => {
    expect([0, 1, 4].map((round) => rotate(['a', 'b', 'c'], round).join(''))).toEqual(['abc', 'bca', 'bca']);
  });
});

describe('charts', () => {
  const value = { median: 2, min: 1, max: 4, count: 3 };

  it('draw a bar for the median and a line for the spread', () => {
    const svg = barChart({ title: 'A < B & C', digits: 1, bars: [{ label: 'ours', value, product: true }] });
    expect(svg).toContain('<title>A &lt; B &amp; C</title>');
    expect(svg).toMatch(/<rect class="product" x="190" y="40" width="220"/);
    expect(svg).toMatch(/<line class="spread" x1="300" x2="630"/);
    expect(svg).toContain('>2.0</text>');
  });

  it('draw nothing below zero', () => {
    const below = { median: -3, min: -5, max: -1, count: 3 };
    const svg = barChart({ title: '', digits: 0, bars: [{ label: 'x', value: below, product: false }] });
    expect(svg).toMatch(/<rect class="other" x="190" y="40" width="0"/);
  });
});
