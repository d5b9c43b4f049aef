import { Daemon } from '../lib/daemon.js';
import { hasCommand, missingPackages } from '../lib/missing.js';
import type { Bed } from '../lib/place.js';
import type { Relay } from '../lib/relay.js';
import { NgClient } from './ng.js';
import { portBlocks, portsOf } from './ports.js';
import { aimedRelay } from './relay.js';

const NG_PORT = 2223;
/** Where the servers' packets come from is learned by rtpengine; the number only has to be there. */
const ANNOUNCED_PORT = 6970;
const CONCURRENT_CALLS = 32;

/** Without its kernel module, with one thread for the one core it has. */
export const rtpengine: Relay = {
  name: 'rtpengine',
  missing: () => missingPackages(hasCommand('rtpengine'), 'rtpengine-daemon'),
  restartAfterOverload: true, // by design it ignores a port for ever that had too long a queue five times
  async start(bed, farm, streams) {
    const daemon = await Daemon.start(bed, () => commandLine(bed), '', {
      protocol: 'udp',
      ip: bed.appliance.ip,
      port: NG_PORT,
    });
    const ng = await NgClient.open(bed.appliance, NG_PORT);
    try {
      const ports = await openCalls(bed, ng, streams);
      return await aimedRelay(bed, farm, { ip: bed.appliance.ip, ports, pid: daemon.pid, stop: () => daemon.stop() });
    } catch (error) {
      await daemon.stop();
      throw error;
    } finally {
      ng.close();
    }
  },
};

function commandLine(bed: Bed): [string, ...string[]] {
  return [
    ...(['rtpengine', '--config-file=none', '--table=-1', '--foreground', '--log-stderr', '--log-level=3'] as const),
    ...[`--interface=servers/${bed.appliance.ip}`, `--interface=clients/${bed.edge}`],
    ...[`--listen-ng=${bed.appliance.ip}:${NG_PORT}`, '--port-min=20000', '--port-max=59999'],
    ...['--num-threads=1', '--timeout=3600', '--silent-timeout=3600'],
  ];
}

/** One call per stream; gives the ports at which it takes in media. */
async function openCalls(bed: Bed, ng: NgClient, streams: number): Promise<number[]> {
  const clientPorts = portBlocks(streams).flatMap((block) => portsOf([block]).map(() => block.clientPort));
  const ports: number[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    for (let call = next++; call < streams; call = next++) {
      ports[call] = await openCall(bed, ng, `call${call}`, clientPorts[call] ?? 0);
    }
  };
  await Promise.all(Array.from({ length: CONCURRENT_CALLS }, work));
  return ports;
}

async function openCall(bed: Bed, ng: NgClient, id: string, clientPort: number): Promise<number> {
  const common = { 'call-id': id, 'from-tag': 'server', ICE: 'remove' };
  const offer = { ...common, command: 'offer', direction: ['servers', 'clients'] };
  await ng.ask({ ...offer, sdp: description(bed.farm.ip, ANNOUNCED_PORT, 'sendonly') });
  const answer = { ...common, command: 'answer', 'to-tag': 'client' };
  const { sdp } = await ng.ask({ ...answer, sdp: description(bed.client.ip, clientPort, 'recvonly') });
  const port = /^m=video (\d+)/m.exec(String(sdp))?.[1];
  if (!port) throw new Error(`rtpengine names no port: ${String(sdp)}`);
  return Number(port);
}

function description(ip: string, port: number, direction: 'sendonly' | 'recvonly'): string {
  const lines = ['v=0', `o=- 1 1 IN IP4 ${ip}`, 's=bench', `c=IN IP4 ${ip}`, 't=0 0', `m=video ${port} RTP/AVP 96`];
  return `${[...lines, 'a=rtpmap:96 H264/90000', `a=${direction}`].join('\r\n')}\r\n`;
}
