/** Columns of a table for people. Numbers stand right, text left. */
export interface Column<Row> {
  title: string;
  value(row: Row): string | number;
}

const GAP = '  ';

export function formatTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const cells = rows.map((row) => columns.map((column) => column.value(row)));
  const widths = columns.map((column, i) =>
    Math.max(column.title.length, ...cells.map((line) => textOf(line[i]).length)),
  );
  const right = columns.map((_, i) => isNumeric(cells.map((line) => line[i])));
  const format = (line: readonly (string | number)[]) =>
    line
      .map((cell, i) => (right[i] ? textOf(cell).padStart(widths[i] ?? 0) : textOf(cell).padEnd(widths[i] ?? 0)))
      .join(GAP)
      .trimEnd();
  return [format(columns.map((column) => column.title)), ...cells.map(format)].join('\n');
}

/** `1.2 GB`, in steps of a thousand. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** `3d 4h`, `2h 5m`, `1m 9s`, `12s`: the two largest units. */
export function formatSeconds(seconds: number): string {
  const whole = Math.floor(seconds);
  const parts = [
    [Math.floor(whole / 86_400), 'd'],
    [Math.floor(whole / 3600) % 24, 'h'],
    [Math.floor(whole / 60) % 60, 'm'],
    [whole % 60, 's'],
  ] as const;
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return '0s';
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count}${unit}`)
    .join(' ');
}

/** Numbers, and blanks or dashes where there is none. */
function isNumeric(cells: readonly (string | number | undefined)[]): boolean {
  const isBlank = (cell: string | number | undefined) => cell === '' || cell === '-';
  return (
    cells.some((cell) => typeof cell === 'number') && cells.every((cell) => typeof cell === 'number' || isBlank(cell))
  );
}

function textOf(cell: string | number | undefined): string {
  return cell === undefined ? '' : String(cell);
}
