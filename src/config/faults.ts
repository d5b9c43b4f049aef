import { PenstockError } from '../errors.js';
import { nearest } from './nearest.js';

/** Longest part of a refused value that a message repeats. */
const MAX_SHOWN = 60;

export type Path = readonly (string | number)[];
/** Says where a value was written: `penstock.yaml:12: idle-timeout`, `--idle-timeout`, `PENSTOCK_IDLE_TIMEOUT`. */
export type Locate = (path: Path) => string;

/** Collects every fault, so that all of them are reported at once. */
export class Faults {
  readonly #lines: string[] = [];

  add(where: string, message: string): void {
    this.#lines.push(`${where}: ${message}`);
  }

  /** A value that is not of its type. `why` may be empty. */
  addValue(where: string, accepts: string, value: unknown, why: string): void {
    this.add(where, `expected ${accepts}; got ${show(value)}${why === '' ? '' : ` (${why})`}`);
  }

  addUnknownKey(where: string, key: string, known: readonly string[]): void {
    const meant = nearest(key, known);
    this.add(
      where,
      `unknown key; ${meant === undefined ? `accepted: ${known.join(', ')}` : `did you mean "${meant}"?`}`,
    );
  }

  /** Throws PENSTOCK_ERR_CONFIG with one line per fault if there is any. */
  throwIfAny(): void {
    if (this.#lines.length > 0) throw new PenstockError('PENSTOCK_ERR_CONFIG', this.#lines.join('\n'));
  }
}

/** `vservers[0].services[1].weight` */
export function formatPath(path: Path): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`;
    return text === '' ? part : `${text}.${part}`;
  }, '');
}

function show(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = JSON.stringify(value) ?? String(value);
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
}
