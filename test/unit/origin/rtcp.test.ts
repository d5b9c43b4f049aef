import { describe, expect, it } from 'vitest';
import {
  emptyReceiverReport,
  goodbye,
  packetTypes,
  senderReport,
  sourceDescription,
} from '../../../src/origin/rtcp.js';
import { isRtp, nextHeader, timestampOf } from '../../../src/origin/rtp.js';

describe('RTCP', () => {
  it('writes a sender report: NTP time, RTP time, counts modulo 2^32', () => {
    const info = { ssrc: 0x01020304, wallMs: 1_000_500, timestamp: 0xfffffff0, packets: 7, bytes: 2 ** 32 + 9 };
    const report = senderReport(info);
    const ntpSeconds = (2_208_988_800 + 1000).toString(16);
    expect(report.toString('hex')).toBe(`80c8000601020304${ntpSeconds}80000000fffffff00000000700000009`);
  });
  it('pads the CNAME item to whole words with at least one zero', () => {
    for (const name of ['', 'a', 'ab', 'abc', 'abcd', 'abcde']) {
      const sdes = sourceDescription(1, name);
      expect(sdes.length % 4).toBe(0);
      expect(sdes.readUInt16BE(2)).toBe(sdes.length / 4 - 1);
      expect(sdes.subarray(10, 10 + name.length).toString()).toBe(name);
      expect(sdes.at(-1)).toBe(0);
    }
  });
  it('names the packets of a compound', () => {
    const compound = Buffer.concat([emptyReceiverReport(1), sourceDescription(1, 'x'), goodbye(1)]);
    expect(packetTypes(compound)).toEqual([201, 202, 203]);
  });
  it.each(['', '80c9', 'cefaedfe', '80000000000000000000000000000000', '80c9000200000000', '40c9000100000000'])(
    'does not take %j for RTCP',
    (hex) => expect(packetTypes(Buffer.from(hex, 'hex'))).toBeUndefined(),
  );
});

describe('RTP', () => {
  it('wraps sequence and timestamp', () => {
    const source = { ssrc: 0xa1b2c3d4, sequence: 0xffff, timestampBase: 0xffff_fff0 };
    const first = nextHeader(source, 96, true, timestampOf(source, 0x20));
    const second = nextHeader(source, 96, false, timestampOf(source, 2 ** 33 + 0x20));
    expect(first.toString('hex')).toBe('80e0ffff00000010a1b2c3d4');
    expect(second.toString('hex')).toBe('8060000000000010a1b2c3d4');
    expect(isRtp(first)).toBe(true);
    expect(isRtp(first.subarray(0, 11))).toBe(false);
  });
});
