import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Capture, isRtcp } from '../support/capture.js';
import { announcedIn, bytesOf, flows, udpFrom } from '../support/flows.js';
import { NET, TestNetwork } from '../support/netns.js';
import type { Packet } from '../support/pcap.js';
import { playFfmpeg, playGst, startGstServer } from '../support/peers.js';
import { Penstock } from '../support/penstock.js';

// Players do not check where media comes from, so that they play shows nothing: here the packets themselves are looked at.
const SECONDS = 8; // rtspsrc reports about every 4.7 s
const EMPTY_REPORT = '80c9000100000000'; // ffmpeg's punch; it ends at the appliance

let net: TestNetwork;
let appliance: Penstock;

beforeAll(async () => {
  net = TestNetwork.create();
  await startGstServer(net.serverA);
  appliance = await Penstock.start(net.appliance, [
    ...['--listen', `${NET.client.edge}:8554`],
    ...['--server', `${NET.serverA.ip}:8554`, '--packet-path', 'gso'],
  ]);
});
afterAll(async () => {
  await appliance.stop();
  net.destroy();
});

const payloads = (packets: Packet[]): string[] => packets.map(({ payload }) => payload.toString('hex'));

const url = `rtsp://${NET.client.edge}:8554/test`;
const options = { transport: 'udp', seconds: SECONDS } as const;
const clients = {
  ffmpeg: async () => [await playFfmpeg(net.client, url, options)],
  rtspsrc: async () => await playGst(net.client, [url], options),
};

describe.each(Object.keys(clients) as (keyof typeof clients)[])('%s over UDP', (name) => {
  let clientSide: Packet[];
  let serverSide: Packet[];

  beforeAll(async () => {
    const captures = [await Capture.start(net.client), await Capture.start(net.serverA)] as const;
    const [played] = await clients[name]();
    expect(played?.error).toBeUndefined();
    clientSide = await captures[0].stop();
    serverSide = await captures[1].stop();
  });

  it('no packet goes directly between client and server', () => {
    const strangers = (packets: Packet[], ends: string[]) =>
      flows(packets.filter(({ src, dst }) => !ends.includes(src) || !ends.includes(dst)));
    expect(clientSide.length).toBeGreaterThan(100);
    expect(strangers(clientSide, [NET.client.ip, NET.client.edge])).toEqual([]);
    expect(strangers(serverSide, [NET.serverA.ip, NET.serverA.edge])).toEqual([]);
  });

  it('to the client: only from the announced address and server_port, to its client_port', () => {
    const announced = announcedIn(clientSide, NET.client.ip, NET.client.edge);
    expect(announced).toHaveLength(2);
    const sent = flows(udpFrom(clientSide, NET.client.edge));
    const allowed = announced.flatMap(({ toClient }) => toClient);
    expect(sent.filter((text) => !allowed.includes(text))).toEqual([]);
    for (const { toClient } of announced) expect(sent).toContain(toClient[0]);
  });

  it('to the server: only from the announced client_port, to its server_port', () => {
    const announced = announcedIn(serverSide, NET.serverA.edge, NET.serverA.ip);
    expect(announced).toHaveLength(2);
    const sent = flows(udpFrom(serverSide, NET.serverA.edge));
    const allowed = announced.flatMap(({ toServer }) => toServer);
    expect(sent.filter((text) => !allowed.includes(text))).toEqual([]);
    expect(sent.length).toBeGreaterThan(0);
  });

  it('the RTP of the server reaches the client unchanged and in order', () => {
    const near = announcedIn(clientSide, NET.client.ip, NET.client.edge);
    const far = announcedIn(serverSide, NET.serverA.edge, NET.serverA.ip);
    for (const [track, { toClient }] of near.entries()) {
      const received = bytesOf(clientSide, toClient[0]);
      const sent = bytesOf(serverSide, far[track]?.toClient[0]);
      // What the server sends after the TEARDOWN was on its way goes nowhere.
      expect(received.length).toBeGreaterThan(sent.length * 0.95);
      expect(received.equals(sent.subarray(0, received.length))).toBe(true);
    }
  });

  it('RTCP flows both ways, punches do not', () => {
    const reports = (packets: Packet[], from: string) => payloads(udpFrom(packets, from).filter(isRtcp));
    const fromClient = reports(clientSide, NET.client.ip);
    const toServer = reports(serverSide, NET.serverA.edge);
    expect(toServer.length).toBeGreaterThan(0);
    expect(toServer).not.toContain(EMPTY_REPORT);
    for (const report of toServer) expect(fromClient).toContain(report);
    const fromServer = reports(serverSide, NET.serverA.ip);
    const toClient = reports(clientSide, NET.client.edge);
    expect(toClient.length).toBeGreaterThan(0);
    for (const report of toClient) expect(fromServer).toContain(report);
  });
});
