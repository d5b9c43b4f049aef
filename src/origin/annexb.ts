/** H.264 byte stream format (ITU-T H.264 Annex B): start codes and access units. */

export const NAL_IDR = 5;
export const NAL_SPS = 7;
export const NAL_PPS = 8;
export const NAL_AUD = 9;

export function nalType(nal: Buffer): number {
  return (nal[0] ?? 0) & 0x1f;
}

/** The NAL units between the start codes, in order, without start codes and trailing zero bytes. Views, not copies. */
export function splitNalUnits(stream: Buffer): Buffer[] {
  const units: Buffer[] = [];
  let start = -1;
  for (let at = stream.indexOf(START_CODE); at >= 0; at = stream.indexOf(START_CODE, at + START_CODE.length)) {
    if (start >= 0) pushUnit(units, stream.subarray(start, at));
    start = at + START_CODE.length;
  }
  if (start >= 0) pushUnit(units, stream.subarray(start));
  return units;
}

/**
 * Groups NAL units into access units (pictures) and drops the delimiters themselves.
 * Each access unit must begin with an access unit delimiter, as `x264 aud=1` writes it.
 */
export function groupAccessUnits(units: readonly Buffer[]): Buffer[][] {
  const pictures: Buffer[][] = [];
  for (const unit of units) {
    if (nalType(unit) === NAL_AUD) pictures.push([]);
    else pictures.at(-1)?.push(unit);
  }
  return pictures.filter((picture) => picture.length > 0);
}

const START_CODE = Buffer.from([0, 0, 1]);

function pushUnit(units: Buffer[], unit: Buffer): void {
  let end = unit.length;
  // The zero byte of a four-byte start code, and trailing_zero_8bits, look like the end of the unit before.
  while (end > 0 && unit[end - 1] === 0) end--;
  if (end > 0) units.push(unit.subarray(0, end));
}
