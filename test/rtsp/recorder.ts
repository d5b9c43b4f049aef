import { PenstockError } from '../../src/errors.js';
import { DEFAULT_LIMITS, type RtspLimits } from '../../src/rtsp/limits.js';
import type { RtspMessage } from '../../src/rtsp/message.js';
import { RtspParser } from '../../src/rtsp/parser.js';
import { serialize } from '../../src/rtsp/serializer.js';

/** What a parser made of some chunks. */
export interface Recording {
  /** Messages and frames as bytes, in order. */
  elements: Buffer[];
  /** In the notation of the corpus; without `skipped`, which depends on the input. */
  events: string[];
  error: string | undefined;
  buffered: number;
  maxBuffered: number;
}

/** Feeds chunks to a new parser until the end or a fault. Anything thrown but PenstockError passes through. */
export function record(chunks: Iterable<Buffer>, limits: Partial<RtspLimits> = {}, describe = true): Recording {
  const result: Recording = { elements: [], events: [], error: undefined, buffered: 0, maxBuffered: 0 };
  const parser = new RtspParser(
    {
      onMessage(message) {
        result.elements.push(serialize(message));
        if (describe) result.events.push(...messageEvents(message));
      },
      onFrame(channel, frame) {
        result.elements.push(frame);
        if (describe) result.events.push(`frame ${channel} ${frame.length - 4}`);
      },
    },
    { ...DEFAULT_LIMITS, ...limits },
  );
  try {
    for (const chunk of chunks) {
      parser.push(chunk);
      result.maxBuffered = Math.max(result.maxBuffered, parser.buffered);
    }
  } catch (error) {
    if (!(error instanceof PenstockError)) throw error;
    result.error = error.code;
  }
  result.buffered = parser.buffered;
  return result;
}

export function messageEvents(message: RtspMessage): string[] {
  const start =
    message.kind === 'request'
      ? `request ${text(message.method)} ${text(message.uri)} ${text(message.version)}`
      : `response ${text(message.version)} ${message.status} ${text(message.reason)}`;
  const headers = [...message.headers].map(({ name, value }) => `header ${text(name)} ${text(value)}`);
  return [start, ...headers, `body ${message.body.length}`];
}

/** JSON in ASCII, so that a document shows which bytes came. */
function text(value: string): string {
  const hex = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return JSON.stringify(value).replace(/[\u007f-\uffff]/g, hex);
}

/** How many bytes of `input` are empty lines between the elements; -1 if the rest is not these elements, byte for byte. */
export function skippedBetween(input: Buffer, elements: readonly Buffer[], rest: number): number {
  let at = 0;
  let skipped = 0;
  const skipLineEnds = () => {
    for (; input[at] === 0x0d || input[at] === 0x0a; at++) skipped++;
  };
  for (const element of elements) {
    skipLineEnds();
    if (!input.subarray(at, at + element.length).equals(element)) return -1;
    at += element.length;
  }
  skipLineEnds();
  return at + rest === input.length ? skipped : -1;
}

export function* bytewise(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at++) yield bytes.subarray(at, at + 1);
}
