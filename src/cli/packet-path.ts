/** How fast this machine lets media pass, and what would make it faster. See docs/packet-path.md. */
import type { PacketPath } from '../config/types.js';
import type { Probe } from './context.js';
import type { Finding } from './diagnosis.js';
import type { NetworkInterface } from './network-interfaces.js';

/** Long enough for a frame of video to come whole, too short to be noticed in its delay. */
const GRO_FLUSH_TIMEOUT_NS = 50_000;
const MASK_BITS = 32;

/** Which tier media would take, and what is missing for a higher one. */
export function checkPacketPath({ offload, gso }: Probe, packetPath: PacketPath): Finding {
  const name = 'packet path';
  if (packetPath === 'gso' || packetPath === 'mmsg') return { name, status: 'ok', found: `${packetPath}, as told` };
  if (offload === 'ok') return { name, status: 'ok', found: 'offload: the kernel itself relays what it can' };
  const instead = gso === 'ok' ? 'gso' : 'mmsg';
  const status = packetPath === 'offload' ? 'warn' : 'hint';
  return { name, status, found: `${instead}; no offload: ${offload}`, fix: offloadFix(offload) };
}

function offloadFix(reason: string): string {
  if (!/\b(EPERM|EACCES)\b/.test(reason)) return 'run on Linux 6.6 or newer';
  const rights = '+net_admin,+bpf';
  return `sudo setpriv --reuid $(id -u) --regid $(id -g) --init-groups --inh-caps ${rights} --ambient-caps ${rights} npx penstock serve …`;
}

/** What would let packets come in larger pieces, and to more cores. */
export function checkInterfaces(interfaces: readonly NetworkInterface[], cpus: number): Finding[] {
  return interfaces
    .flatMap((one) => [checkMerging(one), checkSteering(one, cpus)])
    .filter((found) => found !== undefined);
}

function checkMerging({ name, pair, groFlushTimeoutNs }: NetworkInterface): Finding | undefined {
  if (groFlushTimeoutNs > 0) return undefined;
  const folder = `/sys/class/net/${name}`;
  const wait = `echo ${GRO_FLUSH_TIMEOUT_NS} | sudo tee ${folder}/gro_flush_timeout && echo 1 | sudo tee ${folder}/napi_defer_hard_irqs`;
  // A virtual pair merges only for those who forward; a network card does for any socket that asks, as ours do.
  const fix = pair ? `${wait} && sudo ethtool -K ${name} gro on rx-udp-gro-forwarding on` : wait;
  const found = 'packets of a frame arrive one by one; merged, they cost about half (docs/packet-path.md)';
  return { name: `merging ${name}`, status: 'hint', found, fix };
}

function checkSteering({ name, receiveQueues, spread }: NetworkInterface, cpus: number): Finding | undefined {
  if (cpus === 1 || receiveQueues !== 1 || spread) return undefined;
  const fix = `echo ${cpuMask(cpus)} | sudo tee /sys/class/net/${name}/queues/rx-0/rps_cpus`;
  const found = `one receive queue: one of ${cpus} cores does all of the kernel's work for what arrives`;
  return { name: `steering ${name}`, status: 'hint', found, fix };
}

/** All cores, as the kernel writes masks: 32 bits in hexadecimal, the highest first, with commas between. */
export function cpuMask(cpus: number): string {
  const words: string[] = [];
  for (let left = cpus; left > 0; left -= MASK_BITS) {
    const bits = Math.min(left, MASK_BITS);
    words.unshift((2 ** bits - 1).toString(16));
  }
  return words.join(',');
}
