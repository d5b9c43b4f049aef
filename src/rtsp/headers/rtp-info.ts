/**
 * RTP-Info = 1#( "url" "=" url *( ";" parameter ) ) (RFC 2326 §12.33). URLs may hold commas and semicolons of
 * their own and may be quoted, so an entry is not found by splitting: a URL ends at `;seq=`, `;rtptime=`,
 * `;ssrc=`, or where the next `url=` begins.
 */
const URL_BEGIN = /(?:^|[,;])[ \t]*url[ \t]*=[ \t]*/gi;
const PARAMETER = /;[ \t]*(?:seq|rtptime|ssrc)[ \t]*=/i;

/** Replaces each URL by what `change` returns; every other byte stays. */
export function mapRtpInfoUrls(value: string, change: (url: string) => string): string {
  const begins = [...value.matchAll(URL_BEGIN)];
  let mapped = '';
  let copied = 0;
  begins.forEach((begin, index) => {
    const from = begin.index + begin[0].length;
    const entryEnd = begins[index + 1]?.index ?? value.length;
    const [start, end] = urlBounds(value, from, entryEnd);
    mapped += value.slice(copied, start) + change(value.slice(start, end));
    copied = end;
  });
  return mapped + value.slice(copied);
}

function urlBounds(value: string, from: number, entryEnd: number): [number, number] {
  if (value[from] === '"') {
    const close = value.indexOf('"', from + 1);
    // A quote that closes behind the next `url=` is none.
    return [from + 1, close === -1 || close > entryEnd ? entryEnd : close];
  }
  const entry = value.slice(from, entryEnd);
  const url = entry.slice(0, PARAMETER.exec(entry)?.index).trimEnd();
  return [from, from + url.length];
}
