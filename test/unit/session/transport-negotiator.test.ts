import { describe, expect, it } from 'vitest';
import type { PortNumbers } from '../../../src/session/port-allocator.js';
import {
  declaredClient,
  declaredServer,
  MAX_UDP_ALTERNATIVES,
  matchReply,
  planRequest,
  type TransportMatch,
  toClient,
  toServer,
} from '../../../src/session/transport-negotiator.js';

const CLIENT_IP = '10.77.1.2';
const SERVICE_IP = '10.77.2.2';
const SERVICE = { ip: SERVICE_IP, mediaSources: ['10.77.2.9', '2001:db8::9'] };
const OURS = '10.77.1.1';
/** Server-side pairs by place, and the client-side pair. */
const PORTS: PortNumbers[] = [20000, 20002, 20004, 20006].map((rtp) => ({ rtp, rtcp: rtp + 1 }));
const CLIENT_SIDE = { rtp: 40000, rtcp: 40001 };

const coded = (code: string) => expect.objectContaining({ code });
const udpOnly = (asked: string) =>
  planRequest(asked).map(({ kind }, place) => (kind === 'udp' ? PORTS[place] : undefined));
const sent = (asked: string): string => toServer(planRequest(asked), udpOnly(asked));
const match = (asked: string, reply: string | undefined): TransportMatch =>
  matchReply(planRequest(asked), udpOnly(asked), reply);
const answered = (asked: string, reply: string): string =>
  toClient(match(asked, reply), { source: OURS, serverPorts: CLIENT_SIDE });

describe('what real peers say', () => {
  it.each([
    {
      name: 'ffmpeg and gst-rtsp-server over UDP',
      asked: 'RTP/AVP/UDP;unicast;client_port=22702-22703',
      server: 'RTP/AVP/UDP;unicast;client_port=20000-20001',
      reply: 'RTP/AVP;unicast;client_port=20000-20001;server_port=51396-51397;ssrc=46B5479B;mode="PLAY"',
      client: `RTP/AVP;unicast;client_port=22702-22703;server_port=40000-40001;ssrc=46B5479B;mode="PLAY";source=${OURS}`,
      ports: [51396, 51397],
    },
    {
      name: 'ffmpeg and VLC, whose first port can be odd',
      asked: 'RTP/AVP/UDP;unicast;client_port=10622-10623',
      server: 'RTP/AVP/UDP;unicast;client_port=20000-20001',
      reply: 'RTP/AVP/UDP;unicast;client_port=20000-20001;server_port=51443-51444;ssrc=45B72CBD;mode=play',
      client: `RTP/AVP/UDP;unicast;client_port=10622-10623;server_port=40000-40001;ssrc=45B72CBD;mode=play;source=${OURS}`,
      ports: [51443, 51444],
    },
    {
      name: 'rtspsrc and rtsp-streaming-server',
      asked: 'RTP/AVP;unicast;client_port=59010-59011',
      server: 'RTP/AVP;unicast;client_port=20000-20001',
      reply: 'RTP/AVP;unicast;client_port=20000-20001;server_port=10022-10023',
      client: `RTP/AVP;unicast;client_port=59010-59011;server_port=40000-40001;source=${OURS}`,
      ports: [10022, 10023],
    },
    {
      name: 'openRTSP and live555, which names both addresses',
      asked: 'RTP/AVP;unicast;client_port=50148-50149',
      server: 'RTP/AVP;unicast;client_port=20000-20001',
      reply: `RTP/AVP;unicast;destination=10.77.2.1;source=${SERVICE_IP};client_port=20000-20001;server_port=6970-6971`,
      client: `RTP/AVP;unicast;source=${OURS};client_port=50148-50149;server_port=40000-40001`,
      ports: [6970, 6971],
    },
    {
      name: 'ffmpeg publishing to ffmpeg, which answers with no address at all',
      asked: 'RTP/AVP/UDP;unicast;client_port=11576-11577;mode=record',
      server: 'RTP/AVP/UDP;unicast;client_port=20000-20001;mode=record',
      reply: 'RTP/AVP/UDP;unicast;mode=receive;source=0.0.0.0;client_port=20000-20001;server_port=5000-5001',
      client: `RTP/AVP/UDP;unicast;mode=receive;source=${OURS};client_port=11576-11577;server_port=40000-40001`,
      ports: [5000, 5001],
    },
  ])('$name', ({ asked, server, reply, client, ports }) => {
    expect(sent(asked)).toBe(server);
    expect(answered(asked, reply)).toBe(client);
    const { rtp, rtcp } = declaredServer(match(asked, reply), SERVICE);
    expect([rtp, rtcp]).toEqual([
      { ip: SERVICE_IP, port: ports[0] },
      { ip: SERVICE_IP, port: ports[1] },
    ]);
  });

  it.each([
    ['RTP/AVP/TCP;unicast;interleaved=0-1', 'RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=CECBB496;mode="PLAY"'],
    ['RTP/AVP/TCP;unicast;interleaved=2-3;mode=record', 'RTP/AVP/TCP;unicast;mode=receive;interleaved=2-3'],
  ])('interleaved passes unchanged: %s', (asked, reply) => {
    expect(sent(asked)).toBe(asked);
    expect(answered(asked, reply)).toBe(reply);
    expect(match(asked, reply)).toMatchObject({ kind: 'interleaved', chosen: 0 });
  });

  it('interleaved with the addresses of live555 shows ours', () => {
    const reply = `RTP/AVP/TCP;unicast;destination=10.77.2.1;source=${SERVICE_IP};interleaved=0-1`;
    expect(answered('RTP/AVP/TCP;unicast;interleaved=0-1', reply)).toBe(
      `RTP/AVP/TCP;unicast;source=${OURS};interleaved=0-1`,
    );
  });
});

describe('the client_port of a request', () => {
  it.each([
    ['a pair', ';client_port=5000-5001', { rtp: 5000, rtcp: 5001 }, [5000, 5001]],
    ['one number', ';client_port=5000', { rtp: 5000 }, [5000, 5001]],
    ['an odd first number', ';client_port=5001-5002', { rtp: 5001, rtcp: 5002 }, [5001, 5002]],
    ['a swapped pair', ';client_port=5001-5000', { rtp: 5001, rtcp: 5000 }, [5001, 5000]],
    ['numbers apart', ';client_port=5000-6000', { rtp: 5000, rtcp: 6000 }, [5000, 6000]],
    ['the last number', ';client_port=65535', { rtp: 65535 }, [65535, 0]],
    ['no RTCP number', ';client_port=5000-0', { rtp: 5000 }, [5000, 5001]],
    ['zeros', ';client_port=0-0', undefined, [0, 0]],
    ['zero and one', ';client_port=0-1', undefined, [0, 0]],
    ['nonsense', ';client_port=abc', undefined, [0, 0]],
    ['too large a number', ';client_port=70000-70001', undefined, [0, 0]],
    ['nothing', '', undefined, [0, 0]],
  ])('may be %s', (_name, text, clientPorts, [rtp, rtcp]) => {
    const asked = `RTP/AVP;unicast${text}`;
    const [alternative] = planRequest(asked);
    if (alternative === undefined) throw new Error('no alternative');
    expect(alternative.clientPorts).toEqual(clientPorts);
    expect(declaredClient(alternative, CLIENT_IP)).toEqual({
      rtp: { ip: CLIENT_IP, port: rtp },
      rtcp: { ip: CLIENT_IP, port: rtcp },
    });
    expect(sent(asked)).toBe('RTP/AVP;unicast;client_port=20000-20001');
    // The client gets back what it wrote; where it wrote none, none.
    const reply = 'RTP/AVP;unicast;client_port=20000-20001;server_port=6970-6971';
    expect(answered(asked, reply)).toBe(`RTP/AVP;unicast${text};server_port=40000-40001;source=${OURS}`);
  });

  it('keeps its place, its spelling and its neighbours', () => {
    expect(sent('RTP/AVP/UDP; Client_Port = 5000-5001 ;unicast;x-odd="a;b,c";ssrc=1')).toBe(
      'RTP/AVP/UDP; Client_Port = 20000-20001;unicast;x-odd="a;b,c";ssrc=1',
    );
  });
});

describe('a request', () => {
  it('never tells the server another destination, nor what we said before', () => {
    const asked =
      'RTP/AVP;unicast;destination=192.0.2.9;source=10.77.1.1;client_port=5000-5001;server_port=40000-40001';
    expect(sent(asked)).toBe('RTP/AVP;unicast;client_port=20000-20001');
    expect(sent('RTP/AVP/TCP;unicast;Destination=192.0.2.9;interleaved=0-1')).toBe(
      'RTP/AVP/TCP;unicast;interleaved=0-1',
    );
    expect(sent('X/Y;destination=192.0.2.9;a=b')).toBe('X/Y;a=b');
    // In the words of RFC 7826.
    const later = 'RTP/AVP;unicast;dest_addr="192.0.2.9:5000"/"192.0.2.9:5001";src_addr=":1";client_port=5000-5001';
    expect(sent(later)).toBe('RTP/AVP;unicast;client_port=20000-20001');
  });

  it('gets a pair for each UDP alternative, and none for the others', () => {
    const asked =
      'RTP/AVP/UDP;unicast;client_port=5000-5001, RTP/AVP/TCP;interleaved=0-1,RTP/AVP;unicast;client_port=5002-5003';
    expect(planRequest(asked).map(({ kind }) => kind)).toEqual(['udp', 'interleaved', 'udp']);
    expect(sent(asked)).toBe(
      'RTP/AVP/UDP;unicast;client_port=20000-20001, RTP/AVP/TCP;interleaved=0-1,RTP/AVP;unicast;client_port=20004-20005',
    );
  });

  it('goes on without its multicast alternatives', () => {
    expect(sent('RTP/AVP;multicast;ttl=127;mode="PLAY",RTP/AVP;unicast;client_port=3456-3457;mode="PLAY"')).toBe(
      'RTP/AVP;unicast;client_port=20000-20001;mode="PLAY"',
    );
  });

  it('for multicast alone gets 461', () => {
    expect(() => planRequest('RTP/AVP;multicast;port=5000-5001')).toThrow(coded('PENSTOCK_ERR_TRANSPORT'));
  });

  it.each(['', ' ', ',', ' , ,'])('without an alternative gets 400: %j', (asked) => {
    expect(() => planRequest(asked)).toThrow(coded('PENSTOCK_ERR_BAD_TRANSPORT'));
  });

  it('for an unknown protocol passes as it is', () => {
    const asked = 'x-real-rdt/tcp;mode=play;a="b,c"';
    expect(sent(asked)).toBe(asked);
    expect(answered(asked, 'x-real-rdt/tcp;z=1;source=1.2.3.4')).toBe('x-real-rdt/tcp;z=1;source=1.2.3.4');
  });

  it('goes on without RealNetworks’ multicast', () => {
    const asked = [
      'x-real-rdt/mcast;client_port=6970;mode=play',
      'x-real-rdt/udp;client_port=6970;mode=play',
      'rtp/avp;unicast;client_port=6970-6971;mode=play',
      'x-real-rdt/tcp;mode=play',
    ];
    expect(sent(asked.join(','))).toBe(
      [
        'x-real-rdt/udp;client_port=20000;mode=play',
        'rtp/avp;unicast;client_port=20002-20003;mode=play',
        'x-real-rdt/tcp;mode=play',
      ].join(','),
    );
  });

  it('has a limit of UDP alternatives', () => {
    const asked = Array.from({ length: 9 }, (_, i) => `RTP/AVP;unicast;client_port=${5000 + 2 * i}`).join(',');
    expect(planRequest(`${asked},RTP/AVP/TCP;interleaved=0-1`).map(({ kind }) => kind)).toEqual([
      ...new Array<string>(MAX_UDP_ALTERNATIVES).fill('udp'),
      'interleaved',
    ]);
  });

  it.each([
    ['', false, true],
    [';mode=play', false, true],
    [';mode="PLAY"', false, true],
    [';mode=record', true, false],
    [';mode="RECORD"', true, false],
    [';mode=receive', true, false],
    [';mode="PLAY,RECORD"', true, true],
    [';mode="play record"', true, true],
  ])('says who sends: %j', (mode, clientSends, serverSends) => {
    expect(planRequest(`RTP/AVP;unicast;client_port=5000-5001${mode}`)[0]).toMatchObject({ clientSends, serverSends });
  });

  it.each([
    ['RTP/AVP/TCP;unicast;interleaved=4-5', { rtp: 4, rtcp: 5 }],
    ['RTP/AVP/TCP;unicast;interleaved=4', { rtp: 4, rtcp: 5 }],
    ['RTP/AVP/TCP;unicast;interleaved=5-4', { rtp: 5, rtcp: 4 }],
    ['RTP/AVP/TCP;unicast', undefined],
    ['RTP/AVP/TCP;unicast;interleaved=256-257', undefined],
  ])('may name channels: %s', (asked, channels) => {
    expect(planRequest(asked)[0]?.channels).toEqual(channels);
  });
});

describe('profiles of RTP', () => {
  it.each([
    ['RTP/AVP', 'udp'],
    ['RTP/AVP/UDP', 'udp'],
    ['RTP/AVPF', 'udp'],
    ['RTP/AVPF/UDP', 'udp'],
    ['RTP/SAVP', 'udp'],
    ['RTP/SAVP/UDP', 'udp'],
    ['RTP/SAVPF', 'udp'],
    ['rtp/avp/udp', 'udp'],
    ['RTP/AVP/TCP', 'interleaved'],
    ['RTP/AVPF/TCP', 'interleaved'],
    ['RTP/SAVP/TCP', 'interleaved'],
    ['RTP/SAVPF/TCP', 'interleaved'],
    ['RTP/AVP/DCCP', 'opaque'],
  ])('%s is %s', (protocol, kind) => {
    const ports = kind === 'udp' ? ';client_port=5000-5001' : '';
    const [alternative] = planRequest(`${protocol};unicast${ports}`);
    expect(alternative).toMatchObject({ kind, isRtp: true });
    const reply = kind === 'udp' ? ';client_port=20000-20001;server_port=6970-6971' : '';
    expect(match(`${protocol};unicast${ports}`, `${protocol};unicast${reply}`)).toMatchObject({ kind, chosen: 0 });
  });

  it('with what belongs to them pass: MIKEY, ssrc in any spelling, setup and connection', () => {
    const rest = ';ssrc=0xDEADBEEF;SSRC="0012abCD";ssrc=4294967295;MIKEY=AQAFgM0XflABAAAA';
    expect(sent(`RTP/SAVP;unicast;client_port=5000-5001${rest}`)).toBe(
      `RTP/SAVP;unicast;client_port=20000-20001${rest}`,
    );
    expect(answered('RTP/SAVP;client_port=5000-5001', `RTP/SAVP;server_port=6970-6971${rest}`)).toBe(
      `RTP/SAVP;server_port=40000-40001${rest};source=${OURS}`,
    );
  });
});

describe('RTP and RTCP on one port', () => {
  it('keep to one port where one is named', () => {
    const asked = 'RTP/AVP;unicast;client_port=5000;RTCP-mux';
    expect(sent(asked)).toBe('RTP/AVP;unicast;client_port=20000;RTCP-mux');
    expect(answered(asked, 'RTP/AVP;unicast;client_port=20000;server_port=6970;rtcp-mux')).toBe(
      `RTP/AVP;unicast;client_port=5000;server_port=40000;rtcp-mux;source=${OURS}`,
    );
    expect(answered(asked, 'RTP/AVP;unicast;RTCP-mux')).toBe(
      `RTP/AVP;unicast;RTCP-mux;server_port=40000;source=${OURS}`,
    );
  });

  it('have two where two are named, and where the server does not know them', () => {
    expect(sent('RTP/AVP;RTCP-mux;client_port=5000-5001')).toBe('RTP/AVP;RTCP-mux;client_port=20000-20001');
    expect(answered('RTP/AVP;RTCP-mux;client_port=5000', 'RTP/AVP;client_port=20000;server_port=6970-6971')).toBe(
      `RTP/AVP;client_port=5000;server_port=40000-40001;source=${OURS}`,
    );
    // Without the word, one number is the first of two.
    expect(answered('RTP/AVP;client_port=5000', 'RTP/AVP;client_port=20000;server_port=6970')).toBe(
      `RTP/AVP;client_port=5000;server_port=40000-40001;source=${OURS}`,
    );
  });
});

describe('what is not RTP', () => {
  it.each([
    {
      name: 'MPEG-2 transport stream, one port',
      asked: 'MP2T/H2221/UDP;unicast;client_port=5000',
      server: 'MP2T/H2221/UDP;unicast;client_port=20000',
      reply: 'MP2T/H2221/UDP;unicast;client_port=20000;server_port=6970;source=10.77.2.2',
      client: `MP2T/H2221/UDP;unicast;client_port=5000;server_port=40000;source=${OURS}`,
    },
    {
      name: 'raw UDP, two ports',
      asked: 'RAW/RAW/UDP;unicast;client_port=5000-5001',
      server: 'RAW/RAW/UDP;unicast;client_port=20000-20001',
      reply: 'RAW/RAW/UDP;unicast;client_port=20000-20001;server_port=6970-6971',
      client: `RAW/RAW/UDP;unicast;client_port=5000-5001;server_port=40000-40001;source=${OURS}`,
    },
    {
      name: 'an answer that leaves UDP and the ports out',
      asked: 'MP2T/H2221/UDP;unicast;client_port=5000',
      server: 'MP2T/H2221/UDP;unicast;client_port=20000',
      reply: 'MP2T/H2221;unicast',
      client: `MP2T/H2221;unicast;server_port=40000;source=${OURS}`,
    },
    {
      name: 'RealNetworks over UDP',
      asked: 'x-real-rdt/udp;client_port=6970;mode=play',
      server: 'x-real-rdt/udp;client_port=20000;mode=play',
      reply: 'x-real-rdt/udp;client_port=20000;server_port=26540',
      client: `x-real-rdt/udp;client_port=6970;server_port=40000;source=${OURS}`,
    },
  ])('is relayed over UDP: $name', ({ asked, server, reply, client }) => {
    expect(sent(asked)).toBe(server);
    expect(match(asked, reply)).toMatchObject({ kind: 'udp', chosen: 0, alternative: { isRtp: false } });
    expect(answered(asked, reply)).toBe(client);
  });

  it('is offered beside RTP, and chosen by its name', () => {
    const asked = 'MP2T/H2221/UDP;unicast;client_port=5000,RTP/AVP;unicast;client_port=5000-5001,x/tcp';
    expect(sent(asked)).toBe('MP2T/H2221/UDP;unicast;client_port=20000,RTP/AVP;unicast;client_port=20002-20003,x/tcp');
    expect(match(asked, 'MP2T/H2221/UDP;client_port=20002;server_port=1024').chosen).toBe(0);
    expect(match(asked, 'RTP/AVP;client_port=20002-20003;server_port=1024').chosen).toBe(1);
    expect(() => match(asked, 'RAW/RAW/UDP;client_port=20000;server_port=1024')).toThrow(
      coded('PENSTOCK_ERR_TRANSPORT'),
    );
  });

  it.each([
    ['RAW/RAW/TCP;unicast;interleaved=0-1', 'RAW/RAW/TCP;unicast;interleaved=0-1', { rtp: 0, rtcp: 1 }],
    ['MP2T/H2221/TCP;unicast;interleaved=4', 'MP2T/H2221/TCP;unicast', { rtp: 4, rtcp: 5 }],
    // Channels that the answer names first.
    ['x-real-rdt/tcp;mode=play', 'x-real-rdt/tcp;interleaved=0', { rtp: 0, rtcp: 1 }],
  ])('is relayed in the connection: %s', (asked, reply, channels) => {
    expect(sent(asked)).toBe(asked);
    expect(match(asked, reply)).toMatchObject({ kind: 'interleaved', channels });
  });

  it('passes where it names neither ports nor channels', () => {
    for (const asked of ['x-real-rdt/tcp;mode=play', 'RAW/RAW/UDP;unicast', 'X/Y/SCTP;unicast']) {
      expect(sent(asked)).toBe(asked);
      const reply = `${asked};client_port=1-2;server_port=3-4;source=${SERVICE_IP};destination=10.77.2.1`;
      expect(match(asked, reply)).toMatchObject({ kind: 'opaque', chosen: 0 });
      expect(answered(asked, reply)).toBe(reply);
    }
  });

  it('names no ports to a server where none are ours', () => {
    expect(sent('X/Y/SCTP;client_port=5000-5001')).toBe('X/Y/SCTP');
    expect(sent('RTP/AVP/TCP;client_port=5000-5001;interleaved=0-1')).toBe('RTP/AVP/TCP;interleaved=0-1');
  });
});

describe('an answer', () => {
  const ASKED = 'RTP/AVP;unicast;client_port=5000-5001';

  it.each([
    ['no server_port', '', undefined, [0, 0]],
    ['one server_port', ';server_port=6970', { rtp: 6970 }, [6970, 6971]],
    ['a swapped server_port', ';server_port=6971-6970', { rtp: 6971, rtcp: 6970 }, [6971, 6970]],
    ['server_port zero', ';server_port=0-0', undefined, [0, 0]],
  ])('with %s still names ours', (_name, text, serverPorts, [rtp, rtcp]) => {
    const reply = `RTP/AVP;unicast;client_port=20000-20001${text}`;
    const found = match(ASKED, reply);
    expect(found.serverPorts).toEqual(serverPorts);
    expect(declaredServer(found, SERVICE).rtp.port).toBe(rtp);
    expect(declaredServer(found, SERVICE).rtcp.port).toBe(rtcp);
    expect(answered(ASKED, reply)).toBe(`RTP/AVP;unicast;client_port=5000-5001;server_port=40000-40001;source=${OURS}`);
  });

  it.each([
    ['10.77.2.9', '10.77.2.9'],
    ['2001:db8::9', '2001:db8::9'],
    ['[2001:DB8:0::9]', '2001:db8::9'],
    [SERVICE_IP, SERVICE_IP],
    ['10.77.2.8', SERVICE_IP], // a host that the configuration does not know
    ['0.0.0.0', SERVICE_IP],
    ['::', SERVICE_IP],
    ['239.1.1.1', SERVICE_IP],
    ['255.255.255.255', SERVICE_IP],
    ['ff02::1', SERVICE_IP],
    ['camera.local', SERVICE_IP],
    ['', SERVICE_IP],
  ])('with source=%s expects packets of %s', (source, ip) => {
    const reply = `RTP/AVP;unicast;source=${source};server_port=6970-6971`;
    expect(declaredServer(match(ASKED, reply), SERVICE)).toEqual({
      rtp: { ip, port: 6970 },
      rtcp: { ip, port: 6971 },
    });
    expect(answered(ASKED, reply)).toBe(`RTP/AVP;unicast;source=${OURS};server_port=40000-40001`);
  });

  it('that echoes the wrong client_port still gives the client its own', () => {
    expect(answered(ASKED, 'RTP/AVP;unicast;client_port=1-2;server_port=6970-6971')).toBe(
      `RTP/AVP;unicast;client_port=5000-5001;server_port=40000-40001;source=${OURS}`,
    );
  });

  it('gives the client the destination that it asked for, and no other', () => {
    const reply = 'RTP/AVP;unicast;destination=10.77.2.1;server_port=6970-6971';
    expect(answered('RTP/AVP;unicast;destination=10.77.1.2;client_port=5000-5001', reply)).toBe(
      `RTP/AVP;unicast;destination=10.77.1.2;server_port=40000-40001;source=${OURS}`,
    );
    expect(answered(ASKED, reply)).toBe(`RTP/AVP;unicast;server_port=40000-40001;source=${OURS}`);
    expect(answered(ASKED, 'RTP/AVP;dest_addr="10.77.2.1:5000";src_addr="10.77.2.2:6970";server_port=6970')).toBe(
      `RTP/AVP;server_port=40000-40001;source=${OURS}`,
    );
  });

  it('may be over IPv6', () => {
    const found = match(ASKED, 'RTP/AVP;unicast;server_port=6970-6971');
    expect(toClient(found, { source: '2001:db8::1', serverPorts: CLIENT_SIDE })).toBe(
      'RTP/AVP;unicast;server_port=40000-40001;source=2001:db8::1',
    );
  });

  it('passes what it says besides, byte for byte and in place', () => {
    expect(answered(ASKED, 'RTP/AVP ;x=" a, b";ssrc=0012ABcd; mode="PLAY";server_port=6970-6971;y')).toBe(
      `RTP/AVP ;x=" a, b";ssrc=0012ABcd; mode="PLAY";server_port=40000-40001;y;source=${OURS}`,
    );
  });

  it('of multicast gets 461', () => {
    const reply = 'RTP/AVP;multicast;destination=239.1.1.1;port=5000-5001;ttl=1';
    expect(() => match(ASKED, reply)).toThrow(coded('PENSTOCK_ERR_TRANSPORT'));
  });

  it('that nobody asked for gets 461', () => {
    expect(() => match(ASKED, 'RTP/AVP/TCP;interleaved=0-1')).toThrow(coded('PENSTOCK_ERR_TRANSPORT'));
    expect(() => match('RTP/AVP/TCP;interleaved=0-1', ASKED)).toThrow(coded('PENSTOCK_ERR_TRANSPORT'));
    expect(() => match('x/tcp', 'y/tcp')).toThrow(coded('PENSTOCK_ERR_TRANSPORT'));
  });

  it.each([undefined, '', ','])('without Transport is no answer: %j', (reply) => {
    expect(() => match(ASKED, reply)).toThrow(coded('PENSTOCK_ERR_SERVICE_REPLY'));
  });

  it('names the channels of the client, which may differ from the server’s', () => {
    const found = match('RTP/AVP/TCP;unicast', 'RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=1');
    expect(found.channels).toEqual({ rtp: 0, rtcp: 1 });
    expect(toClient(found, { source: OURS, channels: { rtp: 2, rtcp: 3 } })).toBe(
      'RTP/AVP/TCP;unicast;interleaved=2-3;ssrc=1',
    );
  });

  it('without interleaved= means the channels that were asked for', () => {
    expect(match('RTP/AVP/TCP;unicast;interleaved=6-7', 'RTP/AVP/TCP;unicast').channels).toEqual({ rtp: 6, rtcp: 7 });
    expect(match('RTP/AVP/TCP;unicast', 'RTP/AVP/TCP;unicast').channels).toBeUndefined();
  });

  it.each([
    ['by our port', 'RTP/AVP/UDP;unicast;client_port=20006-20007;server_port=1024-1025', 3],
    ['by our port, whatever the protocol is called', 'RTP/AVP/UDP;client_port=20000-20001;server_port=1024', 0],
    ['by the protocol', 'RTP/AVP/UDP;unicast;server_port=1024-1025', 1],
    ['by the protocol in lower case', 'rtp/avp/udp;unicast;server_port=1024-1025', 1],
    ['by the kind', 'RTP/SAVP;unicast;server_port=1024-1025', 0],
    ['by the kind: interleaved', 'RTP/AVP/TCP;interleaved=8-9', 2],
  ])('shows which alternative the server chose: %s', (_name, reply, chosen) => {
    const asked = [
      'RTP/AVP;unicast;client_port=5000-5001',
      'RTP/AVP/UDP;unicast;client_port=5002-5003',
      'RTP/AVP/TCP;unicast;interleaved=0-1',
      'RTP/AVP/UDP;unicast;client_port=5004-5005',
    ].join(',');
    expect(match(asked, reply).chosen).toBe(chosen);
  });

  it('with several alternatives, against the rule, means the first', () => {
    expect(answered(ASKED, 'RTP/AVP;server_port=6970-6971,RTP/AVP;server_port=1-2')).toBe(
      `RTP/AVP;server_port=40000-40001;source=${OURS}`,
    );
  });
});
