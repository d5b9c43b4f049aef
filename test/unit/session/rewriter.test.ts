import { describe, expect, it } from 'vitest';
import { setBody } from '../../../src/rtsp/message.js';
import { serialize } from '../../../src/rtsp/serializer.js';
import { makeResponse } from '../../../src/rtsp/status.js';
import { type Faces, rewriteReply } from '../../../src/session/rewriter.js';

const faces: Faces = {
  isServer: ({ host }) => host === '10.77.2.2',
  leadsHere: ({ host }) => host === '10.77.2.2',
  appliance: { scheme: 'rtsp', authority: '[fd77::1]:8554' },
  serverIp: '10.77.2.2',
  applianceIp: 'fd77::1',
  encodeId: (id) => `public-${id}`,
};

function described(sdp: string, seenBy: Faces): string {
  const reply = makeResponse(undefined, 200);
  reply.headers.set('Content-Type', 'application/sdp');
  setBody(reply, Buffer.from(sdp));
  rewriteReply(reply, seenBy);
  return serialize(reply).toString('latin1').split('\r\n\r\n')[1] ?? '';
}

describe('addresses of a description', () => {
  it("the server's own becomes ours, with its family", () => {
    expect(described('o=- 1 1 IN IP4 10.77.2.2\nc=IN IP4 10.77.2.2\n', faces)).toBe(
      'o=- 1 1 IN IP6 fd77::1\nc=IN IP6 fd77::1\n',
    );
  });

  it('"no particular address" takes the family of the client, which decides what sockets rtspsrc opens', () => {
    expect(described('c=IN IP4 0.0.0.0\n', faces)).toBe('c=IN IP6 ::\n');
    expect(described('c=IN IP6 ::\n', { ...faces, applianceIp: '10.77.1.1' })).toBe('c=IN IP4 0.0.0.0\n');
    expect(described('c=IN IP6 ::\n', faces)).toBe('c=IN IP6 ::\n');
  });

  it('any other address is left alone', () => {
    expect(described('c=IN IP4 232.1.1.1/16\n', faces)).toBe('c=IN IP4 232.1.1.1/16\n');
  });
});
