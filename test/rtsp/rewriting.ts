import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type CorpusMessage, lineBytes } from './corpus.js';

/**
 * What the proxy makes of a conversation of the corpus: one document per conversation in `rewriting/`. Only messages
 * that change are listed, and of these only the lines that change; all other bytes pass as they are.
 *
 *     ## 07
 *     -Session: 0a4d0202216aS1      as its sender writes it
 *     +Session: S1                  as the other side gets it
 *     !RTSP/1.0 454 …               the appliance's own answer: the message is not passed on at all
 *
 * Lines are written as in the corpus. A pair takes the place of the recorded line that equals one of the two, else of
 * the next line with the same field name.
 */
export interface Rewriting {
  sent: Buffer;
  /** What the other side gets; undefined where the message is not passed on. */
  passed: Buffer | undefined;
  /** What the appliance answers itself. */
  answered: Buffer | undefined;
}

const FOLDER = fileURLToPath(new URL('./rewriting/', import.meta.url));

/** By the number of the message: `07`. */
export function loadRewritings(name: string): Map<string, string[]> {
  const [, ...sections] = readFileSync(`${FOLDER}${name}.md`, 'utf8').split(/^## /m);
  return new Map(
    sections.map((section) => {
      const [number = '', ...lines] = section.split('\n');
      return [number, lines.filter((line) => line !== '')];
    }),
  );
}

/** `host`: what clients call the appliance, in place of the server's own name. */
export function rewriting(message: CorpusMessage, changes: readonly string[], names: Names): Rewriting {
  const lines = message.from === 'client' ? message.lines.map((line) => asClient(line, names)) : [...message.lines];
  const sent = [...lines];
  const passed = [...lines];
  let from = 0;
  const pairs = changes.filter((line) => line.startsWith('-')).map((line) => line.slice(1));
  const others = changes.filter((line) => line.startsWith('+')).map((line) => line.slice(1));
  for (const [index, before] of pairs.entries()) {
    const after = others[index] ?? '';
    const at = place(lines, from, before, after);
    if (at === -1) throw new Error(`${message.name}: no place for ${before}`);
    sent[at] = before;
    passed[at] = after;
    from = at + 1;
  }
  if (pairs.length !== others.length) throw new Error(`${message.name}: a line without its other half`);
  const own = changes.filter((line) => line.startsWith('!')).map((line) => line.slice(1));
  return {
    sent: bytes(sent),
    passed: own.length > 0 ? undefined : bytes(passed),
    answered: own.length > 0 ? bytes(own) : undefined,
  };
}

export interface Names {
  server: string;
  appliance: string;
}

function asClient(line: string, { server, appliance }: Names): string {
  return line.replaceAll(`rtsp://${server}`, `rtsp://${appliance}`);
}

function place(lines: readonly string[], from: number, before: string, after: string): number {
  const same = lines.findIndex((line, at) => at >= from && (line === before || line === after));
  if (same !== -1) return same;
  const name = before.slice(0, before.search(/[:=]/) + 1);
  return lines.findIndex((line, at) => at >= from && line.startsWith(name));
}

function bytes(lines: readonly string[]): Buffer {
  return Buffer.concat(lines.map(lineBytes));
}
