const AUTHORITY = /^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i;
/**
 * How servers name a track after the URL of the presentation: `/trackID=1` (many), `/track1` (live555), `/stream=0`
 * (gst-rtsp-server), `/streamid=0` (ffmpeg, Darwin), also behind a query (`?channel=1/trackID=0`). A plain `/stream1`
 * is the name of a presentation on many cameras and stays.
 */
const TRACK = /\/(?:track(?:id)?=?\d+|stream(?:id)?=\d+)$/i;
const TRAILING_SLASHES = /\/+$/;

/**
 * The path (and query) of the presentation that a Request-URI belongs to: without scheme and authority, trailing
 * slashes, and the part that names a track; '' where there is none (`*`, `rtsp://host/`). Only for routing; the
 * Request-URI itself is never altered.
 */
export function routePath(uri: string): string {
  if (uri === '*') return '';
  const path = uri.replace(AUTHORITY, '').replace(TRAILING_SLASHES, '');
  const presentation = path.replace(TRACK, '').replace(TRAILING_SLASHES, '');
  // A track name alone is the name of a presentation.
  return presentation === '' ? path : presentation;
}
