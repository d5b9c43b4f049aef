import type { Packet } from './pcap.js';

/** Who sent a packet to whom: "address:port → address:port". */
export const flow = ({ src, sport, dst, dport }: Packet): string => `${src}:${sport} → ${dst}:${dport}`;

/** All flows of some packets, each once. */
export const flows = (packets: Packet[]): string[] => [...new Set(packets.map(flow))].sort();

export const udpFrom = (packets: Packet[], address: string): Packet[] =>
  packets.filter((packet) => packet.protocol === 'udp' && packet.src === address);

/** All bytes of one flow: a captured packet can be a run that the kernel would cut into packets later. */
export const bytesOf = (packets: Packet[], wanted: string | undefined): Buffer =>
  Buffer.concat(packets.filter((p) => p.protocol === 'udp' && flow(p) === wanted).map(({ payload }) => payload));

/** RTP and RTCP of one SETUP as flows, as the answer announced them. */
export interface Announced {
  toClient: string[];
  toServer: string[];
}

/** Reads the SETUP answers that `server` gave `client`, in their order; either may be the appliance. */
export function announcedIn(packets: Packet[], client: string, server: string): Announced[] {
  const answers = packets.filter((p) => p.protocol === 'tcp' && p.src === server && p.sport === 8554);
  const text = Buffer.concat(answers.map(({ payload }) => payload)).toString('latin1');
  return [...text.matchAll(/^Transport: *(.*)\r$/gim)].map(([, transport = '']) => {
    const source = /source=([^;]+)/.exec(transport)?.[1] ?? server;
    const near = ports(transport, 'client_port').map((port) => `${client}:${port}`);
    const far = ports(transport, 'server_port').map((port) => `${source}:${port}`);
    return {
      toClient: [0, 1].map((part) => `${far[part]} → ${near[part]}`),
      toServer: [0, 1].map((part) => `${near[part]} → ${far[part]}`),
    };
  });
}

function ports(transport: string, name: string): [string, string] {
  const match = new RegExp(`${name}=(\\d+)-(\\d+)`).exec(transport);
  if (!match) throw new Error(`no ${name} in ${transport}`);
  return [match[1] ?? '', match[2] ?? ''];
}
