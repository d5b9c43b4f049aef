import type { Terminal } from '../terminal.js';

// ECMA-48, as every terminal has it.
const OTHER_SCREEN = '\u001b[?1049h\u001b[?25l';
const FORMER_SCREEN = '\u001b[?25h\u001b[?1049l';
const HOME = '\u001b[H';
const CLEAR_LINE_END = '\u001b[K';
const CLEAR_BELOW = '\u001b[J';

/** A page that is written over and over in the same place, without flicker; what was there before comes back at the end. */
export class Screen {
  readonly #terminal: Terminal;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
    terminal.write(OTHER_SCREEN);
  }

  /** What does not fit is cut off. */
  show(lines: readonly string[]): void {
    const { columns, rows } = this.#terminal;
    const fitting = lines.slice(0, rows).map((line) => [...line].slice(0, columns).join('') + CLEAR_LINE_END);
    this.#terminal.write(`${HOME}${fitting.join('\r\n')}${CLEAR_BELOW}`);
  }

  close(): void {
    this.#terminal.write(FORMER_SCREEN);
  }
}
