import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { NET, TestNetwork } from '../../test/support/netns.js';

/** Where programs run. The child is the command itself: its pid is the program's. */
export interface Place {
  readonly ip: string;
  spawn(command: string, args: readonly string[], options?: SpawnOptions): ChildProcess;
  /** Runs to the end. Throws where it fails. */
  exec(command: string, args: readonly string[]): void;
}

export interface Drops {
  /** The client's machine throws media away before its sockets: what is left is the relay's cost. */
  client(on: boolean): void;
  /** The appliance's machine throws media away on arrival: the cost of bringing it there. */
  appliance(on: boolean): void;
}

/** A client, an appliance and a farm of servers that reach each other. */
export interface Bed {
  readonly kind: 'namespaces' | 'loopback';
  readonly client: Place;
  readonly appliance: Place;
  readonly farm: Place;
  /** The appliance as clients reach it. */
  readonly edge: string;
  readonly drops: Drops | undefined;
  destroy(): void;
}

/** Three namespaces joined by veth pairs. Needs root. */
export function namespaceBed(): Bed {
  const network = TestNetwork.create();
  const place = (namespace: TestNetwork['client'], ip: string): Place => ({
    ip,
    spawn: (command, args, options = {}) => namespace.spawn(command, [...args], options),
    exec: (command, args) => void namespace.exec(command, [...args]),
  });
  const bed: Bed = {
    kind: 'namespaces',
    client: place(network.client, NET.client.ip),
    appliance: place(network.appliance, NET.serverA.edge),
    farm: place(network.serverA, NET.serverA.ip),
    edge: NET.client.edge,
    drops: {
      client: (on) => dropMedia(bed.client, 'eth0', on),
      appliance: (on) => dropMedia(bed.appliance, 'serverA', on),
    },
    destroy: () => network.destroy(),
  };
  for (const { exec } of [bed.client, bed.appliance, bed.farm]) {
    // Thousands of short connections: ports of closed ones come back after a second.
    exec('sysctl', ['-qw', 'net.ipv4.tcp_tw_reuse=1', 'net.ipv4.ip_local_port_range=2000 65000']);
  }
  return bed;
}

/** Three addresses of this machine, for where namespaces cannot be made. */
export function loopbackBed(): Bed {
  const place = (ip: string): Place => ({
    ip,
    spawn: (command, args, options = {}) => spawn(command, [...args], options),
    exec: () => undefined,
  });
  const appliance = place('127.0.0.1');
  return {
    kind: 'loopback',
    client: place('127.0.0.2'),
    appliance,
    farm: place('127.0.0.3'),
    edge: appliance.ip,
    drops: undefined,
    destroy: () => undefined,
  };
}

const TABLE = ['netdev', 'penstock_bench'] as const;

function dropMedia(place: Place, device: string, on: boolean): void {
  if (!on) {
    place.exec('nft', ['delete', 'table', ...TABLE]);
    return;
  }
  place.exec('nft', ['add', 'table', ...TABLE]);
  place.exec('nft', ['add', 'chain', ...TABLE, 'in', `{ type filter hook ingress device ${device} priority 0; }`]);
  place.exec('nft', ['add', 'rule', ...TABLE, 'in', 'meta', 'l4proto', 'udp', 'drop']);
}
