import type { ReadStream, WriteStream } from 'node:tty';

/** A screen with somebody before it. */
export interface Terminal {
  readonly columns: number;
  readonly rows: number;
  write(text: string): void;
  /** Keys come one by one, Ctrl-C among them. Ends with the call of what it gives. */
  onKey(key: (key: string) => void): () => void;
}

const DEFAULT_COLUMNS = 80;
const DEFAULT_ROWS = 24;

/** Undefined where either is no terminal. */
export function terminalOf(input: ReadStream, output: WriteStream): Terminal | undefined {
  if (!input.isTTY || !output.isTTY) return undefined;
  return {
    get columns() {
      return output.columns || DEFAULT_COLUMNS;
    },
    get rows() {
      return output.rows || DEFAULT_ROWS;
    },
    write: (text) => void output.write(text),
    onKey: (key) => listen(input, key),
  };
}

function listen(input: ReadStream, key: (key: string) => void): () => void {
  const onData = (data: Buffer) => {
    for (const character of data.toString('utf8')) key(character);
  };
  input.setRawMode(true).on('data', onData).resume();
  return () => void input.off('data', onData).setRawMode(false).pause();
}
