import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hasCommand, missingPackages } from '../lib/missing.js';
import type { Bed } from '../lib/place.js';
import type { Relay } from '../lib/relay.js';
import { type PortBlock, portBlocks, portsOf } from './ports.js';
import { aimedRelay } from './relay.js';

/** Others' ports would be translated for as long as the kernel remembers the connections of this one. */
const FIRST_PORT = 60_000;
const TABLE = 'penstock_bench';

/** Addresses and ports translated by the kernel, both ways, by connection tracking. */
export const nft: Relay = {
  name: 'kernel NAT (nft)',
  missing: () => missingPackages(hasCommand('nft'), 'nftables'),
  needsNamespaces: true,
  inKernel: true,
  async start(bed, farm, streams) {
    const blocks = portBlocks(streams, FIRST_PORT);
    load(bed, rules(bed, blocks));
    const stop = (): Promise<void> => Promise.resolve(bed.appliance.exec('nft', ['delete', 'table', 'ip', TABLE]));
    return aimedRelay(bed, farm, { ip: bed.appliance.ip, ports: portsOf(blocks), pid: undefined, stop });
  },
};

function rules(bed: Bed, blocks: readonly PortBlock[]): string {
  const targets = blocks.map(({ first, last, clientPort }) => `${first}-${last} : ${bed.client.ip} . ${clientPort}`);
  return `table ip ${TABLE} {
  map targets {
    type inet_service : ipv4_addr . inet_service
    flags interval
    elements = { ${targets.join(', ')} }
  }
  chain in {
    type nat hook prerouting priority dstnat
    ip daddr ${bed.appliance.ip} dnat ip to udp dport map @targets
  }
  chain out {
    type nat hook postrouting priority srcnat
    ip daddr ${bed.client.ip} snat to ${bed.edge}
  }
}\n`;
}

function load(bed: Bed, text: string): void {
  const folder = mkdtempSync(join(tmpdir(), 'penstock-bench-'));
  try {
    const file = join(folder, 'rules');
    writeFileSync(file, text);
    bed.appliance.exec('nft', ['-f', file]);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
