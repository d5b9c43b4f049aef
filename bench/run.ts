import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { machine } from './lib/machine.js';
import { benchmarksPage } from './lib/markdown.js';
import { ROOT } from './lib/paths.js';
import { type Bed, loopbackBed, namespaceBed } from './lib/place.js';
import { type Results, readResults, writeResults } from './lib/results.js';
import type { Context, Scenario } from './lib/scenario.js';
import { cells, plainTable } from './lib/table.js';
import { control } from './scenarios/control.js';
import { gaps } from './scenarios/gaps.js';
import { memory } from './scenarios/memory.js';
import { relay } from './scenarios/relay.js';

const SCENARIOS: Scenario[] = [control, relay, memory, gaps];
const ROUNDS = 5;
const SECONDS = 0.6;
const QUICK_SECONDS = 0.5;

const USAGE = `npm run bench -- [WORD…] [options]

WORD selects scenarios (${SCENARIOS.map(({ name }) => name).join(', ')}) or cases (SCENARIO/TEXT: those whose name holds TEXT).

  --quick          one short round at modest rates: must work and lose nothing
  --rounds N       rounds, interleaved (default ${ROUNDS})
  --seconds T      length of one measurement (default ${SECONDS})
  --out FILE       results as JSON (default bench/results/TIME.tmp.json)
  --compare FILE   shows the ratio to the medians of an earlier run
  --loopback       one namespace, addresses 127.0.0.1 to .3 (default without root)
  --docs FILE      measures nothing: writes docs/benchmarks.md from results
`;

const OPTIONS = {
  quick: { type: 'boolean', default: false },
  rounds: { type: 'string' },
  seconds: { type: 'string' },
  out: { type: 'string' },
  compare: { type: 'string' },
  loopback: { type: 'boolean', default: false },
  docs: { type: 'string' },
  help: { type: 'boolean', default: false },
} as const;

type Options = ReturnType<typeof parse>;

function parse() {
  const { values, positionals } = parseArgs({ options: OPTIONS, allowPositionals: true });
  const number = (text: string | undefined, standard: number): number => {
    const value = text === undefined ? standard : Number(text);
    if (!(value > 0)) throw new Error(`expected a number above 0, got ${text}`);
    return value;
  };
  return {
    ...values,
    words: positionals,
    rounds: number(values.rounds, values.quick ? 1 : ROUNDS),
    seconds: number(values.seconds, values.quick ? QUICK_SECONDS : SECONDS),
  };
}

/** Which scenarios and cases the words ask for. */
class Selection {
  readonly #words: string[];

  constructor(words: readonly string[]) {
    this.#words = [...words];
    for (const word of words) {
      if (!SCENARIOS.some(({ name }) => name === word.split('/')[0])) throw new Error(`no such scenario: ${word}`);
    }
  }

  scenario(name: string): boolean {
    return this.#words.length === 0 || this.#of(name).length > 0;
  }

  case(scenario: string, name: string): boolean {
    const texts = this.#of(scenario).map((word) => word.slice(scenario.length + 1));
    return texts.length === 0 || texts.some((text) => name.includes(text));
  }

  #of(scenario: string): string[] {
    return this.#words.filter((word) => word.split('/')[0] === scenario);
  }
}

/** What was measured so far. */
class Run {
  readonly results: Results;
  readonly faults: string[] = [];
  readonly #selection: Selection;
  readonly #bed: Bed;
  readonly #options: Options;

  constructor(options: Options, bed: Bed) {
    this.#options = options;
    this.#bed = bed;
    this.#selection = new Selection(options.words);
    const { rounds, seconds } = options;
    const date = new Date().toISOString();
    const scenarios = this.scenarios().map(({ name, about, columns }) => ({
      name,
      about,
      columns: [...columns],
      cases: [],
    }));
    this.results = { format: 1, date, machine: machine(), bed: bed.kind, rounds, seconds, notes: [], scenarios };
  }

  scenarios(): Scenario[] {
    return SCENARIOS.filter(({ name }) => this.#selection.scenario(name));
  }

  async round(round: number): Promise<void> {
    for (const scenario of this.scenarios()) {
      progress(`round ${round + 1} of ${this.#options.rounds}: ${scenario.name}`);
      await scenario.run(this.#context(scenario, round));
    }
  }

  #context({ name }: Scenario, round: number): Context {
    return {
      bed: this.#bed,
      quick: this.#options.quick,
      seconds: this.#options.seconds,
      round,
      wants: (text) => this.#selection.case(name, text),
      record: (text, values) => this.#record(name, text, values),
      note: (text) => {
        if (!this.results.notes.includes(text)) this.results.notes.push(text);
      },
      fail: (text) => {
        progress(`FAILED: ${text}`);
        this.faults.push(text);
      },
    };
  }

  #record(scenario: string, name: string, values: Record<string, number>): void {
    progress(`  ${name}`);
    const results = this.results.scenarios.find((one) => one.name === scenario);
    const known = results?.cases.find((one) => one.name === name);
    if (known) known.rounds.push(values);
    else results?.cases.push({ name, rounds: [values] });
  }
}

/** Progress goes to stderr; stdout holds the tables. */
function progress(text: string): void {
  process.stderr.write(`${text}\n`);
}

function print(results: Results, against: Results | undefined): void {
  for (const scenario of results.scenarios) {
    process.stdout.write(`\n${scenario.name}\n${plainTable(cells(scenario, against))}\n`);
  }
  for (const note of results.notes) process.stdout.write(`\nNote: ${note}\n`);
}

function makeBed(loopback: boolean): Bed {
  return loopback || process.getuid?.() !== 0 ? loopbackBed() : namespaceBed();
}

async function bench(options: Options): Promise<void> {
  const against = options.compare === undefined ? undefined : readResults(options.compare);
  const bed = makeBed(options.loopback);
  const run = new Run(options, bed);
  const file = options.out ?? join(ROOT, 'bench', 'results', `${run.results.date.replaceAll(':', '-')}.tmp.json`);
  try {
    for (let round = 0; round < options.rounds; round++) {
      await run.round(round);
      writeResults(file, run.results); // a later round may fail
    }
  } finally {
    bed.destroy();
  }
  print(run.results, against);
  process.stdout.write(`\nresults: ${file}\n`);
  if (run.faults.length > 0) process.exitCode = 1;
}

const options = parse();
if (options.help) process.stdout.write(USAGE);
else if (options.docs === undefined) await bench(options);
else writeFileSync(join(ROOT, 'docs', 'benchmarks.md'), benchmarksPage(readResults(options.docs)));
