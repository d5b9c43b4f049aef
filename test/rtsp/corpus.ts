import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * The corpus: one document per conversation in `corpus/`, each message as raw bytes with what a parser must make of it.
 *
 *     ## 03 client, connection 0: an optional title        (also `server`; `, inside the HTTP tunnel` may follow)
 *     ```rtsp      a line ends with CRLF; with LF alone if its text ends with `\n`; with nothing if it ends with `\`.
 *     ```          `\xHH` is a byte (also for a blank at the end of a line), `\t` a tab, `\\` a backslash.
 *     ```events    `request METHOD URI VERSION` or `response VERSION STATUS REASON`, then `header NAME VALUE` each,
 *     ```          then `body BYTES`; `frame CHANNEL PAYLOADBYTES`; `skipped BYTES` between messages, if any;
 *                  last, if it is so, `incomplete BYTES` held at the end or `error CODE`. Texts are JSON strings.
 */
export interface CorpusMessage {
  /** Stable: `gst--ffmpeg-udp/03`. */
  name: string;
  title: string;
  from: 'client' | 'server';
  /** The TCP connection within the conversation. */
  conn: number;
  /** Was sent base64-encoded in the POST of an RTSP-over-HTTP tunnel; the bytes here are decoded. */
  tunnelled: boolean;
  /** As in the document. */
  lines: string[];
  bytes: Buffer;
  events: string[];
}

export interface CorpusCase {
  /** The name of the document: `gst--ffmpeg-udp`. */
  name: string;
  server: string;
  client: string;
  messages: CorpusMessage[];
}

const FOLDER = fileURLToPath(new URL('./corpus/', import.meta.url));
const HEADING =
  /^## (?<number>\d+) (?<from>client|server), connection (?<conn>\d+)(?<tunnel>, inside the HTTP tunnel)?(?:: (?<title>.*))?$/;

export function loadCorpus(): CorpusCase[] {
  const files = readdirSync(FOLDER).filter((file) => file.endsWith('.md'));
  return files.sort().map((file) => parseCorpus(basename(file, '.md'), readFileSync(FOLDER + file, 'utf8')));
}

export function parseCorpus(name: string, text: string): CorpusCase {
  const [intro = '', ...sections] = text.split(/^(?=## )/m);
  const entry = (key: string) => new RegExp(`^- ${key}: (.*)$`, 'm').exec(intro)?.[1] ?? '';
  return {
    name,
    server: entry('server'),
    client: entry('client'),
    messages: sections.map((section) => parseSection(name, section)),
  };
}

function parseSection(name: string, section: string): CorpusMessage {
  const heading = section.slice(0, section.indexOf('\n'));
  const groups = HEADING.exec(heading)?.groups;
  if (!groups) throw new Error(`${name}: cannot read the heading ${JSON.stringify(heading)}`);
  const lines = fence(name, section, 'rtsp');
  return {
    name: `${name}/${groups.number}`,
    title: groups.title ?? '',
    from: groups.from as 'client' | 'server',
    conn: Number(groups.conn),
    tunnelled: groups.tunnel !== undefined,
    lines,
    bytes: Buffer.concat(lines.map(lineBytes)),
    events: fence(name, section, 'events'),
  };
}

function fence(name: string, section: string, kind: string): string[] {
  const text = new RegExp(`^\`\`\`${kind}\\n([^]*?)^\`\`\`$`, 'm').exec(section)?.[1];
  if (text === undefined) throw new Error(`${name}: a section without ${kind} fence: ${section.slice(0, 60)}`);
  return text.split('\n').slice(0, -1);
}

/** The bytes that a line of an `rtsp` fence stands for. */
export function lineBytes(line: string): Buffer {
  const end = /(?<!\\)(?:\\\\)*\\(n?)$/.exec(line);
  const text = end ? line.slice(0, line.length - 1 - (end[1] ?? '').length) : line;
  const lineEnd = end ? (end[1] === 'n' ? '\n' : '') : '\r\n';
  return Buffer.from(withoutEscapes(text) + lineEnd, 'latin1');
}

function withoutEscapes(text: string): string {
  return text.replace(/\\(x[0-9a-f]{2}|.)/gi, (whole, code: string) => {
    if (code.length === 3) return String.fromCharCode(Number.parseInt(code.slice(1), 16));
    if (code === 't') return '\t';
    if (code === '\\') return '\\';
    throw new Error(`unknown escape ${whole} in ${text}`);
  });
}
