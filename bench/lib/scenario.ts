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

/** A row of the table: what was measured (`name`), and among which others it stands (`group`, may be empty). */
export interface CaseName {
  group: string;
  name: string;
}

export interface Context {
  readonly bed: Bed;
  /** Modest load, short: it must work and the product must lose nothing. */
  readonly quick: boolean;
  readonly round: number;
  /** Words ask for a part: all of it is measured in every round. */
  readonly partial: boolean;
  /** Folder of another build of the product (`--against`). */
  readonly against: string | undefined;
  /** How long one measurement takes. */
  readonly seconds: number;
  /** Whether a word of the command line asks for this group (always, if none names one). */
  wants(group: string): boolean;
  /** Whether this one of several things to compare is to be measured (`--only`). */
  compares(name: string): boolean;
  record(which: CaseName, values: Values): void;
  /** Says in the table why there is nothing to show. */
  absent(which: CaseName, why: string): void;
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
