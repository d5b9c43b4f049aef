import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import { type Faults, formatPath, type Locate, type Path } from './faults.js';
import { isMapping } from './parse.js';

export interface YamlFile {
  raw: Record<string, unknown>;
  locate: Locate;
}

/** Reads YAML text; `name` is how faults call the file. Syntax faults are added with their line. */
export function readYaml(name: string, text: string, faults: Faults): YamlFile {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const locate: Locate = (path) => `${name}:${lineOf(document, lines, path)}: ${formatPath(path)}`;
  for (const error of document.errors) {
    faults.add(`${name}:${lines.linePos(error.pos[0]).line}`, `not YAML: ${error.message}`);
  }
  if (document.errors.length > 0) return { raw: {}, locate };
  const raw: unknown = document.toJS() ?? {};
  if (isMapping(raw)) return { raw, locate };
  faults.add(`${name}:1`, 'expected a mapping of keys to values');
  return { raw: {}, locate };
}

/** The line of the deepest part of `path` that stands in the document; of a key rather than of its value. */
function lineOf(document: Document, lines: LineCounter, path: Path): number {
  let node = document.contents as Node | null;
  let offset = node?.range?.[0] ?? 0;
  for (const part of path) {
    const step = isAlias(node) ? childOf(node.resolve(document) ?? null, part) : childOf(node, part);
    if (step === undefined) break;
    offset = step.offset;
    node = step.node;
  }
  return lines.linePos(offset).line || 1;
}

function childOf(node: Node | null, part: string | number): { node: Node | null; offset: number } | undefined {
  if (isMap(node)) {
    const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(part));
    if (pair === undefined || !isScalar(pair.key)) return undefined;
    return { node: pair.value as Node | null, offset: pair.key.range?.[0] ?? 0 };
  }
  if (!isSeq(node) || typeof part !== 'number') return undefined;
  const item = node.items[part] as Node | undefined;
  return item === undefined ? undefined : { node: item, offset: item.range?.[0] ?? 0 };
}
