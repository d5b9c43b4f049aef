import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, Option as Flag, InvalidArgumentError } from 'commander';
import { type AdminTarget, askAppliance } from '../../admin/client.js';
import type { ShowName, Shown } from '../../admin/source.js';
import { duration } from '../../config/values.js';
import { PenstockError } from '../../errors.js';
import type { Context } from '../context.js';
import { addTargetOptions, readTarget } from '../target.js';
import type { Terminal } from '../terminal.js';
import { formatPage } from '../top/page.js';
import { compare, type Sample } from '../top/sample.js';
import { Screen } from '../top/screen.js';

const DEFAULT_INTERVAL = { ms: 2_000, text: '2' };
const INTERVAL = duration(0.1, 3600);
const CTRL_C = '\u0003';

interface Given {
  /** Milliseconds. */
  interval: number;
  once?: true;
}

export function addTop(program: Command, context: Context): void {
  const command = program
    .command('top')
    .summary('what a running appliance does, as it does it')
    .description(
      'Shows sessions, traffic and drops of the vservers and services of a running appliance, what moves their ' +
        'media, and its processes, again and again; q ends it. Where standard output is no terminal, page follows page.',
    )
    .addOption(
      new Flag('--interval <SEC>', 'Time from one page to the next.')
        .argParser(readInterval)
        .default(DEFAULT_INTERVAL.ms, DEFAULT_INTERVAL.text),
    )
    .option('--once', 'Print one page, after one interval, and end.');
  addTargetOptions(command).action(async (given: Given & Record<string, unknown>) => {
    const target = readTarget(context, given);
    const terminal = given.once ? undefined : context.terminal?.();
    if (given.once) await printOnce(context, target, given.interval);
    else if (terminal) await watch(terminal, target, given.interval);
    else await printOn(context, target, given.interval);
  });
}

function readInterval(text: string): number {
  const interval = INTERVAL.schema.safeParse(text);
  if (interval.success) return interval.data;
  throw new InvalidArgumentError(`Expected ${INTERVAL.accepts}.`);
}

async function printOnce(context: Context, target: AdminTarget, intervalMs: number): Promise<void> {
  const before = await takeSample(target);
  await pause(intervalMs);
  context.out(plainPage(await takeSample(target), before, intervalMs));
}

/** Until a signal, or until the appliance is gone. */
async function printOn(context: Context, target: AdminTarget, intervalMs: number): Promise<never> {
  for (let before = await takeSample(target); ; ) {
    await pause(intervalMs);
    const now = await takeSample(target);
    context.out(`${plainPage(now, before, intervalMs)}\n`);
    before = now;
  }
}

/** Until a key ends it. An appliance that is gone may come back. */
async function watch(terminal: Terminal, target: AdminTarget, intervalMs: number): Promise<void> {
  let before: Sample | undefined = await takeSample(target);
  const screen = new Screen(terminal);
  const quit = new AbortController();
  const stopKeys = terminal.onKey((key) => {
    if (key === 'q' || key === CTRL_C) quit.abort();
  });
  try {
    screen.show(page(before, undefined, intervalMs));
    while (await pause(intervalMs, quit.signal)) before = await refresh(screen, target, before, intervalMs);
  } finally {
    stopKeys();
    screen.close();
  }
}

async function refresh(
  screen: Screen,
  target: AdminTarget,
  before: Sample | undefined,
  intervalMs: number,
): Promise<Sample | undefined> {
  try {
    const now = await takeSample(target);
    screen.show(page(now, before, intervalMs));
    return now;
  } catch (error) {
    if (!(error instanceof PenstockError)) throw error;
    screen.show(['penstock top: waiting for the appliance; q quits', error.message]);
    return undefined;
  }
}

function plainPage(now: Sample, before: Sample, intervalMs: number): string {
  return formatPage(`penstock top: the last ${intervalMs / 1000} s`, compare(now, before)).join('\n');
}

function page(now: Sample, before: Sample | undefined, intervalMs: number): string[] {
  return formatPage(`penstock top: every ${intervalMs / 1000} s; q quits`, compare(now, before));
}

async function takeSample(target: AdminTarget): Promise<Sample> {
  const show = async <K extends ShowName>(what: K) =>
    (await askAppliance(target, { method: 'GET', path: `/show/${what}` })) as Shown[K][];
  const [services, sessions, processes, stats] = await Promise.all([
    show('service'),
    show('session'),
    show('process'),
    show('stat'),
  ]);
  return { atMs: performance.now(), services, sessions, processes, stats };
}

/** False: it was aborted, which is the only way that it ends early. */
function pause(ms: number, signal?: AbortSignal): Promise<boolean> {
  return sleep(ms, true, signal && { signal }).catch(() => false);
}
