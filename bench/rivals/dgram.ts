import { join } from 'node:path';
import { Daemon } from '../lib/daemon.js';
import { ROOT } from '../lib/paths.js';
import type { Relay } from '../lib/relay.js';
import { portBlocks, portsOf } from './ports.js';
import { aimedRelay } from './relay.js';

const PROGRAM = join(ROOT, 'build-bench', 'js', 'bench', 'rivals', 'dgram-relay.js');

/** What Node's own datagram sockets reach. */
export const dgram: Relay = {
  name: 'node:dgram',
  missing: () => undefined,
  async start(bed, farm, streams) {
    const blocks = portBlocks(streams);
    const ports = portsOf(blocks);
    const wishes = blocks.map(({ first, last, clientPort }) => `${first}-${last}:${clientPort}`);
    const command = (): [string, ...string[]] => [
      process.execPath,
      PROGRAM,
      bed.appliance.ip,
      bed.client.ip,
      ...wishes,
    ];
    const daemon = await Daemon.start(bed, command, '', {
      protocol: 'udp',
      ip: bed.appliance.ip,
      port: ports.at(-1) ?? 0,
    });
    return aimedRelay(bed, farm, { ip: bed.appliance.ip, ports, pid: daemon.pid, stop: () => daemon.stop() });
  },
};
