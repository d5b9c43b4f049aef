import type { Bed } from './place.js';

/** One number of a case. `better` tells which way is up, for comparisons. */
export interface Column {
  key: string;
  /** With its unit. */
  title: string;
  digits: number;
  better: 'lower' | 'higher' | 'none';
}

export type Values = Record<string, number>;

export interface Context {
  readonly bed: Bed;
  /** Modest load, short: it must work and lose nothing. */
  readonly quick: boolean;
  readonly round: number;
  /** How long one measurement takes. */
  readonly seconds: number;
  /** Whether a word of the command line asks for this case (always, if none names a case). */
  wants(name: string): boolean;
  record(name: string, values: Values): void;
  /** What a reader must know beside the numbers; told once. */
  note(text: string): void;
  /** A fault that makes the run fail. */
  fail(text: string): void;
}

export interface Scenario {
  readonly name: string;
  readonly about: string;
  readonly columns: readonly Column[];
  /** One round over all of its cases. */
  run(context: Context): Promise<void>;
}
