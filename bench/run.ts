import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { machine } from './lib/machine.js';
import { writePage } from './lib/page.js';
import { ROOT } from './lib/paths.js';
import { type Bed, loopbackBed, namespaceBed } from './lib/place.js';
import { caseOf, newResults, type Results, readResults, type ScenarioResults, writeResults } from './lib/results.js';
import type { CaseName, Context, Scenario, Values } from './lib/scenario.js';
import { plainTable, tables } from './lib/table.js';
import { control } from './scenarios/control.js';
import { gaps } from './scenarios/gaps.js';
import { interleaved } from './scenarios/interleaved.js';
import { memory } from './scenarios/memory.js';
import { messages } from './scenarios/messages.js';
import { relay } from './scenarios/relay.js';

const SCENARIOS: Scenario[] = [relay, interleaved, control, messages, memory, gaps];
const ROUNDS = 3;
const SECONDS = 0.4;
const QUICK_SECONDS = 0.5;

const USAGE = `npm run bench -- [WORD…] [options]

WORD selects scenarios (${SCENARIOS.map(({ name }) => name).join(', ')}) or parts (SCENARIO/TEXT: those whose name holds TEXT).

  --only NAME,…    of what is compared, only names that hold one of these (direct is always there)
  --quick          one short round at modest rates, in two minutes: must work, and the product must lose nothing
  --rounds N       rounds, interleaved (default ${ROUNDS})
  --seconds T      length of one measurement (default ${SECONDS})
  --out FILE       results as JSON (default bench/results/TIME.tmp.json)
  --compare FILE   shows the ratio to the medians of an earlier run
  --docs           writes docs/benchmarks.md and its charts
  --against DIR    another build of penstock (the folder that has dist and build), beside this one in control
  --from FILE      measures nothing: shows (and with --docs writes) the results of an earlier run
  --loopback       one namespace, addresses 127.0.0.1 to .3 (default without root)
`;

/** What was typed makes no sense. */
class UsageError extends Error {}

const OPTIONS = {
  quick: { type: 'boolean', default: false },
  rounds: { type: 'string' },
  seconds: { type: 'string' },
  out: { type: 'string' },
  compare: { type: 'string' },
  loopback: { type: 'boolean', default: false },
  docs: { type: 'boolean', default: false },
  from: { type: 'string' },
  against: { type: 'string' },
  only: { type: 'string' },
  help: { type: 'boolean', default: false },
} as const;

type Options = ReturnType<typeof parse>;

function parse() {
  const { values, positionals } = parseArgs({ options: OPTIONS, allowPositionals: true });
  const number = (text: string | undefined, standard: number): number => {
    const value = text === undefined ? standard : Number(text);
    if (!(value > 0)) throw new UsageError(`expected a number above 0, got ${text}`);
    return value;
  };
  return {
    ...values,
    words: positionals,
    only: values.only?.split(',') ?? [],
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
      if (!SCENARIOS.some(({ name }) => name === word.split('/')[0])) throw new UsageError(`no such scenario: ${word}`);
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
  readonly #start = performance.now();
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
    this.results = newResults({ date, machine: machine(), bed: bed.kind, rounds, seconds, scenarios });
  }

  scenarios(): Scenario[] {
    return SCENARIOS.filter(({ name }) => this.#selection.scenario(name));
  }

  async round(round: number): Promise<void> {
    for (const scenario of this.scenarios()) {
      const results = this.results.scenarios.find(({ name }) => name === scenario.name);
      if (!results) continue;
      const seconds = Math.round((performance.now() - this.#start) / 1000);
      progress(`${seconds} s, round ${round + 1} of ${this.#options.rounds}: ${scenario.name}`);
      await scenario.run(this.#context(results, round));
    }
    this.results.minutes = (performance.now() - this.#start) / 60_000;
  }

  #context(results: ScenarioResults, round: number): Context {
    const { quick, seconds, only, against } = this.#options;
    return {
      bed: this.#bed,
      quick,
      seconds,
      round,
      partial: this.#options.words.length > 0,
      against: against === undefined ? undefined : resolve(against),
      wants: (text) => this.#selection.case(results.name, text),
      compares: (name) => only.length === 0 || only.some((text) => name.includes(text)),
      record: (which, values) => record(results, which, values),
      absent: (which, why) => {
        caseOf(results, which).absent = why;
      },
      note: (text) => {
        if (!this.results.notes.includes(text)) this.results.notes.push(text);
      },
      fail: (text) => {
        progress(`FAILED: ${text}`);
        this.faults.push(text);
      },
    };
  }
}

function record(results: ScenarioResults, which: CaseName, values: Values): void {
  progress(`  ${[which.group, which.name].filter(Boolean).join(': ')}`);
  caseOf(results, which).rounds.push(values);
}

/** Progress goes to stderr; stdout holds the tables. */
function progress(text: string): void {
  process.stderr.write(`${text}\n`);
}

function print(results: Results, against: Results | undefined): void {
  for (const scenario of results.scenarios) {
    process.stdout.write(`\n== ${scenario.name}\n`);
    for (const table of tables(scenario, against)) {
      process.stdout.write(`\n${table.group ? `${table.group}\n` : ''}${plainTable(table)}\n`);
    }
  }
  for (const note of results.notes) process.stdout.write(`\nNote: ${note}\n`);
}

function makeBed(loopback: boolean): Bed {
  return loopback || process.getuid?.() !== 0 ? loopbackBed() : namespaceBed();
}

async function measure(options: Options): Promise<Results> {
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
  progress(`results: ${file}`);
  if (run.faults.length > 0) process.exitCode = 1;
  return run.results;
}

async function bench(options: Options): Promise<void> {
  const against = options.compare === undefined ? undefined : readResults(options.compare);
  const results = options.from === undefined ? await measure(options) : readResults(options.from);
  print(results, against);
  if (options.docs) writePage(results);
}

process.env.PATH += ':/usr/sbin:/sbin'; // where rivals are
try {
  const options = parse();
  if (options.help) process.stdout.write(USAGE);
  else await bench(options);
} catch (error) {
  const { code } = error as NodeJS.ErrnoException;
  if (!(error instanceof UsageError) && !code?.startsWith('ERR_PARSE_ARGS')) throw error;
  process.stderr.write(`${(error as Error).message}\n\n${USAGE}`);
  process.exitCode = 2;
}
