import { describe, expect, it } from 'vitest';
import { type CorpusMessage, loadCorpus, parseCorpus } from './corpus.js';
import { bytewise, type Recording, record, skippedBetween } from './recorder.js';

const corpus = loadCorpus();
const isFinal = (event: string) => /^(?:error|incomplete) /.test(event);

/** A recording in the notation of the document. */
function eventsOf(input: Buffer, recording: Recording): string[] {
  const events = [...recording.events];
  if (recording.error) return [...events, `error ${recording.error}`];
  const skipped = skippedBetween(input, recording.elements, recording.buffered);
  expect(skipped, 'the bytes that come out are those that went in').not.toBe(-1);
  if (skipped > 0) events.push(`skipped ${skipped}`);
  if (recording.buffered > 0) events.push(`incomplete ${recording.buffered}`);
  return events;
}

/** All that one side sent on one connection, and the events up to the first fault. */
function directions(messages: readonly CorpusMessage[]): { title: string; bytes: Buffer; events: string[] }[] {
  const groups = new Map<string, CorpusMessage[]>();
  for (const message of messages) {
    const title = `${message.from}, connection ${message.conn}`;
    groups.set(title, [...(groups.get(title) ?? []), message]);
  }
  return [...groups].map(([title, group]) => {
    const events = group.flatMap((message) => message.events);
    const fault = events.findIndex((event) => event.startsWith('error '));
    return {
      title,
      bytes: Buffer.concat(group.map((message) => message.bytes)),
      events: fault === -1 ? events : events.slice(0, fault + 1),
    };
  });
}

describe.each(corpus)('$name', ({ messages }) => {
  it.each(messages)('$name $title', ({ bytes, events }) => {
    expect(eventsOf(bytes, record([bytes]))).toEqual(events);
    expect(eventsOf(bytes, record(bytewise(bytes)))).toEqual(events);
    for (let at = 1; at < bytes.length; at++) {
      const halves = [bytes.subarray(0, at), bytes.subarray(at)];
      expect(eventsOf(bytes, record(halves)), `split at ${at}`).toEqual(events);
    }
  });

  it.each(directions(messages))('all of $title', ({ bytes, events }) => {
    const whole = record([bytes]);
    expect(eventsOf(bytes, whole)).toEqual(events);
    expect(record(bytewise(bytes))).toMatchObject({ events: whole.events, error: whole.error });
    for (let at = 1; at < bytes.length; at++) {
      const split = record([bytes.subarray(0, at), bytes.subarray(at)], {}, false);
      expect(split.error, `split at ${at}`).toBe(whole.error);
      const same = split.elements.length === whole.elements.length && sameBytes(split.elements, whole.elements);
      expect(same, `split at ${at}`).toBe(true);
    }
  });
});

function sameBytes(left: readonly Buffer[], right: readonly Buffer[]): boolean {
  return left.every((element, index) => right[index]?.equals(element));
}

describe('the documents', () => {
  it('hold every conversation and say what each message is', () => {
    expect(corpus.length).toBeGreaterThanOrEqual(25);
    for (const { messages } of corpus) {
      expect(messages.length).toBeGreaterThan(0);
      for (const { events } of messages) expect(events.findIndex(isFinal)).toBeOneOf([-1, events.length - 1]);
    }
    const names = corpus.flatMap(({ messages }) => messages.map(({ name }) => name));
    expect(new Set(names).size).toBe(names.length);
  });

  it('are read with the escapes that the loader describes', () => {
    const document =
      '# x\n\n- server: a\n- client: b\n\n## 01 server, connection 2: odd\n\n```rtsp\na\\\\\nb\\n\nc\\x20\\\n\\xff\\t\n```\n\n```events\n```\n';
    expect(parseCorpus('x', document)).toEqual({
      name: 'x',
      server: 'a',
      client: 'b',
      messages: [
        {
          name: 'x/01',
          title: 'odd',
          from: 'server',
          conn: 2,
          tunnelled: false,
          lines: ['a\\\\', 'b\\n', 'c\\x20\\', '\\xff\\t'],
          bytes: Buffer.from('a\\\r\nb\nc \xff\t\r\n', 'latin1'),
          events: [],
        },
      ],
    });
  });
});
