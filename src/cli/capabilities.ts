/** The rights beyond those of an ordinary user that an appliance has a use for (capabilities(7)); there are no others. */
import type { ListenAddress } from '../config/types.js';
import type { Probe } from './context.js';
import type { Finding, Wanted } from './diagnosis.js';

interface Capability {
  key: keyof NonNullable<Probe['capabilities']>;
  name: string;
  goodFor: string;
  isWanted(wanted: Wanted, firstOpenPort: number): boolean;
}

const mayOffload = ({ packetPath }: Wanted): boolean => packetPath === 'auto' || packetPath === 'offload';

const CAPABILITIES: readonly Capability[] = [
  {
    key: 'netBindService',
    name: 'CAP_NET_BIND_SERVICE',
    goodFor: 'listening on low ports',
    isWanted: ({ listen }, firstOpenPort) => lowPorts(listen, firstOpenPort).length > 0,
  },
  {
    key: 'netAdmin',
    name: 'CAP_NET_ADMIN',
    goodFor: 'tier offload, and for receive buffers beyond net.core.rmem_max',
    isWanted: mayOffload,
  },
  { key: 'bpf', name: 'CAP_BPF', goodFor: 'tier offload', isWanted: mayOffload },
];

/** Each of them: whether it is there, and what it is good for. */
export function checkCapabilities({ capabilities }: Probe, wanted: Wanted, firstOpenPort: number): Finding[] {
  if (capabilities === null) return [];
  return CAPABILITIES.map(({ key, name, goodFor, isWanted }) => {
    if (capabilities[key]) return { name, status: 'ok', found: `there: for ${goodFor}` };
    if (!isWanted(wanted, firstOpenPort)) return { name, status: 'ok', found: `missing, not needed: for ${goodFor}` };
    return { name, status: 'hint', found: `missing: for ${goodFor} (docs/service.md)` };
  });
}

/** Ports that only those may listen on who have CAP_NET_BIND_SERVICE. */
export function lowPorts(listen: readonly ListenAddress[], firstOpenPort: number): number[] {
  return [...new Set(listen.map(({ port }) => port))].filter((port) => port !== 0 && port < firstOpenPort);
}
