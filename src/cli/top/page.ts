/** A picture of an appliance as lines of text. */
import { type Column, formatBytes, formatSeconds, formatTable } from '../table.js';
import type { Load, Picture, ProcessLoad, ServiceLoad, VserverLoad } from './sample.js';

const UNKNOWN = '-';

/** Lines without an end; `title` is the first one. */
export function formatPage(title: string, picture: Picture): string[] {
  const { vservers, processes } = picture;
  const parts = [
    [title, ...summary(picture)].join('\n'),
    formatTable(VSERVER_COLUMNS, vservers),
    formatTable(
      SERVICE_COLUMNS,
      vservers.flatMap(({ services }) => services),
    ),
    formatTable(PROCESS_COLUMNS, processes),
  ];
  return parts.join('\n\n').split('\n');
}

function summary({ total, engineUsPerPacket, drops }: Picture): string[] {
  const cost = engineUsPerPacket === undefined ? UNKNOWN : `${engineUsPerPacket.toFixed(2)} µs`;
  const causes = [...drops].sort(([, a], [, b]) => b - a).map(([name, rate]) => `${name} ${formatRate(rate)}/s`);
  return [
    `sessions ${total.sessions}, new ${formatRate(total.newSessions)}/s, media by ${formatMovers(total)}`,
    `relayed ${formatRate(total.packets)} packets/s, ${formatBits(total.bits)}; engine CPU per packet ${cost}`,
    `dropped ${causes.length === 0 ? 'nothing' : causes.join(', ')}`,
  ];
}

const column = <Row>(title: string, value: (row: Row) => string | number): Column<Row> => ({ title, value });

const LOAD_COLUMNS = [
  column('SESSIONS', (load: Load) => load.sessions),
  column('NEW/S', (load: Load) => formatRate(load.newSessions)),
  column('PACKETS/S', (load: Load) => formatRate(load.packets)),
  column('TRAFFIC', (load: Load) => formatBits(load.bits)),
  column('DROPS/S', (load: Load) => formatRate(load.drops)),
  column('MEDIA BY', formatMovers),
];

const VSERVER_COLUMNS: Column<VserverLoad>[] = [
  column('VSERVER', ({ name }) => name),
  column('UP', ({ services }) => `${services.filter(isUp).length}/${services.length}`),
  ...LOAD_COLUMNS,
];

const SERVICE_COLUMNS: Column<ServiceLoad>[] = [
  column('SERVICE', ({ service }) => service.name),
  column('STATE', ({ service }) => service.state),
  ...LOAD_COLUMNS,
];

const PROCESS_COLUMNS: Column<ProcessLoad>[] = [
  column('PROCESS', ({ process }) => process.name),
  column('PID', ({ process }) => process.pid),
  column('STATE', ({ process }) => process.state),
  column('STARTS', ({ process }) => process.starts),
  column('UP', ({ process }) => formatSeconds(process.upSec)),
  column('CONNECTIONS', ({ process }) => process.connections ?? process.wires ?? UNKNOWN),
  column('MEMORY', ({ process }) => formatBytes(process.rssBytes)),
  column('CPU', ({ cpu }) => (cpu === undefined ? UNKNOWN : `${(cpu * 100).toFixed(1)} %`)),
];

function isUp({ service }: ServiceLoad): boolean {
  return service.state === 'up' || service.state === 'unknown';
}

function formatRate(rate: number | undefined): string {
  if (rate === undefined) return UNKNOWN;
  return rate < 100 ? rate.toFixed(1) : String(Math.round(rate));
}

/** Bits a second. */
function formatBits(bits: number | undefined): string {
  return bits === undefined ? UNKNOWN : `${formatBytes(Math.round(bits)).replace('B', 'bit')}/s`;
}

/** `offload 75 %, tcp 25 %`, the largest first. */
function formatMovers({ movers }: Load): string {
  const all = [...movers.values()].reduce((sum, count) => sum + count, 0);
  if (all === 0) return UNKNOWN;
  const sorted = [...movers].sort(([, a], [, b]) => b - a);
  return sorted.map(([mover, count]) => `${mover} ${Math.round((count / all) * 100)} %`).join(', ');
}
