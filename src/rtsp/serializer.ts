import type { RtspMessage } from './message.js';

const LINE_END = '\r\n';

/** The bytes of a message. What was parsed and not edited comes out byte for byte as it came in. */
export function serialize(message: RtspMessage): Buffer {
  const head = startLine(message) + message.headers.wireText() + (message.wire?.blankLine ?? LINE_END);
  const bytes = Buffer.allocUnsafe(head.length + message.body.length);
  bytes.write(head, 0, 'latin1');
  if (message.body.length > 0) bytes.set(message.body, head.length);
  return bytes;
}

function startLine(message: RtspMessage): string {
  const { wire } = message;
  const [first, second, third] =
    message.kind === 'request'
      ? [message.method, message.uri, message.version]
      : [message.version, message.status, message.reason];
  const [wasFirst, wasSecond, wasThird] = wire?.parts ?? [];
  if (wire && wasFirst === first && wasSecond === second && wasThird === third) return wire.startLine;
  return `${first} ${second} ${third}${wire?.blankLine ?? LINE_END}`;
}
