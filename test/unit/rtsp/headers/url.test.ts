import { describe, expect, it, test } from 'vitest';
import {
  authorityOf,
  calledBy,
  formatAuthority,
  parseRtspUrl,
  pathOf,
  type RtspUrl,
  replaceOrigin,
} from '../../../../src/rtsp/headers/url.js';

const cases: { text: string; value: RtspUrl | undefined }[] = [
  { text: 'rtsp://192.0.2.1:8554/a/b?x=1', value: { scheme: 'rtsp', host: '192.0.2.1', port: 8554, path: '/a/b?x=1' } },
  { text: 'rtsp://Cam.Example/a', value: { scheme: 'rtsp', host: 'cam.example', path: '/a' } },
  { text: 'RTSPU://h', value: { scheme: 'rtspu', host: 'h', path: '' } },
  { text: 'rtsps://h?x', value: { scheme: 'rtsps', host: 'h', path: '?x' } },
  { text: 'rtsp://h:/', value: { scheme: 'rtsp', host: 'h', path: '/' } },
  { text: 'rtsp://[2001:DB8::1]:554/a', value: { scheme: 'rtsp', host: '2001:db8::1', port: 554, path: '/a' } },
  { text: 'rtsp://[::1]', value: { scheme: 'rtsp', host: '::1', path: '' } },
  { text: 'rtsp://fe80::1/a', value: { scheme: 'rtsp', host: 'fe80::1', path: '/a' } },
  {
    text: 'rtsp://user:p@ss@h:1/a@b',
    value: { scheme: 'rtsp', userInfo: 'user:p@ss', host: 'h', port: 1, path: '/a@b' },
  },
  { text: 'rtsp://@h/', value: { scheme: 'rtsp', userInfo: '', host: 'h', path: '/' } },
  { text: '*', value: undefined },
  { text: '/a', value: undefined },
  { text: 'trackID=1', value: undefined },
  { text: 'http://h/', value: undefined },
  { text: 'rtsp:///a', value: undefined },
  { text: 'rtsp://h:0/', value: undefined },
  { text: 'rtsp://h:65536/', value: undefined },
  { text: 'rtsp://h:a/', value: undefined },
  { text: 'rtsp://[::1/', value: undefined },
];

test.each(cases)('parse $text', ({ text, value }) => expect(parseRtspUrl(text)).toEqual(value));

describe('authorityOf', () => {
  it.each([
    ['rtsp://H/a', { host: 'h', port: 554 }],
    ['rtsps://h/a', { host: 'h', port: 322 }],
    ['rtsp://[::1]:8554', { host: '::1', port: 8554 }],
    ['*', undefined],
  ])('%s', (text, value) => expect(authorityOf(text)).toEqual(value));

  it('is written with brackets around IPv6', () => {
    expect(formatAuthority('192.0.2.1', 554)).toBe('192.0.2.1:554');
    expect(formatAuthority('2001:db8::1', 8554)).toBe('[2001:db8::1]:8554');
  });
});

test.each([
  ['rtsp://Edge/a', { scheme: 'rtsp', authority: 'edge' }],
  ['RTSPS://u@edge:1/a', { scheme: 'rtsps', authority: 'edge:1' }],
  ['rtspu://edge', { scheme: 'rtsp', authority: 'edge' }],
  ['rtsp://[2001:DB8::1]/', { scheme: 'rtsp', authority: '[2001:db8::1]' }],
  ['rtsp://[2001:db8::1]:554/', { scheme: 'rtsp', authority: '[2001:db8::1]:554' }],
  ['*', undefined],
])('%s is called by', (text, value) => expect(calledBy(text)).toEqual(value));

describe('replaceOrigin', () => {
  const always = () => true;
  const never = () => false;
  const edge = { scheme: 'rtsp', authority: 'edge:1' } as const;
  it.each([
    ['rtsp://192.0.2.1:8554/a?b#c', 'rtsp://edge:1/a?b#c'],
    ['RTSP://u:p@192.0.2.1/a/', 'RTSP://u:p@edge:1/a/'],
    ['rtsp://[2001:db8::1]/rtsp://x/', 'rtsp://edge:1/rtsp://x/'],
    ['rtsp://h', 'rtsp://edge:1'],
    ['rtsps://u@h/a', 'rtsp://u@edge:1/a'],
    ['rtspu://h/a', 'rtspu://edge:1/a'],
    ['*', '*'],
    ['trackID=1', 'trackID=1'],
    ['rtsp://h:x/', 'rtsp://h:x/'],
  ])('%s becomes %s', (from, to) => expect(replaceOrigin(from, always, edge)).toBe(to));

  it('asks with the default port and lower case, and leaves others alone', () => {
    const isServer = ({ host, port }: { host: string; port: number }) => host === 'cam.example' && port === 554;
    expect(replaceOrigin('rtsp://Cam.Example/a', isServer, edge)).toBe('rtsp://edge:1/a');
    expect(replaceOrigin('rtsp://cam.example:8554/a', isServer, edge)).toBe('rtsp://cam.example:8554/a');
  });

  it('gives the scheme of the client to URLs that name us already, as gst-rtsp-server writes them', () => {
    const secure = { scheme: 'rtsps', authority: 'edge:1' } as const;
    expect(replaceOrigin('rtsp://Edge:1/test/', never, secure)).toBe('rtsps://Edge:1/test/');
    expect(replaceOrigin('RTSPS://edge:1/test/', never, secure)).toBe('RTSPS://edge:1/test/');
    expect(replaceOrigin('rtsp://edge/test/', never, secure)).toBe('rtsp://edge/test/');
  });
});

test.each([
  ['rtsp://h/a/b?c', '/a/b?c'],
  ['rtsp://h', '/'],
  ['*', '*'],
  ['/a', '/a'],
])('the path of %s is %s', (text, path) => expect(pathOf(text)).toBe(path));
