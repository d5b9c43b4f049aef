/** Sets of ports as ordered ranges, for the overlap of media ports with those the kernel hands out. */
import type { PortRange } from '../config/types.js';

/** Below this, daemons have their fixed ports. */
const FIRST_FREE = 10_000;
const LAST_PORT = 65_535;

/** `32768-60999,8080` or `32768	60999` */
export function parseRanges(text: string): PortRange[] {
  const pair = /^(\d+)\s+(\d+)$/.exec(text);
  if (pair !== null) return [{ min: Number(pair[1]), max: Number(pair[2]) }];
  return text
    .split(',')
    .filter((part) => part !== '')
    .map((part) => {
      const [first, last] = part.split('-').map(Number);
      return { min: first ?? 0, max: last ?? first ?? 0 };
    });
}

/** What of `range` is also in `other` and in none of `except`. */
export function overlap(range: PortRange, other: PortRange, except: readonly PortRange[]): PortRange[] {
  const common = { min: Math.max(range.min, other.min), max: Math.min(range.max, other.max) };
  let left = common.min > common.max ? [] : [common];
  for (const hole of except) left = left.flatMap((part) => without(part, hole));
  return left;
}

/** The larger of the two ranges below and above `range`, for the ports that the kernel hands out. */
export function besides(range: PortRange): PortRange {
  const below = { min: FIRST_FREE, max: range.min - 1 };
  const above = { min: range.max + 1, max: LAST_PORT };
  return below.max - below.min > above.max - above.min ? below : above;
}

export function formatRange({ min, max }: PortRange): string {
  return min === max ? String(min) : `${min}-${max}`;
}

function without(part: PortRange, hole: PortRange): PortRange[] {
  const pieces = [
    { min: part.min, max: Math.min(part.max, hole.min - 1) },
    { min: Math.max(part.min, hole.max + 1), max: part.max },
  ];
  return pieces.filter(({ min, max }) => min <= max);
}
