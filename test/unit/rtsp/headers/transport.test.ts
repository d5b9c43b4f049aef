import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import {
  cloneSpec,
  formatTransport,
  hasParam,
  isInterleaved,
  isMulticast,
  isUdp,
  type PairName,
  param,
  parseTransport,
  portPair,
  removeParam,
  setParam,
  setPortPair,
  type TransportSpec,
} from '../../../../src/rtsp/headers/transport.js';

const flag = (name: string) => ({ name, raw: name });
const pair = (name: string, value: string) => ({ name, value, raw: `${name}=${value}` });

const cases: { name: string; text: string; value: TransportSpec[] }[] = [
  {
    name: 'udp (ffmpeg)',
    text: 'RTP/AVP/UDP;unicast;client_port=20726-20727',
    value: [{ protocol: 'RTP/AVP/UDP', params: [flag('unicast'), pair('client_port', '20726-20727')] }],
  },
  {
    name: 'a udp answer (gst-rtsp-server)',
    text: 'RTP/AVP;unicast;client_port=1-2;server_port=3-4;ssrc=FECA42A0;mode="PLAY"',
    value: [
      {
        protocol: 'RTP/AVP',
        params: [
          flag('unicast'),
          pair('client_port', '1-2'),
          pair('server_port', '3-4'),
          pair('ssrc', 'FECA42A0'),
          { name: 'mode', value: 'PLAY', raw: 'mode="PLAY"' },
        ],
      },
    ],
  },
  {
    name: 'alternatives, quoted commas and semicolons',
    text: 'RTP/AVP;mode="PLAY,RECORD;x", RTP/AVP/TCP;interleaved=0-1',
    value: [
      { protocol: 'RTP/AVP', params: [{ name: 'mode', value: 'PLAY,RECORD;x', raw: 'mode="PLAY,RECORD;x"' }] },
      { protocol: 'RTP/AVP/TCP', before: ' ', params: [pair('interleaved', '0-1')] },
    ],
  },
  {
    name: 'odd spacing',
    text: 'RTP/AVP ; Unicast; client_port = 1 - 2 ;',
    value: [
      {
        protocol: 'RTP/AVP',
        after: ' ',
        params: [
          { name: 'Unicast', raw: ' Unicast' },
          { name: 'client_port', value: '1 - 2', raw: ' client_port = 1 - 2 ' },
          { name: '', raw: '' },
        ],
      },
    ],
  },
  {
    name: 'a quote that never closes',
    text: 'RTP/AVP;mode="PLAY,x',
    value: [{ protocol: 'RTP/AVP', params: [{ name: 'mode', value: 'PLAY,x', raw: 'mode="PLAY,x' }] }],
  },
  { name: 'nothing', text: '', value: [] },
];

test.each(cases)('parse $name', ({ text, value }) => expect(parseTransport(text)).toEqual(value));
// The empty parameter at the end of 'odd spacing' shows that even it keeps its place.
test.each(cases)('format $name', ({ text, value }) => expect(formatTransport(value)).toBe(text));

const only = (text: string): TransportSpec => {
  const [spec] = parseTransport(text);
  if (!spec) throw new Error('no alternative');
  return spec;
};

describe('kinds', () => {
  it.each([
    ['RTP/AVP', 'udp'],
    ['rtp/avp/udp;unicast', 'udp'],
    ['RTP/SAVPF;unicast', 'udp'],
    ['RTP/FOO;unicast;client_port=1-2', 'udp'],
    ['MP2T/H2221/UDP;unicast', 'udp'],
    ['RTP/AVP;multicast;port=5000-5001', 'udp multicast'],
    ['RTP/AVP/TCP;unicast;interleaved=0-1', 'interleaved'],
    ['RTP/AVP/TCP', 'interleaved'],
    ['RTP/AVP;unicast;interleaved=0-1', 'interleaved'],
    ['RAW/RAW', ''],
    ['', ''],
  ])('%s is %j', (text, kinds) => {
    const spec = text === '' ? { protocol: '', params: [] } : only(text);
    const found = [isUdp(spec) && 'udp', isInterleaved(spec) && 'interleaved', isMulticast(spec) && 'multicast'];
    expect(found.filter(Boolean).join(' ')).toBe(kinds);
  });
});

describe('portPair', () => {
  it.each<[string, PairName, { rtp: number; rtcp?: number } | undefined]>([
    ['client_port=5000-5001', 'client_port', { rtp: 5000, rtcp: 5001 }],
    ['client_port=5000', 'client_port', { rtp: 5000 }],
    ['client_port=5000-', 'client_port', { rtp: 5000 }],
    ['client_port=0-0', 'client_port', { rtp: 0, rtcp: 0 }],
    ['server_port=51443-51444', 'server_port', { rtp: 51443, rtcp: 51444 }],
    ['server_port=5001-5000', 'server_port', { rtp: 5001, rtcp: 5000 }],
    ['server_port=5000-6000', 'server_port', { rtp: 5000, rtcp: 6000 }],
    ['server_port="5000-5001"', 'server_port', { rtp: 5000, rtcp: 5001 }],
    ['Client_Port = 1 - 2', 'client_port', { rtp: 1, rtcp: 2 }],
    ['client_port=65536-65537', 'client_port', undefined],
    ['client_port=-1', 'client_port', undefined],
    ['client_port=a-b', 'client_port', undefined],
    ['client_port', 'client_port', undefined],
    ['unicast', 'client_port', undefined],
    ['interleaved=254-255', 'interleaved', { rtp: 254, rtcp: 255 }],
    ['interleaved=0-256', 'interleaved', undefined],
  ])('%s', (text, name, expected) => expect(portPair(only(`RTP/AVP;${text}`), name)).toEqual(expected));
});

describe('editing', () => {
  const edit = (text: string, change: (spec: TransportSpec) => TransportSpec) => {
    const spec = only(text);
    expect(change(spec)).toBe(spec);
    return formatTransport([spec]);
  };

  it('keeps place, spelling and spacing', () => {
    const written = 'RTP/AVP ;unicast; Client_Port= 1-2;x=3';
    expect(edit(written, (spec) => setPortPair(spec, 'client_port', { rtp: 8, rtcp: 9 }))).toBe(
      'RTP/AVP ;unicast; Client_Port= 8-9;x=3',
    );
    expect(edit(written, (spec) => setPortPair(spec, 'client_port', { rtp: 1, rtcp: 2 }))).toBe(written);
    expect(edit(written, (spec) => setPortPair(spec, 'client_port', { rtp: 8 }))).toBe(
      'RTP/AVP ;unicast; Client_Port= 8;x=3',
    );
  });

  it('appends what is new and keeps or adds quotes', () => {
    expect(edit('RTP/AVP', (spec) => setParam(spec, 'source', '192.0.2.1'))).toBe('RTP/AVP;source=192.0.2.1');
    expect(edit('RTP/AVP', (spec) => setParam(spec, 'unicast'))).toBe('RTP/AVP;unicast');
    expect(edit('RTP/AVP;mode="PLAY"', (spec) => setParam(spec, 'mode', 'RECORD'))).toBe('RTP/AVP;mode="RECORD"');
    expect(edit('RTP/AVP;mode=PLAY', (spec) => setParam(spec, 'mode', 'a,b'))).toBe('RTP/AVP;mode="a,b"');
    expect(edit('RTP/AVP;source', (spec) => setParam(spec, 'source', '::1'))).toBe('RTP/AVP;source=::1');
    expect(edit('RTP/AVP;source=a', (spec) => setParam(spec, 'source'))).toBe('RTP/AVP;source');
  });

  it('leaves one of several parameters of a name', () => {
    const written = 'RTP/AVP;source=a;x;SOURCE=b';
    expect(param(only(written), 'source')).toBe('a');
    expect(edit(written, (spec) => setParam(spec, 'source', 'c'))).toBe('RTP/AVP;source=c;x');
    expect(edit(written, (spec) => removeParam(spec, 'Source'))).toBe('RTP/AVP;x');
  });

  it('tells a flag from an absent parameter', () => {
    const spec = only('RTP/AVP;unicast');
    expect([param(spec, 'unicast'), param(spec, 'multicast')]).toEqual(['', undefined]);
    expect([hasParam(spec, 'UNICAST'), hasParam(spec, 'multicast')]).toEqual([true, false]);
  });

  it('does not reach a clone', () => {
    const spec = only('RTP/AVP;source=a');
    setParam(cloneSpec(spec), 'source', 'b');
    removeParam(cloneSpec(spec), 'source');
    expect(formatTransport([spec])).toBe('RTP/AVP;source=a');
  });

  it('can drop the first alternative without leaving a blank', () => {
    expect(formatTransport(parseTransport('RTP/AVP/TCP, RTP/AVP').slice(1))).toBe('RTP/AVP');
  });
});

const piece = fc.constantFrom('RTP/AVP', 'a', '=', '1-2', ';', ',', '"', ' ', 'client_port', 'mode', '\t');

it('formats any header back to its text, empty alternatives aside', () => {
  fc.assert(
    fc.property(fc.string({ unit: piece, maxLength: 30 }), (text) => {
      const specs = parseTransport(text);
      const again = parseTransport(formatTransport(specs));
      expect(formatTransport(again)).toBe(formatTransport(specs));
      if (!/(^|,)\s*(,|$)/.test(text) && text === text.trim()) expect(formatTransport(specs)).toBe(text);
    }),
  );
});

it('finds every value it was given', () => {
  const value = fc.string({ unit: fc.constantFrom('a', '1', ';', ',', ' ', '=', '-') });
  fc.assert(
    fc.property(value, value, (first, second) => {
      const spec = setParam(setParam(only('RTP/AVP;unicast'), 'one', first), 'two', second);
      const [again] = parseTransport(formatTransport([spec]));
      expect([param(again ?? spec, 'one'), param(again ?? spec, 'two')]).toEqual([first, second]);
    }),
  );
});
