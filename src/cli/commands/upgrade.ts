import type { Command } from 'commander';
import { type AdminTarget, askAppliance } from '../../admin/client.js';
import type { ProcessReport, UpgradeReport } from '../../admin/source.js';
import { PenstockError } from '../../errors.js';
import type { Context } from '../context.js';
import { addTargetOptions, readTarget } from '../target.js';

const POLL_MS = 100;
const PATIENCE_MS = 60_000;

export function addUpgrade(program: Command, context: Context): void {
  const command = program
    .command('upgrade')
    .summary('replace a running appliance by the installed version')
    .description(
      'Starts the program that is installed now, with the command line of the running appliance. It takes over ' +
        'memory, sockets and connections; sessions go on. Where it cannot (another layout of the memory, other ' +
        'workers, engine threads or services), it takes the new connections, and the old one drains. SIGUSR2 to ' +
        'the primary does the same.',
    );
  addTargetOptions(command).action(async (given: Record<string, unknown>) => {
    const target = readTarget(context, given);
    const report = (await askAppliance(target, { method: 'POST', path: '/upgrade' })) as UpgradeReport;
    await untilPrimaryIs(target, report.pid);
    context.out(
      report.mode === 'adopt'
        ? `process ${report.pid} took over; sessions go on`
        : `process ${report.pid} takes new connections; the old one drains, for ${report.reason}`,
    );
  });
}

async function untilPrimaryIs(target: AdminTarget, pid: number): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (performance.now() < deadline) {
    if ((await primaryAt(target)) === pid) return;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  throw new PenstockError('PENSTOCK_ERR_UPGRADE', `process ${pid} did not become ready; see the log of the appliance`);
}

/** The primary that answers and is ready; undefined while there is none. */
async function primaryAt(target: AdminTarget): Promise<number | undefined> {
  try {
    await askAppliance(target, { method: 'GET', path: '/ready' });
    const processes = (await askAppliance(target, { method: 'GET', path: '/show/process' })) as ProcessReport[];
    return processes.find(({ name }) => name === 'primary')?.pid;
  } catch (error) {
    if (error instanceof PenstockError) return undefined;
    throw error;
  }
}
