/** What a Request-URI of this origin means: `rtsp://host/MOUNT/trackID=N`, a query between the two included. */
export interface Target {
  /** Path with its leading slash, without query and trailing slash; '/' for none; '*' as such. */
  mount: string;
  /** The URL without the track part and without a trailing slash, as the client wrote it. */
  base: string;
  track: number | undefined;
}

const TRACK = /\/trackID=(\d{1,3})\/?$/;
const AUTHORITY = /^rtsp[su]?:\/\/[^/?]*/i;

export function parseTarget(uri: string): Target {
  const track = TRACK.exec(uri);
  const base = (track ? uri.slice(0, track.index) : uri).replace(/\/$/, '');
  const path = base.replace(AUTHORITY, '').replace(/\?.*$/, '').replace(/\/$/, '');
  return { mount: path || '/', base, track: track ? Number(track[1]) : undefined };
}

export function trackUrl(base: string, track: number): string {
  return `${base}/${trackControl(track)}`;
}

/** The value of `a=control:`, relative to Content-Base. */
export function trackControl(track: number): string {
  return `trackID=${track}`;
}
