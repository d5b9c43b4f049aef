import { expect, it, test } from 'vitest';
import { cseqOf, parseCSeq } from '../../../../src/rtsp/headers/cseq.js';
import { makeRequest } from '../../../../src/rtsp/status.js';

test.each([
  ['0', 0],
  ['312', 312],
  ['undefined', undefined],
  ['', undefined],
  ['-1', undefined],
  ['1.5', undefined],
  ['9'.repeat(16), undefined],
])('%j', (text, value) => expect(parseCSeq(text)).toBe(value));

it('is found under any spelling', () => {
  expect(cseqOf(makeRequest('OPTIONS', '*', { Cseq: '5' }))).toBe(5);
  expect(cseqOf(makeRequest('OPTIONS', '*'))).toBeUndefined();
});
