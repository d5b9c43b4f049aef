/** What this machine allows an appliance, as a list of findings. */
import type { ListenAddress, PacketPath, PortRange } from '../config/types.js';
import { checkCapabilities, lowPorts } from './capabilities.js';
import type { Probe } from './context.js';
import type { Machine } from './machine.js';
import { checkInterfaces, checkPacketPath } from './packet-path.js';
import { besides, formatRange, overlap, parseRanges } from './port-ranges.js';

const MIN_NODE = [20, 17] as const;
/** A UDP stream has four sockets, open in the engine and kept by the primary. */
const DESCRIPTORS_PER_STREAM = 4;
/** The engine asks for so many times the backlog: part of a buffer is the kernel's own. */
const RECEIVE_BUFFER_PER_BACKLOG = 2;
/** Libraries, logs, rings, listeners and the connections of the admin API. */
const OTHER_DESCRIPTORS = 256;
/** Video and audio. */
const STREAMS_PER_SESSION = 2;

export interface Finding {
  name: string;
  /** `fatal`: no appliance can run. `warn`: it runs, with less than was asked for. `hint`: it could be faster. */
  status: 'ok' | 'hint' | 'warn' | 'fatal';
  found: string;
  /** The command that mends it. */
  fix?: string;
}

/** The options that a diagnosis depends on. */
export interface Wanted {
  listen: ListenAddress[];
  mediaPorts: PortRange;
  workers: number;
  maxStreams: number;
  receiveBuffer: number;
  interleavedBacklog: number;
  packetPath: PacketPath;
  stateDir: string;
}

/** `probe` is the text of the error where the addon could not be loaded. */
export function diagnose(machine: Machine, probe: Probe | string, wanted: Wanted): Finding[] {
  return [
    checkNode(machine),
    ...(typeof probe === 'string' ? [addonMissing(probe)] : checkProbe(probe, machine, wanted)),
    checkMediaPorts(machine, wanted.mediaPorts),
    checkListenPorts(machine, probe, wanted.listen),
    checkStateDir(machine, wanted.stateDir),
    ...checkInterfaces(machine.interfaces(), machine.cpus),
  ];
}

function checkNode(machine: Machine): Finding {
  const [major = 0, minor = 0] = machine.nodeVersion.split('.').map(Number);
  const good = major > MIN_NODE[0] || (major === MIN_NODE[0] && minor >= MIN_NODE[1]);
  if (good) return { name: 'node', status: 'ok', found: machine.nodeVersion };
  const found = `${machine.nodeVersion}, needs ${MIN_NODE.join('.')}`;
  return { name: 'node', status: 'fatal', found, fix: 'install Node.js 20 or newer, then: npm run setup' };
}

function addonMissing(reason: string): Finding {
  return { name: 'addon', status: 'fatal', found: reason, fix: 'npm run setup' };
}

function checkProbe(probe: Probe, machine: Machine, wanted: Wanted): Finding[] {
  return [
    { name: 'addon', status: 'ok', found: 'loaded' },
    able('sealed memfd', probe.sealedMemfd, 'fatal', 'run on Linux 3.17 or newer'),
    able('GSO', probe.gso, 'warn', 'run on Linux 4.18 or newer; until then: --packet-path mmsg'),
    able('GRO', probe.gro, 'warn', 'run on Linux 5.0 or newer; until then: --packet-path mmsg'),
    checkPacketPath(probe, wanted.packetPath),
    checkReceiveBuffer(probe, wanted),
    checkDescriptors(probe, machine, wanted),
    ...checkCapabilities(probe, wanted, firstOpenPort(machine)),
  ];
}

function able(name: string, verdict: string, otherwise: 'warn' | 'fatal', fix: string): Finding {
  return verdict === 'ok' ? { name, status: 'ok', found: 'works' } : { name, status: otherwise, found: verdict, fix };
}

function checkReceiveBuffer({ rmemMax, capabilities }: Probe, { receiveBuffer, interleavedBacklog }: Wanted): Finding {
  const name = 'receive buffer';
  const need = Math.max(receiveBuffer, RECEIVE_BUFFER_PER_BACKLOG * interleavedBacklog);
  // A network namespace of its own does not show the setting.
  if (rmemMax === 0) return { name, status: 'ok', found: 'net.core.rmem_max is not shown here' };
  const found = `net.core.rmem_max ${rmemMax}, receive-buffer ${receiveBuffer}, interleaved-backlog ${interleavedBacklog}`;
  if (rmemMax >= need) return { name, status: 'ok', found };
  if (capabilities?.netAdmin) return { name, status: 'ok', found: `${found}; CAP_NET_ADMIN gives what is asked for` };
  return { name, status: 'warn', found, fix: `sudo sysctl -w net.core.rmem_max=${need}` };
}

function checkDescriptors({ fileLimit }: Probe, machine: Machine, { workers, maxStreams }: Wanted): Finding {
  const streams = Math.max(0, Math.floor((fileLimit.hard - OTHER_DESCRIPTORS) / DESCRIPTORS_PER_STREAM));
  const most = workers * maxStreams;
  const sessions = Math.floor(streams / STREAMS_PER_SESSION);
  const found = `limit ${fileLimit.hard}: ${streams} UDP streams, ${sessions} sessions of ${STREAMS_PER_SESSION}`;
  if (streams >= most) return { name: 'descriptors', status: 'ok', found };
  const need = most * DESCRIPTORS_PER_STREAM + OTHER_DESCRIPTORS;
  const ceiling = Number(machine.sysctl('fs.nr_open') ?? need);
  const raise = need > ceiling ? `sudo sysctl -w fs.nr_open=${need} && ` : '';
  return {
    name: 'descriptors',
    status: 'warn',
    found: `${found}; ${workers} workers with ${maxStreams} streams each need ${need}`,
    fix: `${raise}sudo prlimit --pid $$ --nofile=${need}:${need}`,
  };
}

function checkMediaPorts(machine: Machine, mediaPorts: PortRange): Finding {
  const name = 'media ports';
  const [ephemeral] = parseRanges(machine.sysctl('net.ipv4.ip_local_port_range') ?? '');
  const reserved = parseRanges(machine.sysctl('net.ipv4.ip_local_reserved_ports') ?? '');
  const shared = ephemeral === undefined ? [] : overlap(mediaPorts, ephemeral, reserved);
  const own = `${formatRange(mediaPorts)}: ${Math.floor((mediaPorts.max - mediaPorts.min + 1) / 4)} UDP streams`;
  if (shared.length === 0) return { name, status: 'ok', found: own };
  const free = besides(mediaPorts);
  return {
    name,
    status: 'warn',
    found: `${own}; the kernel gives ${shared.map(formatRange).join(', ')} to other programs too`,
    fix: `sudo sysctl -w net.ipv4.ip_local_port_range="${free.min} ${free.max}"`,
  };
}

function checkListenPorts(machine: Machine, probe: Probe | string, listen: readonly ListenAddress[]): Finding {
  const name = 'listen ports';
  const first = firstOpenPort(machine);
  const capabilities = typeof probe === 'string' ? null : probe.capabilities;
  const mayAll = capabilities?.netBindService ?? machine.uid === 0;
  const refused = mayAll ? [] : lowPorts(listen, first);
  const all = [...new Set(listen.map(({ port }) => port))];
  if (refused.length === 0) return { name, status: 'ok', found: all.join(', ') };
  return {
    name,
    status: 'warn',
    found: `${refused.join(', ')}: to listen below ${first} takes CAP_NET_BIND_SERVICE`,
    fix: `sudo sysctl -w net.ipv4.ip_unprivileged_port_start=${Math.min(...refused)}`,
  };
}

function firstOpenPort(machine: Machine): number {
  return Number(machine.sysctl('net.ipv4.ip_unprivileged_port_start') ?? 1024);
}

function checkStateDir(machine: Machine, stateDir: string): Finding {
  const name = 'state directory';
  if (machine.writable(stateDir)) return { name, status: 'ok', found: stateDir };
  const fix = `sudo install -d -m 700 -o "$(id -un)" ${stateDir}`;
  return { name, status: 'fatal', found: `${stateDir} cannot be written`, fix };
}
