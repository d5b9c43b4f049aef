import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const FOLDER = '/sys/class/net';
const ETHERNET = '1'; // ARPHRD_ETHER
const UP = 0x1; // IFF_UP

/** What decides how the packets of a network card, or of one end of a virtual pair, reach this machine's cores. */
export interface NetworkInterface {
  name: string;
  /** One end of a virtual pair, as containers have. */
  pair: boolean;
  /** How long arrivals are held back to be merged, in ns; 0: no longer than the card's own interrupts hold them. */
  groFlushTimeoutNs: number;
  receiveQueues: number;
  /** The kernel spreads the packets of some queue over cores (RPS). */
  spread: boolean;
}

/** The Ethernet interfaces that are up; bridges, bonds and VLANs are left out, as others receive for them. */
export function networkInterfaces(folder = FOLDER): NetworkInterface[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => isCard(join(folder, name)))
    .map((name) => read(name, join(folder, name)));
}

function isCard(path: string): boolean {
  const up = (Number(text(path, 'flags')) & UP) !== 0;
  return up && text(path, 'type') === ETHERNET && !text(path, 'uevent').includes('DEVTYPE=');
}

function read(name: string, path: string): NetworkInterface {
  const queues = existsSync(join(path, 'queues')) ? readdirSync(join(path, 'queues')) : [];
  const receiving = queues.filter((queue) => queue.startsWith('rx-'));
  return {
    name,
    pair: text(path, 'iflink') !== text(path, 'ifindex'),
    groFlushTimeoutNs: Number(text(path, 'gro_flush_timeout')),
    receiveQueues: receiving.length,
    spread: receiving.some((queue) => /[1-9a-f]/.test(text(path, `queues/${queue}/rps_cpus`))),
  };
}

/** An empty text where there is no such file, or it has nothing to say: not every interface has every attribute. */
function text(path: string, file: string): string {
  try {
    return readFileSync(join(path, file), 'utf8').trim();
  } catch (error) {
    if (['ENOENT', 'EINVAL', 'EOPNOTSUPP'].includes((error as NodeJS.ErrnoException).code ?? '')) return '';
    throw error;
  }
}
