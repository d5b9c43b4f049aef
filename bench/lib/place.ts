import { type ChildProcess, execFileSync, type SpawnOptions, spawn } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { NET, TestNetwork } from '../../test/support/netns.js';

/** Where programs run. The child is the command itself: its pid is the program's. */
export interface Place {
  readonly ip: string;
  spawn(command: string, args: readonly string[], options?: SpawnOptions): ChildProcess;
  /** Runs to the end. Throws where it fails. */
  exec(command: string, args: readonly string[]): void;
  /** A socket of this process at any port of the place. */
  bindUdp(): Promise<Socket>;
}

/** A device by which media reaches a place. */
export interface Entrance {
  readonly place: Place;
  readonly device: string;
}

/** A client, an appliance and a farm of servers that reach each other. */
export interface Bed {
  readonly kind: 'namespaces' | 'loopback';
  readonly client: Place;
  readonly appliance: Place;
  readonly farm: Place;
  /** The appliance as clients reach it. */
  readonly edge: string;
  /** Where media enters the client's and the appliance's machine; undefined where these are one. */
  readonly entrances: { client: Entrance; appliance: Entrance } | undefined;
  destroy(): void;
}

/** Three namespaces joined by veth pairs. Needs root. */
export function namespaceBed(): Bed {
  const network = TestNetwork.create();
  const place = (namespace: TestNetwork['client'], ip: string): Place => ({
    ip,
    spawn: (command, args, options = {}) => namespace.spawn(command, [...args], options),
    exec: (command, args) => void namespace.exec(command, [...args]),
    bindUdp: () => namespace.bindUdp(ip),
  });
  const client = place(network.client, NET.client.ip);
  const appliance = place(network.appliance, NET.serverA.edge);
  const bed: Bed = {
    kind: 'namespaces',
    client,
    appliance,
    farm: place(network.serverA, NET.serverA.ip),
    edge: NET.client.edge,
    entrances: {
      client: { place: client, device: 'eth0' },
      appliance: { place: appliance, device: 'serverA' },
    },
    destroy: () => network.destroy(),
  };
  for (const { exec } of [client, appliance, bed.farm]) {
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
    exec: (command, args) => void execFileSync(command, [...args]),
    bindUdp: async () => {
      const socket = createSocket('udp4');
      socket.bind(0, ip);
      await once(socket, 'listening');
      return socket;
    },
  });
  const appliance = place('127.0.0.1');
  return {
    kind: 'loopback',
    client: place('127.0.0.2'),
    appliance,
    farm: place('127.0.0.3'),
    edge: appliance.ip,
    entrances: undefined,
    destroy: () => undefined,
  };
}
