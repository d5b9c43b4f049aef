import { Argument, type Command } from 'commander';
import { askAppliance } from '../../admin/client.js';
import { type ListenerReport, SHOWN, type ShowName, type Shown } from '../../admin/source.js';
import type { Context } from '../context.js';
import { type Column, formatBytes, formatSeconds, formatTable } from '../table.js';
import { addTargetOptions, readTarget } from '../target.js';

type Columns = { [K in ShowName]: Column<Shown[K]>[] };

const column = <Row>(title: string, value: (row: Row) => string | number): Column<Row> => ({ title, value });

const COLUMNS: Columns = {
  vserver: [
    column('NAME', (row) => row.name),
    column('LISTEN', (row) => row.listen.join(' ')),
    column('METHOD', (row) => row.method),
    column('UP', (row) => `${row.servicesUp}/${row.services}`),
    column('SESSIONS', (row) => row.sessions),
    column('TOTAL', (row) => row.sessionsTotal),
  ],
  service: [
    column('NAME', (row) => row.name),
    column('VSERVER', (row) => row.vserver),
    column('ADDRESS', (row) => row.address),
    column('STATE', (row) => row.state),
    column('FOR', (row) => formatSeconds(row.stateSec)),
    column('WEIGHT', (row) => row.weight),
    column('SESSIONS', (row) => row.sessions),
    column('MAX', (row) => (row.maxSessions === 0 ? '-' : row.maxSessions)),
    column('TOTAL', (row) => row.sessionsTotal),
    column('FAILED', (row) => row.connectFailures),
    column('REFUSED', (row) => row.refusedSetups),
    column('REASON', (row) => row.reason),
  ],
  session: [
    column('SLOT', (row) => row.slot),
    column('VSERVER', (row) => row.vserver),
    column('SERVICE', (row) => row.service),
    column('CLIENT', (row) => row.client),
    column('STATE', (row) => row.state),
    column('TRANSPORT', (row) => row.transport),
    column('STREAMS', (row) => row.streams),
    column('WIRE', (row) => row.wire ?? '-'),
    column('TIER', (row) => tier(row)),
    column('AGE', (row) => formatSeconds(row.ageSec)),
    column('CLIENT IDLE', (row) => idle(row.clientIdleSec)),
    column('SERVER IDLE', (row) => idle(row.serverIdleSec)),
    column('TO CLIENT', (row) => formatBytes(row.toClient.bytes)),
    column('TO SERVER', (row) => formatBytes(row.toServer.bytes)),
    column('DROPPED', (row) => row.dropped),
    column('URL', (row) => row.controlUrl),
  ],
  listener: [
    column('KIND', (row) => row.kind),
    column('ADDRESS', (row) => row.address),
    column('FOR', purpose),
    column('STATE', (row) => (row.kind === 'rtsp' ? '' : row.state)),
    column('REMOTE', (row) => (row.kind === 'rtsp' ? '' : (row.remote ?? '-'))),
    column('RX', (row) => (row.kind === 'rtsp' ? '' : row.rx.packets)),
    column('TX', (row) => (row.kind === 'rtsp' ? '' : row.tx.packets)),
    column('REFUSED', (row) => (row.kind === 'rtsp' ? '' : row.refused)),
    column(
      'PUNCHES',
      media((row) => row.punches),
    ),
    column(
      'OVERFLOWED',
      media((row) => row.overflowed),
    ),
    column(
      'LOST',
      media((row) => row.lost ?? '-'),
    ),
    column(
      'JITTER',
      media((row) => (row.jitterMs === undefined ? '-' : `${row.jitterMs.toFixed(1)} ms`)),
    ),
    column('TIER', media(tier)),
  ],
  process: [
    column('NAME', (row) => row.name),
    column('PID', (row) => row.pid),
    column('STATE', (row) => row.state),
    column('STARTS', (row) => row.starts),
    column('UP', (row) => formatSeconds(row.upSec)),
    column('CONNECTIONS', (row) => row.connections ?? row.wires ?? '-'),
    column('MEMORY', (row) => formatBytes(row.rssBytes)),
    column('CPU', (row) => `${row.cpuSec.toFixed(1)} s`),
  ],
  stat: [
    column('NAME', (row) => row.name),
    column('VALUE', (row) => row.value),
    column('BY THREAD', (row) => row.threads?.join(' ') ?? ''),
    column('UNIT', (row) => row.unit),
    column('ABOUT', (row) => row.about),
  ],
};

export function addShow(program: Command, context: Context): void {
  const command = program
    .command('show')
    .summary('what a running appliance does')
    .description(
      'Shows the vservers, services, sessions, listening services, processes or counters of a running appliance.',
    )
    .addArgument(new Argument('<WHAT>', 'what to show').choices(SHOWN))
    .option('--json', 'Print JSON in place of a table.');
  addTargetOptions(command).action(async (what: ShowName, given: Record<string, unknown>) => {
    const rows = await askAppliance(readTarget(context, given), { method: 'GET', path: `/show/${what}` });
    context.out(given.json === true ? JSON.stringify(rows, null, 2) : formatRows(what, rows));
  });
}

function formatRows<K extends ShowName>(what: K, rows: unknown): string {
  return formatTable<Shown[K]>(COLUMNS[what], rows as Shown[K][]);
}

function purpose(row: ListenerReport): string {
  if (row.kind === 'rtsp') return row.vserver;
  if (row.kind === 'media') return `session ${row.session} ${row.side} ${row.part}`;
  return `wire ${row.wire} ${row.side} ${row.of}`;
}

function media(value: (row: Extract<ListenerReport, { kind: 'media' }>) => string | number) {
  return (row: ListenerReport): string | number => (row.kind === 'media' ? value(row) : '');
}

/** The tier, and why it is no better one. */
function tier({ tier, tierReason }: { tier?: string; tierReason?: string }): string {
  if (tier === undefined) return '-';
  return tierReason === undefined ? tier : `${tier} (${tierReason})`;
}

function idle(seconds: number | undefined): string {
  return seconds === undefined ? '-' : formatSeconds(seconds);
}
