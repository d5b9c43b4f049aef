import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { it } from 'vitest';
import { Coverage } from './coverage.js';
import { mutate } from './mutate.js';
import { Random } from './random.js';

const SEEDS = fileURLToPath(new URL('./seeds', import.meta.url));
/** Mutated inputs of the run that belongs to the normal tests. */
const SHORT_RUN = 1_000;
/** Inputs between two looks at the coverage, which costs more than most of them. */
const BATCH = 64;
/** A campaign takes for found what keeps the process busy for so long: nobody else is served meanwhile. */
const SLOW_US = 1_000_000;
const SPARE_MS = 120_000;

export interface Target {
  name: string;
  /** Inputs to begin with, beside those in `seeds/NAME`. */
  seeds: readonly Buffer[];
  /** Of the language of the inputs. */
  words: readonly string[];
  /** Mutated inputs of the short run, where they take longer than those of others. */
  shortRun?: number;
  /** Which sources guide the campaign. */
  sources: RegExp;
  /** Throws (or rejects) for an input that shows a fault. */
  run(input: Buffer): unknown;
}

/**
 * A test that runs the seeds (each input that ever found something is one) and a few mutations of them; under
 * `npm run fuzz` a campaign: mutations that reach a new block of the sources are mutated further.
 */
export function fuzz(target: Target): void {
  const seconds = Number(process.env.PENSTOCK_FUZZ_SECONDS ?? 0);
  const wanted = process.env.PENSTOCK_FUZZ_TARGETS?.split(',');
  const isWanted = wanted?.some((word) => target.name.includes(word)) ?? true;
  const timeout = seconds * 1_000 + SPARE_MS;
  it.runIf(seconds === 0 || isWanted)(`fuzz ${target.name}`, { timeout }, () =>
    seconds > 0 ? campaign(target, seconds) : shortRun(target),
  );
}

async function shortRun(target: Target): Promise<void> {
  const inputs = inputsOf(target);
  const random = new Random(1);
  for (const input of inputs) await tryOut(target, input);
  for (let i = 0; i < (target.shortRun ?? SHORT_RUN); i++) await tryOut(target, mutate(random, inputs, target.words));
}

/** What a campaign did; `npm run fuzz` sums it up. */
interface Result {
  name: string;
  executions: number;
  found: number;
}

async function campaign(target: Target, seconds: number): Promise<void> {
  const result: Result = { name: target.name, executions: 0, found: 0 };
  try {
    await search(target, seconds, result);
  } catch (error) {
    result.found++;
    throw error;
  } finally {
    const file = process.env.PENSTOCK_FUZZ_RESULTS;
    if (file !== undefined) appendFileSync(file, `${JSON.stringify(result)}\n`);
  }
}

async function search(target: Target, seconds: number, result: Result): Promise<void> {
  const inputs = inputsOf(target);
  const random = new Random(Date.now());
  const coverage = new Coverage(target.sources);
  const attempt = async (input: Buffer) => {
    // Not time on the clock: the machine may be busy with something else.
    const before = process.cpuUsage();
    result.executions++;
    await tryOut(target, input);
    const { user, system } = process.cpuUsage(before);
    if (user + system > SLOW_US) throw found(target, input, new Error('too slow'));
  };
  for (const input of inputs) await attempt(input);
  coverage.takeNew();
  for (const end = Date.now() + seconds * 1_000; Date.now() < end; ) {
    const batch = Array.from({ length: BATCH }, () => mutate(random, inputs, target.words));
    for (const input of batch) await attempt(input);
    if (coverage.takeNew() > 0) inputs.push(...batch);
  }
  coverage.stop();
}

function inputsOf({ name, seeds }: Target): Buffer[] {
  const folder = join(SEEDS, name);
  const files = existsSync(folder) ? readdirSync(folder).map((file) => readFileSync(join(folder, file))) : [];
  return [...seeds, ...files];
}

async function tryOut(target: Target, input: Buffer): Promise<void> {
  try {
    await target.run(input);
  } catch (error) {
    throw found(target, input, error);
  }
}

/** Keeps the input, to become a seed when the fault is mended. */
function found({ name }: Target, input: Buffer, cause: unknown): Error {
  const folder = process.env.PENSTOCK_FUZZ_FOUND ?? join(tmpdir(), 'penstock-fuzz');
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `${name}-${createHash('sha256').update(input).digest('hex').slice(0, 12)}`);
  writeFileSync(file, input);
  return new Error(`${name} found something: ${(cause as Error).message}; the input is in ${file}`, { cause });
}
