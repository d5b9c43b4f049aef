import { describe, expect, it } from 'vitest';
import { formatTransport } from '../../../src/rtsp/headers/transport.js';
import { bridgedToClient, type TurnedPlan, turnPlan } from '../../../src/session/bridging.js';
import { matchReply, planRequest, toServer } from '../../../src/session/transport-negotiator.js';

const CHANNELS = { rtp: 4, rtcp: 5 };
const OURS = { rtp: 30_000, rtcp: 30_001 };

function turn(value: string): TurnedPlan {
  const turned = turnPlan(planRequest(value), CHANNELS);
  if (!turned) throw new Error(`${value} was not turned`);
  return turned;
}

/** What the server is shown in the second try. */
function shown(value: string): string {
  const { turned } = turn(value);
  return toServer([turned], [turned.kind === 'udp' ? OURS : undefined]);
}

describe('what a server is asked for in the place of what it refused', () => {
  it.each([
    ['RTP/AVP/TCP;unicast;interleaved=0-1', 'RTP/AVP;unicast;client_port=30000-30001'],
    ['RTP/AVP/TCP;interleaved=0-1', 'RTP/AVP;unicast;client_port=30000-30001'],
    ['RTP/AVP/TCP', 'RTP/AVP;unicast;client_port=30000-30001'],
    ['RTP/AVP;unicast;interleaved=2-3', 'RTP/AVP;unicast;client_port=30000-30001'],
    ['RTP/SAVPF/TCP;unicast;interleaved=0-1;mode=record', 'RTP/SAVPF;unicast;mode=record;client_port=30000-30001'],
    [
      'RTP/AVP/TCP;unicast;destination=192.0.2.1;ssrc=1234ABCD',
      'RTP/AVP;unicast;ssrc=1234ABCD;client_port=30000-30001',
    ],
    ['RTP/AVP;unicast;client_port=5000-5001', 'RTP/AVP/TCP;unicast;interleaved=4-5'],
    ['RTP/AVP/UDP;unicast;client_port=5000-5001;mode="RECORD"', 'RTP/AVP/TCP;unicast;mode="RECORD";interleaved=4-5'],
    ['RTP/AVP/UDP;client_port=5000;RTCP-mux', 'RTP/AVP/TCP;unicast;interleaved=4-5'],
    ['RTP/AVPF;client_port=1-2,RTP/AVP;unicast;client_port=5000-5001', 'RTP/AVPF/TCP;unicast;interleaved=4-5'],
    ['RTP/AVP;multicast,RTP/AVP;unicast;client_port=5000-5001', 'RTP/AVP/TCP;unicast;interleaved=4-5'],
    ['x-real-rdt/udp;client_port=9,RTP/AVP;unicast;client_port=5000-5001', 'RTP/AVP/TCP;unicast;interleaved=4-5'],
  ])('%s', (value, expected) => {
    expect(shown(value)).toBe(expected);
  });

  it.each([
    'RTP/AVP;unicast;client_port=5000-5001,RTP/AVP/TCP;unicast;interleaved=0-1',
    'RTP/AVP/TCP;interleaved=0-1,RTP/AVP/UDP;client_port=5000-5001',
    'MP2T/H2221/UDP;unicast;client_port=5000',
    'RAW/RAW/TCP;interleaved=0',
    'x-real-rdt/tcp',
  ])('is nothing for %s', (value) => {
    expect(turnPlan(planRequest(value), CHANNELS)).toBeUndefined();
  });

  it('is nothing where no channel is free at the server; one of its own needs none', () => {
    expect(turnPlan(planRequest('RTP/AVP;unicast;client_port=5000-5001'), undefined)).toBeUndefined();
    expect(turnPlan(planRequest('RTP/AVP/TCP;unicast;interleaved=0-1'), undefined)).toBeDefined();
  });

  it('keeps who sends', () => {
    expect(turn('RTP/AVP/TCP;interleaved=0-1;mode=record').turned).toMatchObject({
      clientSends: true,
      serverSends: false,
    });
  });
});

describe('what the client is answered', () => {
  function told(value: string, reply: string): string {
    const { asked, turned } = turn(value);
    const match = matchReply([turned], [turned.kind === 'udp' ? OURS : undefined], reply);
    const face = { source: '192.0.2.9', serverPorts: { rtp: 40_000, rtcp: 40_001 }, channels: { rtp: 0, rtcp: 1 } };
    return bridgedToClient(match, asked, face);
  }

  it.each([
    [
      'RTP/AVP/TCP;unicast;interleaved=0-1',
      'RTP/AVP/UDP;unicast;client_port=30000-30001;server_port=6970-6971;source=10.0.0.1;ssrc=0A0B0C0D;mode="PLAY"',
      'RTP/AVP/TCP;unicast;ssrc=0A0B0C0D;mode="PLAY";interleaved=0-1',
    ],
    [
      'RTP/AVP/TCP;unicast;interleaved=0-1',
      'RTP/AVP;unicast;destination=10.0.0.2;client_port=30000-30001;server_port=6970-6971',
      'RTP/AVP/TCP;unicast;interleaved=0-1',
    ],
    [
      'RTP/AVP/UDP;unicast;client_port=5000-5001',
      'RTP/AVP/TCP;unicast;interleaved=4-5;ssrc=0A0B0C0D',
      'RTP/AVP/UDP;unicast;ssrc=0A0B0C0D;client_port=5000-5001;server_port=40000-40001;source=192.0.2.9',
    ],
    [
      'RTP/AVP;unicast;destination=10.1.1.1;client_port=5000',
      'RTP/AVP/TCP;interleaved=4-5;source=10.0.0.1;destination=10.0.0.2',
      'RTP/AVP;destination=10.1.1.1;client_port=5000;server_port=40000-40001;source=192.0.2.9',
    ],
  ])('%s, where the server said %s', (value, reply, expected) => {
    expect(told(value, reply)).toBe(expected);
  });

  it('leaves what the client wrote as it is', () => {
    const { asked } = turn('RTP/AVP/TCP;unicast;interleaved=0-1');
    expect(formatTransport([asked.spec])).toBe('RTP/AVP/TCP;unicast;interleaved=0-1');
  });
});
